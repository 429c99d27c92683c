/** Ticks at a steady rate: late timers are made up for, by one tick at most. */
import type { Clock, Timer } from '../base/clock.ts';

export class Ticker {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #onTick: () => void;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(clock: Clock, tickMs: number, onTick: () => void) {
    this.#clock = clock;
    this.#tickMs = tickMs;
    this.#onTick = onTick;
  }

  start(): void {
    this.#schedule(this.#clock.nowMs());
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #schedule(lastDueMs: number): void {
    if (this.#isStopped) return;
    const clock = this.#clock;
    // Why not simply now + tick: timers are late, and heartbeats must not slow down with load.
    const dueMs = Math.max(lastDueMs + this.#tickMs, clock.nowMs());
    this.#timer = clock.setTimer(dueMs - clock.nowMs(), () => {
      this.#onTick();
      this.#schedule(Math.max(dueMs, clock.nowMs() - this.#tickMs));
    });
  }
}
