/** Units between two attempts: each waits longer than the time before, and not all equally long. */
import { jitter, type Random } from '../base/random.ts';
import { backoffMs } from './retry-policy.ts';
import type { Unit } from './unit.ts';

export interface RestLimits {
  readonly retryDelayMs: number;
  readonly retryDelayMaxMs: number;
}

export class RestingUnits {
  readonly #limits: RestLimits;
  readonly #random: Random;
  readonly #units = new Set<Unit>();

  constructor(limits: RestLimits, random: Random) {
    this.#limits = limits;
    this.#random = random;
  }

  get count(): number {
    return this.#units.size;
  }

  /** @param timesCount how often it rested for that reason, this time included. */
  add(unit: Unit, timesCount: number, nowMs: number): void {
    const { retryDelayMs, retryDelayMaxMs } = this.#limits;
    unit.dueMs = nowMs + jitter(this.#random, backoffMs(timesCount, retryDelayMs, retryDelayMaxMs));
    this.#units.add(unit);
  }

  /** It waits for something else now, or is given up. */
  delete(unit: Unit): void {
    this.#units.delete(unit);
  }

  /** Those whose rest is over. */
  takeDue(nowMs: number): Unit[] {
    const due = [...this.#units].filter(({ dueMs }) => dueMs <= nowMs);
    for (const unit of due) {
      unit.dueMs = 0;
      this.#units.delete(unit);
    }
    return due;
  }
}
