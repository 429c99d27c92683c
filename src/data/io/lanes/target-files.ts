/**
 * Files that lanes write into, open under a bound, with and without direct I/O.
 *
 * Direct I/O goes around the page cache: large writes cost a fifth of the processor time and never
 * wait for memory. Where a file system refuses it, the same file is written as usual.
 */
import { constants, writeSync, writev } from 'node:fs';
import type { WriteTurns } from '../../write-turns.ts';
import { type OpenFile, OpenFiles } from '../open-files.ts';
import { LARGE_BUFFER_BYTES, PAGE_BYTES } from './page-buffers.ts';
import { WriteGatherer } from './write-gatherer.ts';

export type DirectIo = 'auto' | 'off';

export class TargetFiles {
  readonly #directIo: DirectIo;
  readonly #files: OpenFiles;
  readonly #turns: WriteTurns | undefined;
  readonly #gatherers = new WeakMap<OpenFile, WriteGatherer>();
  /** Directories whose file system refuses direct I/O would be few: one answer stands for all. */
  #isRefused = false;

  /** @param turns of those that load ahead; absent: readers wait for all that is written. */
  constructor(directIo: DirectIo, openMaxCount: number, turns?: WriteTurns) {
    this.#directIo = directIo;
    this.#turns = turns;
    this.#files = new OpenFiles(openMaxCount);
  }

  /** Whether a write of that place may go directly: whole pages from aligned memory. */
  canGoDirect(offset: number, isDirect: boolean): boolean {
    return this.#directIo === 'auto' && !this.#isRefused && isDirect && offset % PAGE_BYTES === 0;
  }

  /** Writes all of `bytes` when it is its turn; with `direct` these are whole pages. */
  async write(
    path: string,
    bytes: Uint8Array,
    position: number,
    { direct, isAhead }: { readonly direct: boolean; readonly isAhead: () => boolean },
  ): Promise<void> {
    const file = this.#use(path, direct && !this.#isRefused);
    try {
      const fd = await file.opened;
      if (bytes.length < LARGE_BUFFER_BYTES) await this.#gathererOf(file).write(bytes, position);
      else await this.#inTurn(() => writeAll(fd, [bytes], position), isAhead);
    } catch (error) {
      if (!direct || this.#isRefused || !isRefusal(error)) throw error;
      this.#isRefused = true;
      await this.write(path, bytes, position, { direct: false, isAhead });
    } finally {
      this.#files.release(file);
    }
  }

  /** For small pieces: a trip through the thread pool would cost more than the write. */
  async writeSmall(path: string, bytes: Uint8Array, position: number): Promise<void> {
    const file = this.#use(path, false);
    try {
      const fd = await file.opened;
      for (let done = 0; done < bytes.length;) {
        done += writeSync(fd, bytes, done, bytes.length - done, position + done);
      }
    } finally {
      this.#files.release(file);
    }
  }

  #inTurn(write: () => Promise<void>, isAhead: () => boolean): Promise<void> {
    return this.#turns ? this.#turns.run(write, isAhead) : write();
  }

  #use(path: string, direct: boolean): OpenFile {
    return this.#files.use(path, constants.O_WRONLY | (direct ? constants.O_DIRECT : 0));
  }

  #gathererOf(file: OpenFile): WriteGatherer {
    let gatherer = this.#gatherers.get(file);
    if (!gatherer) {
      gatherer = new WriteGatherer(async (buffers, position) => {
        const fd = await file.opened;
        await this.#inTurn(() => writeAll(fd, buffers, position), isAlwaysAhead);
      });
      this.#gatherers.set(file, gatherer);
    }
    return gatherer;
  }
}

/** Small pieces that go out together were ordered ahead, at least most of them. */
function isAlwaysAhead(): boolean {
  return true;
}

async function writeAll(
  fd: number,
  buffers: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let rest = buffers;
  for (let at = position; rest.length > 0;) {
    const writtenBytes = await writeSome(fd, rest, at);
    at += writtenBytes;
    rest = behind(rest, writtenBytes);
  }
}

function writeSome(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    writev(fd, buffers, position, (error, writtenBytes) => {
      if (error) reject(error);
      else resolve(writtenBytes);
    });
  });
}

/** What of the buffers lies behind their first `byteCount` bytes. */
function behind(buffers: readonly Uint8Array[], byteCount: number): readonly Uint8Array[] {
  let skipped = byteCount;
  return buffers.flatMap((buffer) => {
    const rest = buffer.subarray(Math.min(skipped, buffer.length));
    skipped -= buffer.length - rest.length;
    return rest.length > 0 ? [rest] : [];
  });
}

function isRefusal(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EINVAL' || code === 'ENOTSUP' || code === 'EOPNOTSUPP';
}
