/** What an owner stored of late, and the time that it took. Pure. */

export interface Amount {
  readonly bytes: number;
  readonly count: number;
}

export interface Work extends Amount {
  readonly busyMs: number;
}

const NO_WORK: Work = { busyMs: 0, bytes: 0, count: 0 };
/** What is left of an answer's weight after each one that follows: some ten answers count. */
const WEIGHT_KEPT = 0.9;

export class RecentWork {
  /** Of answers that came before the last ones, weighed by their age. */
  #earlier = NO_WORK;
  /** Of the answers that came last, all at once: their time belongs to all of them. */
  #latest = NO_WORK;
  #answeredCount = 0;

  /** All answers so far. */
  get answeredCount(): number {
    return this.#answeredCount;
  }

  /**
   * An answer, `passedMs` after the one before.
   * @param storedBytes undefined: the task failed, which says nothing about the owner's rate.
   */
  add(passedMs: number, storedBytes: number | undefined): void {
    if (passedMs > 0 && this.#latest.count > 0) {
      this.#earlier = this.sum;
      this.#latest = NO_WORK;
    }
    const { busyMs, bytes, count } = this.#latest;
    if (storedBytes !== undefined) this.#answeredCount += 1;
    this.#latest = {
      busyMs: busyMs + passedMs,
      bytes: bytes + (storedBytes ?? 0),
      count: count + (storedBytes === undefined ? 0 : 1),
    };
  }

  get sum(): Work {
    const [earlier, latest] = [this.#earlier, this.#latest];
    const kept = WEIGHT_KEPT ** latest.count;
    return {
      busyMs: earlier.busyMs * kept + latest.busyMs,
      bytes: earlier.bytes * kept + latest.bytes,
      count: earlier.count * kept + latest.count,
    };
  }
}

/**
 * How long who did `done` needs for so much. Why the longer of the two: rates of small objects say
 * little about large ones, and the reverse.
 */
export function timeFor(wanted: Amount | undefined, done: Work): number {
  if (!wanted) return 0;
  const byBytes = (wanted.bytes * done.busyMs) / Math.max(1, done.bytes);
  return Math.max(byBytes, (wanted.count * done.busyMs) / Math.max(1, done.count));
}
