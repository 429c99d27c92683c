/**
 * Lets bodies that are loaded ahead rest while a reader of this peer waits for a fill: line, disk
 * and processor are the reader's then.
 *
 * A rest is bounded: each body goes on by one piece several times a second however many readers
 * come, so that loads are slow under their crowd and never stand still, and no server takes the
 * connection for dead.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { DemandCount } from '../../demand-count.ts';

const REST_MAX_MS = 200;
const LOOK_MS = 4;

export class DemandPause {
  readonly #demands: Pick<DemandCount, 'value'>;
  /** All that rest look at the same moments. */
  #look: Promise<void> | undefined;

  constructor(demands: Pick<DemandCount, 'value'>) {
    this.#demands = demands;
  }

  get isOn(): boolean {
    return this.#demands.value > 0;
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
