/**
 * Lets bodies that are loaded ahead rest while a reader of this peer waits for a fill: line, disk
 * and processor are the reader's then.
 *
 * A rest is bounded: each body goes on by one piece several times a second however many readers
 * come, so that loads are slow under their crowd and never stand still, and no server takes the
 * connection for dead. A fill that has gone on for seconds waits for somebody else: nothing rests
 * for it any more.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { DemandCount } from '../../demand-count.ts';

const REST_MAX_MS = 200;
const LOOK_MS = 4;
const DEMAND_MAX_MS = 2000;

export class DemandPause {
  readonly #demands: Pick<DemandCount, 'value' | 'begunCount'>;
  readonly #nowMs: () => number;
  /** Of the demand that began last, as far as it was noticed. */
  #begunCount = 0;
  #begunMs = -Infinity;
  /** All that rest look at the same moments. */
  #look: Promise<void> | undefined;

  constructor(demands: Pick<DemandCount, 'value' | 'begunCount'>, nowMs: () => number) {
    this.#demands = demands;
    this.#nowMs = nowMs;
  }

  get isOn(): boolean {
    const { value, begunCount } = this.#demands;
    if (value === 0) return false;
    const nowMs = this.#nowMs();
    if (begunCount !== this.#begunCount) {
      this.#begunCount = begunCount;
      this.#begunMs = nowMs;
    }
    return nowMs - this.#begunMs < DEMAND_MAX_MS;
  }

  /** Resolves when no reader waits any more, when `isOver` says so, or after a while. */
  async rest(isOver: () => boolean): Promise<void> {
    for (let restedMs = 0; restedMs < REST_MAX_MS && this.isOn && !isOver(); restedMs += LOOK_MS) {
      this.#look ??= delay(LOOK_MS).then(() => {
        this.#look = undefined;
      });
      await this.#look;
    }
  }
}
