/**
 * Whose piece the serving thread reads and sends next: those of readers go before those of copies.
 *
 * A copy goes on by a piece when no reader's is ready, and by one for every few of theirs, so that
 * no reader waits for more than a piece of a copy, and no copy stands still however many readers
 * come. Few copies read from the disk at once: what readers need from it has little before it.
 */

export interface Turns {
  /** Calls `step` when it is its turn, never at once. */
  take(step: () => void): void;
  /** Reads when it may; not a promise where it is done at once. @throws what `read` throws */
  read(read: () => boolean | Promise<boolean>): boolean | Promise<boolean>;
}

/** So many pieces of readers, then one of a copy. */
const READER_PIECES = 8;
const COPY_READS_MAX = 2;

export class ServingTurns {
  readonly readers: Turns;
  readonly copies: Turns;
  readonly #schedule: (run: () => void) => void;
  #readerSteps: (() => void)[] = [];
  readonly #copySteps: (() => void)[] = [];
  readonly #copyReads: (() => void)[] = [];
  #copyReadCount = 0;
  #passedCount = 0;
  #isScheduled = false;

  /** @param schedule runs it later, when others had their turn: `setImmediate`. */
  constructor(schedule: (run: () => void) => void) {
    this.#schedule = schedule;
    this.readers = {
      take: (step) => {
        this.#readerSteps.push(step);
        this.#wake();
      },
      read: (read) => read(),
    };
    this.copies = {
      take: (step) => {
        this.#copySteps.push(step);
        this.#wake();
      },
      read: (read) => this.#readCopy(read),
    };
  }

  #readCopy(read: () => boolean | Promise<boolean>): boolean | Promise<boolean> {
    if (this.#copyReadCount >= COPY_READS_MAX) {
      return new Promise((resolve, reject) => {
        this.#copyReads.push(() => {
          this.#reading(async () => read()).then(resolve, reject);
        });
      });
    }
    const reading = read();
    return typeof reading === 'boolean' ? reading : this.#reading(() => reading);
  }

  async #reading(read: () => Promise<boolean>): Promise<boolean> {
    this.#copyReadCount++;
    try {
      return await read();
    } finally {
      this.#copyReadCount--;
      this.#copyReads.shift()?.();
    }
  }

  #wake(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(this.#run);
  }

  /** What readers have ready, and one piece of a copy at most: then others are heard. */
  readonly #run = (): void => {
    this.#isScheduled = false;
    const ready = this.#readerSteps;
    this.#readerSteps = [];
    for (const step of ready) step();
    this.#passedCount += ready.length;
    if (ready.length === 0 || this.#passedCount >= READER_PIECES) {
      this.#passedCount = 0;
      this.#copySteps.shift()?.();
    }
    if (this.#readerSteps.length + this.#copySteps.length > 0) this.#wake();
  };
}
