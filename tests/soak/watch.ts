/**
 * What the processes of a soak use, and what they print: memory, descriptors, sockets and the delay
 * of the event loop must come back to where they were after the warm-up, no line may tell of an
 * error that nobody caught, and no process may end that was not told to.
 */
import { createWriteStream, type WriteStream } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Peer } from '../support/peer-process.ts';
import type { Ledger } from './ledger.ts';

export interface Usage {
  readonly rssBytes: number;
  readonly descriptors: number;
  readonly sockets: number;
  readonly lagSeconds: number;
}

const MIB = 1024 * 1024;
/** Above the baseline: what caches and pools may hold on to. */
const ALLOWANCE = { rssBytes: 96 * MIB, descriptors: 48, sockets: 32, lagSeconds: 0.25 };
const BAD_LINE = /unhandled|uncaught|invariant|assertion|MaxListenersExceeded|out of memory/i;

export async function usageOf(peer: Peer): Promise<Usage> {
  const status = await readFile(`/proc/${peer.pid}/status`, 'utf8');
  const rssKib = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]);
  const folder = `/proc/${peer.pid}/fd`;
  const names = await readdir(folder);
  const targets = await Promise.all(
    names.map((name) => readlink(join(folder, name)).catch(() => '')),
  );
  const metrics = await peer.api.metrics();
  return {
    rssBytes: rssKib * 1024,
    descriptors: names.length,
    sockets: targets.filter((target) => target.startsWith('socket:')).length,
    lagSeconds: Number(/^ringload_eventloop_lag_seconds (\S+)$/m.exec(metrics)?.[1]),
  };
}

export function highest(usages: readonly Usage[]): Usage {
  const most = (figure: keyof Usage): number => Math.max(...usages.map((usage) => usage[figure]));
  return {
    rssBytes: most('rssBytes'),
    descriptors: most('descriptors'),
    sockets: most('sockets'),
    lagSeconds: most('lagSeconds'),
  };
}

/** Figures that are further above the baseline than is allowed. */
export function excessOf(now: Usage, baseline: Usage): (keyof Usage)[] {
  const figures = ['rssBytes', 'descriptors', 'sockets', 'lagSeconds'] as const;
  return figures.filter((figure) => {
    const factor = figure === 'rssBytes' ? 1.3 : figure === 'lagSeconds' ? 3 : 1;
    return !(now[figure] <= baseline[figure] * factor + ALLOWANCE[figure]);
  });
}

export function usageText({ rssBytes, descriptors, sockets, lagSeconds }: Usage): string {
  const lagMs = Math.round(lagSeconds * 1000);
  return `${Math.round(rssBytes / MIB)} MiB, ${descriptors} descriptors, ${sockets} sockets, loop ${lagMs} ms`;
}

/** Keeps all that the peers print, a file each. */
export class Logs {
  readonly #folder: string;
  readonly #ledger: Ledger;
  readonly #streams = new Map<number, WriteStream>();

  constructor(folder: string, ledger: Ledger) {
    this.#folder = folder;
    this.#ledger = ledger;
  }

  readonly onLine = (index: number, line: string): void => {
    let stream = this.#streams.get(index);
    if (!stream) {
      stream = createWriteStream(join(this.#folder, `peer-${index}.log`), { flags: 'a' });
      this.#streams.set(index, stream);
    }
    stream.write(`${line}\n`);
    if (BAD_LINE.test(line)) this.#ledger.fail(`peer ${index} says: ${line}`);
  };

  close(): void {
    for (const stream of this.#streams.values()) stream.end();
  }
}
