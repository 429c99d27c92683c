/**
 * Results on their way to one leader: collected for a moment, sent in order, repeated until they
 * are taken. Bounded by the window that the leader was granted.
 */
import { toRingloadError } from '../base/errors.ts';
import type { Clock, Timer } from '../base/clock.ts';
import type { PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { TallyCounts } from '../cluster/job-record.ts';
import type { LeaderTransport, PassRef, TaskResult } from './protocol.ts';
import { backoffMs } from './retry-policy.ts';

export interface OutboxOptions {
  readonly leader: LeaderTransport;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: { readonly resultDelayMs: number; readonly resultBatchMaxCount: number };
  readonly generation: number;
  readonly pass: PassRef;
  readonly to: PeerId;
  readonly tally: () => TallyCounts;
}

export class ResultOutbox {
  readonly #options: OutboxOptions;
  #results: TaskResult[] = [];
  #timer: Timer | undefined;
  #sending = false;
  #failureCount = 0;
  #closed = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  add(result: TaskResult): void {
    if (this.#closed) return;
    this.#results.push(result);
    if (this.#results.length >= this.#options.limits.resultBatchMaxCount) void this.#send();
    else this.#later(this.#options.limits.resultDelayMs);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#results = [];
  }

  #later(delayMs: number): void {
    if (this.#timer || this.#sending || this.#closed) return;
    this.#timer = this.#options.clock.setTimer(delayMs, () => void this.#send());
  }

  async #send(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#sending || this.#closed || this.#results.length === 0) return;
    this.#sending = true;
    const { pass, to, generation, tally, leader, limits } = this.#options;
    const results = this.#results.slice(0, limits.resultBatchMaxCount);
    try {
      await leader.sendResults(to, { ...pass, results, tally: { ...tally() }, generation });
      this.#results.splice(0, results.length);
      this.#failureCount = 0;
    } catch (thrown) {
      const error = toRingloadError(thrown);
      this.#failureCount += 1;
      this.#options.logger.debug('results not taken', { code: error.code, job: pass.jobId });
      if (error.code === 'stale_term') this.close();
    }
    this.#sending = false;
    if (this.#results.length === 0) return;
    this.#later(this.#failureCount === 0 ? 0 : backoffMs(this.#failureCount, 100, 2000));
  }
}
