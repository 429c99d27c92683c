/** Of all lane threads together: as many as Node's pool has threads. */
export const AHEAD_WRITE_MAX_COUNT = 4;

/**
 * Writes of what is loaded ahead, few at once, so that a write, a sync or a read that somebody
 * waits for finds the disk and the thread pool with little before it; one at a time while a reader
 * waits for a fill. What a reader begins to wait for goes next.
 */
export class WriteTurns {
  readonly #readersWait: () => boolean;
  readonly #maxCount: number;
  #underWayCount = 0;
  #waiting: { readonly isAhead: () => boolean; readonly begin: () => void }[] = [];

  constructor(readersWait: () => boolean, maxCount: number) {
    this.#readersWait = readersWait;
    this.#maxCount = maxCount;
  }

  /** @throws what `write` throws */
  async run(write: () => Promise<void>, isAhead: () => boolean): Promise<void> {
    if (!isAhead()) {
      await write();
      return;
    }
    await this.#turn(isAhead);
    try {
      await write();
    } finally {
      this.#underWayCount--;
      this.#beginWaiting();
    }
  }

  #turn(isAhead: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const begin = (): void => {
        this.#underWayCount++;
        resolve();
      };
      if (this.#mayBegin) begin();
      else this.#waiting.push({ isAhead, begin });
    });
  }

  get #mayBegin(): boolean {
    return this.#underWayCount < (this.#readersWait() ? 1 : this.#maxCount);
  }

  #beginWaiting(): void {
    this.#waiting = this.#waiting.filter(({ isAhead, begin }) => {
      if (!isAhead()) begin();
      return isAhead();
    });
    while (this.#mayBegin) {
      const next = this.#waiting.shift();
      if (!next) return;
      next.begin();
    }
  }
}
