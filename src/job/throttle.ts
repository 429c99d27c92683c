/** How much of their windows owners may use: halved when the under store complains, then regrown. */
const SHARE_MIN = 1 / 64;
const STEP_MS = 500;

export class Throttle {
  #share = 1;
  #changedMs = -Infinity;

  /** Above 0, at most 1. */
  get share(): number {
    return this.#share;
  }

  /** Complaints that come together count once. */
  slowDown(nowMs: number): void {
    if (nowMs - this.#changedMs < STEP_MS) return;
    this.#share = Math.max(SHARE_MIN, this.#share / 2);
    this.#changedMs = nowMs;
  }

  recover(nowMs: number): void {
    if (this.#share === 1 || nowMs - this.#changedMs < STEP_MS) return;
    this.#share = Math.min(1, this.#share * 1.25);
    this.#changedMs = nowMs;
  }
}
