/**
 * How many prefetches may be under way after an under store asked to slow down: half of those that
 * were, and, once it has been quiet for a while, a quarter more every half second, until nothing
 * waits any more. One peer meets the complaint, all members hear of it.
 */
import { sleep, type Clock } from '../base/clock.ts';
import type { Urgency } from './urgency.ts';

const STEP_MS = 500;
/** Fills that were told to wait come back within it. */
const QUIET_MS = 2000;
const GROWTH = 1.25;

export class SlowDown {
  readonly #clock: Clock;
  #limit = Infinity;
  #underWayCount = 0;
  /** The most that were under way of late: at one moment it may be none. */
  #peakCount = 0;
  #peakMs = -Infinity;
  #complaintMs = -Infinity;
  #changedMs = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Fills that may be under way; infinite while nobody complains. */
  get limit(): number {
    return this.#limit;
  }

  /** Complaints that come together count once. @returns whether this one counted */
  complain(): boolean {
    const nowMs = this.#clock.nowMs();
    this.#complaintMs = nowMs;
    if (nowMs - this.#changedMs < STEP_MS) return false;
    this.#limit = Math.max(1, Math.floor(Math.min(this.#limit, this.#peakCount) / 2));
    this.#changedMs = nowMs;
    return true;
  }

  /** Runs `fill` when its turn has come, or a reader wants it. @throws the signal's reason, or what `fill` throws */
  async run<T>(fill: () => Promise<T>, signal: AbortSignal, urgency?: Urgency): Promise<T> {
    while (!this.#mayBegin() && urgency?.isUrgent !== true)
      await sleep(this.#clock, STEP_MS / 10, signal);
    this.#underWayCount++;
    this.#notePeak();
    try {
      return await fill();
    } finally {
      this.#underWayCount--;
    }
  }

  #notePeak(): void {
    const nowMs = this.#clock.nowMs();
    if (this.#underWayCount < this.#peakCount && nowMs - this.#peakMs < STEP_MS) return;
    this.#peakCount = this.#underWayCount;
    this.#peakMs = nowMs;
  }

  #mayBegin(): boolean {
    if (this.#underWayCount < this.#limit) return true;
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#complaintMs < QUIET_MS || nowMs - this.#changedMs < STEP_MS) return false;
    this.#limit = Math.ceil(this.#limit * GROWTH);
    this.#changedMs = nowMs;
    return this.#underWayCount < this.#limit;
  }
}
