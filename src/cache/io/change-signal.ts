/** Wakes those who wait for something to change. A change between looking and waiting counts. */
import type { Clock } from '../../base/clock.ts';

export class ChangeSignal {
  #count = 0;
  #waiters: (() => void)[] = [];

  /** How many changes there were: take it before looking. */
  get count(): number {
    return this.#count;
  }

  notify(): void {
    this.#count++;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  /** Resolves at the first change after `sinceCount`, or after `maxMs`. */
  wait(sinceCount: number, clock: Clock, maxMs: number): Promise<void> {
    if (this.#count !== sinceCount) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = clock.setTimer(maxMs, () => {
        this.#waiters = this.#waiters.filter((waiter) => waiter !== wake);
        resolve();
      });
      const wake = (): void => {
        timer.cancel();
        resolve();
      };
      this.#waiters.push(wake);
    });
  }
}
