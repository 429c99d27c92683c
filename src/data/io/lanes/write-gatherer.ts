/**
 * Gathers small writes to one file: what comes while others are on their way waits, and then goes
 * out with its neighbours in one piece. A segment of a hundred kilobytes costs the disk a request,
 * but a dozen of them side by side cost it one, too.
 *
 * Owns the order of nothing: writes do not overlap, and each is told when it is done.
 */

/** Writes all of the buffers, one behind the other, from `position` on. */
export type WriteRun = (buffers: readonly Uint8Array[], position: number) => Promise<void>;

/** Bytes of one piece: more brings nothing. */
const RUN_MAX_BYTES = 1024 * 1024;

interface Waiting {
  readonly bytes: Uint8Array;
  readonly position: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class WriteGatherer {
  readonly #writeRun: WriteRun;
  #waiting: Waiting[] = [];
  #isWriting = false;

  constructor(writeRun: WriteRun) {
    this.#writeRun = writeRun;
  }

  /** Resolves when all of `bytes` is written. @throws what the write of its piece failed with. */
  write(bytes: Uint8Array, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, position, resolve, reject });
      if (!this.#isWriting) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      const runs = runsOf(this.#waiting);
      this.#waiting = [];
      await Promise.all(runs.map((run) => this.#write(run)));
    }
    this.#isWriting = false;
  }

  async #write(run: readonly Waiting[]): Promise<void> {
    try {
      const buffers = run.map(({ bytes }) => bytes);
      await this.#writeRun(buffers, run[0]?.position ?? 0);
      for (const { resolve } of run) resolve();
    } catch (error) {
      for (const { reject } of run) reject(error);
    }
  }
}

/** Writes that lie side by side, in order. */
function runsOf(waiting: readonly Waiting[]): Waiting[][] {
  const runs: Waiting[][] = [];
  let runBytes = 0;
  let end: number | undefined;
  for (const each of waiting.toSorted((a, b) => a.position - b.position)) {
    const run = runs.at(-1);
    const { length } = each.bytes;
    if (run && each.position === end && runBytes + length <= RUN_MAX_BYTES) {
      run.push(each);
      runBytes += length;
    } else {
      runs.push([each]);
      runBytes = length;
    }
    end = each.position + length;
  }
  return runs;
}
