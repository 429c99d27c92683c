/**
 * How many lanes a thread may have, to all endpoints together. Who needs one when there are as many
 * gets the place of an idle one; while all are busy, orders wait.
 */
export interface LaneHolder {
  /** Closes a lane that carries nothing. @returns whether there was one. */
  closeIdle(): boolean;
  /** Starts what waits, as far as it may. */
  startWaiting(): void;
}

export class LaneRoom {
  readonly #maxCount: number;
  readonly #holders: () => Iterable<LaneHolder>;
  #takenCount = 0;

  constructor(maxCount: number, holders: () => Iterable<LaneHolder>) {
    this.#maxCount = maxCount;
    this.#holders = holders;
  }

  /** @returns whether another lane may be opened. */
  take(): boolean {
    if (this.#takenCount >= this.#maxCount) {
      // The lane that closes gives its place back at once.
      for (const holder of this.#holders()) if (holder.closeIdle()) break;
    }
    if (this.#takenCount >= this.#maxCount) return false;
    this.#takenCount++;
    return true;
  }

  giveBack(): void {
    const wasFull = this.#takenCount >= this.#maxCount;
    this.#takenCount--;
    // Why later: whoever closed a lane to open another one goes first.
    if (wasFull)
      queueMicrotask(() => {
        for (const holder of this.#holders()) holder.startWaiting();
      });
  }
}
