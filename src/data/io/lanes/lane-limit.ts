/**
 * How many lanes an endpoint gets: more while more of them bring more, fewer when the store asks to
 * slow down. Pure; told what was received, asked once a round.
 *
 * A round is a second. While orders wait, the limit grows by a quarter as long as the rate of the
 * round exceeds the best so far by a twentieth; else every few rounds one step is tried anew, since
 * a store's best rate changes. Throttling halves it and rests.
 */
const ROUND_MS = 1000;
const LIMIT_START = 16;
const LIMIT_MIN = 2;
const GROWTH = 1.25;
const BETTER = 1.05;
const TRY_AGAIN_ROUNDS = 5;
const REST_MS = 2000;

export class LaneLimit {
  readonly #max: number;
  #limit: number;
  #roundMs = 0;
  #roundBytes = 0;
  #bestRate = 0;
  #roundsSinceGrowth = 0;
  #throttledMs = -Infinity;

  constructor(maxCount: number) {
    this.#max = maxCount;
    this.#limit = Math.min(LIMIT_START, maxCount);
  }

  get value(): number {
    return this.#limit;
  }

  received(bytes: number): void {
    this.#roundBytes += bytes;
  }

  /** A 429 or 503: several that come together count once. */
  throttled(nowMs: number): void {
    if (nowMs - this.#throttledMs < ROUND_MS) return;
    this.#throttledMs = nowMs;
    this.#limit = Math.max(Math.min(LIMIT_MIN, this.#max), Math.floor(this.#limit / 2));
    this.#bestRate = 0;
  }

  /** @param areWaiting whether orders wait for a lane. */
  round(nowMs: number, areWaiting: boolean): void {
    const elapsedMs = nowMs - this.#roundMs;
    if (elapsedMs < ROUND_MS) return;
    const rate = this.#roundBytes / elapsedMs;
    this.#roundMs = nowMs;
    this.#roundBytes = 0;
    this.#roundsSinceGrowth += 1;
    const isBetter = rate > this.#bestRate * BETTER;
    this.#bestRate = Math.max(this.#bestRate, rate);
    if (!areWaiting || nowMs - this.#throttledMs < REST_MS) return;
    if (!isBetter && this.#roundsSinceGrowth < TRY_AGAIN_ROUNDS) return;
    this.#limit = Math.min(this.#max, Math.ceil(this.#limit * GROWTH));
    this.#roundsSinceGrowth = 0;
  }
}
