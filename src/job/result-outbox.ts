/**
 * Results on their way to one leader: collected for a moment, sent in order, repeated until they
 * are taken. Bounded by the window that the leader was granted.
 */
import { toRingloadError } from '../base/errors.ts';
import type { Clock, Timer } from '../base/clock.ts';
import { failpoint, pausePoint } from '../base/failpoint.ts';
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
  /** The leader does not want results of this order any more. */
  readonly onRefused: () => void;
}

const RETRY_DELAY_MS = 100;
const RETRY_DELAY_MAX_MS = 2000;

export class ResultOutbox {
  readonly #options: OutboxOptions;
  #results: TaskResult[] = [];
  #begun: number[] = [];
  #timer: Timer | undefined;
  #sending = false;
  #failureCount = 0;
  #failingSinceMs: number | undefined;
  #closed = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** How long the leader has not been reached; 0 while it is. */
  silentForMs(nowMs: number): number {
    return this.#failingSinceMs === undefined ? 0 : nowMs - this.#failingSinceMs;
  }

  add(result: TaskResult): void {
    if (this.#closed) return;
    this.#results.push(result);
    const { resultBatchMaxCount, resultDelayMs } = this.#options.limits;
    const isFull = this.#results.length >= resultBatchMaxCount;
    // Why not at once after a failure: each new result would be one more try.
    if (isFull && this.#failureCount === 0) void this.#send();
    else this.#later(resultDelayMs);
  }

  /** Others may follow that task. Told once: what is lost costs time only. */
  begun(taskId: number): void {
    if (this.#closed) return;
    this.#begun.push(taskId);
    if (this.#failureCount > 0) return;
    // Why sooner than results: every moment is one in which nobody follows.
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#later(0);
  }

  /** Tells the leader that work goes on, unless results are about to tell it. */
  beat(): void {
    if (this.#results.length === 0) void this.#send();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#results = [];
    this.#begun = [];
  }

  #later(delayMs: number): void {
    if (this.#timer || this.#sending || this.#closed) return;
    this.#timer = this.#options.clock.setTimer(delayMs, () => void this.#send());
  }

  async #send(): Promise<void> {
    if (this.#sending || this.#closed) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#sending = true;
    const { pass, to, generation, tally, leader, limits } = this.#options;
    const results = this.#results.slice(0, limits.resultBatchMaxCount);
    const begun = this.#begun.splice(0);
    try {
      const begins = pausePoint('owner.report.begin');
      if (begins) await begins;
      const frame = { ...pass, results, tally: { ...tally() }, generation };
      const sent = leader.sendResults(to, begun.length > 0 ? { ...frame, begun } : frame);
      failpoint('owner.report.sent');
      await sent;
      this.#results.splice(0, results.length);
      this.#failureCount = 0;
      this.#failingSinceMs = undefined;
    } catch (thrown) {
      this.#failed(thrown);
    }
    this.#sending = false;
    if (this.#begun.length > 0 && this.#failureCount === 0) this.#later(0);
    if (this.#results.length === 0) return;
    const isFailing = this.#failureCount > 0;
    const retryMs = backoffMs(this.#failureCount, RETRY_DELAY_MS, RETRY_DELAY_MAX_MS);
    const isFull = this.#results.length >= limits.resultBatchMaxCount;
    this.#later(isFailing ? retryMs : isFull ? 0 : limits.resultDelayMs);
  }

  #failed(thrown: unknown): void {
    const { clock, logger, pass, onRefused } = this.#options;
    const { code } = toRingloadError(thrown);
    this.#failureCount += 1;
    this.#failingSinceMs ??= clock.nowMs();
    logger.debug('results not taken', { code, job: pass.jobId });
    if (code !== 'stale_term') return;
    this.close();
    onRefused();
  }
}
