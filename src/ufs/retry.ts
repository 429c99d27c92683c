/**
 * How often and how fast a call to an under store is tried again.
 *
 * Two bounds: each call has a number of retries, and all calls to one store share a budget that
 * successes refill, so that a storm of 503s costs at most a tenth more requests. Retrying forever
 * is left to nobody.
 */
import { sleep, type Clock } from '../base/clock.ts';
import type { RingloadError } from '../base/errors.ts';
import { jitter, type Random } from '../base/random.ts';
import { cancellation, throwIfCancelled } from './cancel.ts';

/** A classed error and what to do about it inside the store. */
export interface Failure {
  readonly error: RingloadError;
  /**
   * `soon`: a fresh connection may do; `later`: we are asked to slow down; `corrected`: what was
   * wrong with our signature has been put right.
   */
  readonly again: 'soon' | 'later' | 'corrected' | 'never';
}

/** Tokens shared by all calls to one store: a retry takes one, a success brings a tenth back. */
export class RetryBudget {
  static readonly CAPACITY = 64;
  static readonly REFILL = 0.1;
  #tokens = RetryBudget.CAPACITY;

  take(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  succeeded(): void {
    this.#tokens = Math.min(RetryBudget.CAPACITY, this.#tokens + RetryBudget.REFILL);
  }
}

export interface RetryPolicy {
  readonly clock: Clock;
  readonly random: Random;
  readonly budget: RetryBudget;
  readonly retryMaxCount: number;
  readonly retryDelayMs: number;
  readonly retryDelayMaxMs: number;
  /** Told of each time that the store asks to slow down. */
  readonly onThrottled?: (() => void) | undefined;
}

const THROTTLED_FACTOR = 4;

/** The retries of one call. */
export class RetryLoop {
  readonly #policy: RetryPolicy;
  #count = 0;
  #wasCorrected = false;

  constructor(policy: RetryPolicy) {
    this.#policy = policy;
  }

  /**
   * Waits for the moment to try again.
   * @throws the failure's error when it must not or may no longer be retried; cancelled.
   */
  async waitOrThrow(failure: Failure, signal: AbortSignal): Promise<void> {
    const { clock, random, retryMaxCount, retryDelayMs, retryDelayMaxMs } = this.#policy;
    throwIfCancelled(signal);
    if (failure.again === 'later') this.#policy.onThrottled?.();
    if (failure.again === 'never' || this.#count >= retryMaxCount || !this.#mayRetry(failure)) {
      throw failure.error;
    }
    const factor = failure.again === 'later' ? THROTTLED_FACTOR : 1;
    const delayMs = Math.min(retryDelayMaxMs, retryDelayMs * factor * 2 ** this.#count++);
    try {
      await sleep(clock, jitter(random, delayMs), signal);
    } catch {
      throw cancellation(signal);
    }
  }

  /** The store is well where the fault was ours: that costs the budget nothing, once in a call. */
  #mayRetry({ again }: Failure): boolean {
    if (again !== 'corrected' || this.#wasCorrected) return this.#policy.budget.take();
    this.#wasCorrected = true;
    return true;
  }
}
