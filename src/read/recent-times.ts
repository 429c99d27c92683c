/** How long something took lately: quantiles of the last times, worked out anew now and then. */

const KEPT_COUNT = 256;
/** Fewer say nothing. */
const KNOWN_MIN_COUNT = 20;
/** Sorting for each question would cost more than it tells. */
const SORT_EVERY_COUNT = 16;

export class RecentTimes {
  readonly #times: number[] = [];
  #next = 0;
  #sorted: number[] = [];
  #addedSinceSort = 0;

  add(ms: number): void {
    this.#times[this.#next] = ms;
    this.#next = (this.#next + 1) % KEPT_COUNT;
    this.#addedSinceSort++;
  }

  /** Undefined while too little is known. */
  quantile(share: number): number | undefined {
    if (this.#times.length < KNOWN_MIN_COUNT) return undefined;
    if (this.#sorted.length === 0 || this.#addedSinceSort >= SORT_EVERY_COUNT) {
      this.#sorted = this.#times.toSorted((a, b) => a - b);
      this.#addedSinceSort = 0;
    }
    return this.#sorted[Math.min(this.#sorted.length - 1, Math.floor(share * this.#sorted.length))];
  }
}
