/**
 * Which cache directories are written around the page cache: measured at the start, since what a
 * disk, a network file system or a layer between makes of direct I/O is not written anywhere.
 *
 * One mebibyte is overwritten a few times either way, each time to be durable. Direct I/O is the
 * default, because it costs the least processor time and never waits for memory; it gives way where
 * the page cache is twice as fast, or where it is refused.
 */
import { constants } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../../../base/clock.ts';
import type { Logger } from '../../../base/logger.ts';
import { LARGE_BUFFER_BYTES, PageBuffers } from './page-buffers.ts';

/** What one write of the probe took, by the fastest of its rounds, milliseconds. */
export interface ProbeResult {
  /** Infinity: refused. */
  readonly directMs: number;
  readonly cachedMs: number;
}

const PROBE_NAME = '.direct-io-probe';
const ROUND_COUNT = 5;
/** Below it the page cache is not faster, only luckier. */
const CLEARLY_FASTER = 2;
/**
 * How often in a row it has to be so: a disk that still works on what somebody else wrote makes one
 * probe say anything, and a wrong page cache halves the rate of all loads until the next start.
 */
const PROBE_COUNT = 3;

export class DirectChoice {
  /** Directories for which the page cache was chosen. */
  readonly #cached = new Set<string>();
  readonly #probe: (directory: string) => Promise<ProbeResult>;
  readonly #logger: Logger;

  constructor(options: {
    readonly logger: Logger;
    readonly probe: (directory: string) => Promise<ProbeResult>;
  }) {
    this.#probe = options.probe;
    this.#logger = options.logger;
  }

  /** Until a directory was measured it is written directly. */
  async measure(directories: readonly string[]): Promise<void> {
    for (const path of directories) {
      try {
        const { isCached, directMs, cachedMs } = await this.#judge(path);
        // Why joined: as the names of its files come out of `join`.
        if (isCached) this.#cached.add(dirname(join(path, PROBE_NAME)));
        this.#logger.debug('measured a cache directory', {
          path,
          chosen: isCached ? 'page cache' : 'direct I/O',
          directMs: Number.isFinite(directMs) ? directMs : 'refused',
          cachedMs,
        });
      } catch (error) {
        // A full or failing disk is told by those who need it; this is only about speed.
        this.#logger.debug('could not measure a cache directory', { path, error: String(error) });
      }
    }
  }

  async #judge(path: string): Promise<ProbeResult & { readonly isCached: boolean }> {
    for (let count = 1; ; count++) {
      const result = await this.#probe(path);
      const isCached = result.cachedMs * CLEARLY_FASTER < result.directMs;
      const isSettled = !isCached || result.directMs === Infinity || count === PROBE_COUNT;
      if (isSettled) return { ...result, isCached };
    }
  }

  /** Whether that file in a cache directory is to be written directly. */
  allows(filePath: string): boolean {
    return !this.#cached.has(dirname(filePath));
  }
}

/** Leaves nothing behind. @throws Node's errors, but not when only direct I/O is refused. */
export async function probeDirectory(directory: string, clock: Clock): Promise<ProbeResult> {
  const path = join(directory, PROBE_NAME);
  const bytes = new PageBuffers().take(LARGE_BUFFER_BYTES);
  try {
    const write = async (flags: number): Promise<number> => {
      const file = await open(path, constants.O_WRONLY | constants.O_CREAT | flags, 0o600);
      try {
        const startMs = clock.nowMs();
        await file.write(bytes, 0, bytes.length, 0);
        await file.datasync();
        return clock.nowMs() - startMs;
      } finally {
        await file.close();
      }
    };
    // Why not counted: this one makes the disk find the blocks.
    await write(0);
    const directMs: number[] = [];
    const cachedMs: number[] = [];
    for (let round = 0; round < ROUND_COUNT; round++) {
      directMs.push(await write(constants.O_DIRECT).catch(() => Infinity));
      cachedMs.push(await write(0));
    }
    // What disturbs a write only makes it slower.
    return { directMs: Math.min(...directMs), cachedMs: Math.min(...cachedMs) };
  } finally {
    await rm(path, { force: true });
  }
}
