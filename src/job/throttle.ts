/** How much of their windows owners may use: halved when the under store complains, then regrown. */
const SHARE_MIN = 1 / 64;
const STEP_MS = 500;
/** Quiet before the share grows again: owners that were told to wait come back within it. */
const QUIET_MS = 2000;

export class Throttle {
  #share = 1;
  #changedMs = -Infinity;
  #complaintMs = -Infinity;

  /** Above 0, at most 1. */
  get share(): number {
    return this.#share;
  }

  /** Complaints that come together count once. */
  slowDown(nowMs: number): void {
    this.#complaintMs = nowMs;
    if (nowMs - this.#changedMs < STEP_MS) return;
    this.#share = Math.max(SHARE_MIN, this.#share / 2);
    this.#changedMs = nowMs;
  }

  recover(nowMs: number): void {
    const isQuiet = nowMs - this.#complaintMs >= QUIET_MS;
    if (this.#share === 1 || !isQuiet || nowMs - this.#changedMs < STEP_MS) return;
    this.#share = Math.min(1, this.#share * 1.25);
    this.#changedMs = nowMs;
  }
}
