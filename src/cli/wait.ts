/**
 * Waiting for a job to end, whatever happens to the peers meanwhile.
 *
 * A leader change or the death of the peer that was asked is an outage to sit out, not an end:
 * every poll may be answered by another peer, and only the cluster as a whole being silent for
 * long ends the wait. The job itself never depends on anybody waiting for it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import { isActive, isDone, type JobStatus } from '../job/job-status.ts';
import type { RingloadClient } from './client/client.ts';
import type { ProgressReporter } from './progress/reporter.ts';

const POLL_FIRST_MS = 200;
const POLL_MAX_MS = 1_000;
const POLL_TIMEOUT_MS = 5_000;
const LEARN_INTERVAL_MS = 15_000;
const LEARN_TIMEOUT_MS = 3_000;
/** A follower may answer before it has applied the job's creation, but not for long. */
const UNKNOWN_MAX_MS = 10_000;
/** Likewise for a STOPPED that the resumption of the job has overtaken. */
const STALE_STOP_MAX_MS = 5_000;

export interface WaitOptions {
  readonly reporter: ProgressReporter;
  /** How long the whole cluster may be silent. */
  readonly outageMaxMs: number;
  /** Absent: as long as it takes. */
  readonly waitMaxMs?: number;
  readonly signal: AbortSignal;
}

/**
 * Resolves with the status of a job that is no longer active.
 * @throws deadline_exceeded after `waitMaxMs`; what the cluster answered last, after
 *   `outageMaxMs` without an answer; cancelled when the signal is aborted.
 */
export async function waitForJob(
  client: RingloadClient,
  jobId: string,
  options: WaitOptions,
): Promise<JobStatus> {
  const { reporter, signal } = options;
  const startedMs = performance.now();
  const outage = new Outage(options.outageMaxMs);
  let learnAtMs = startedMs;
  let pollMs = POLL_FIRST_MS;
  let staleStopSinceMs: number | undefined;
  for (;;) {
    if (performance.now() >= learnAtMs) {
      await client.learnPeers({ timeoutMs: LEARN_TIMEOUT_MS, signal });
      learnAtMs = performance.now() + LEARN_INTERVAL_MS;
    }
    const status = await poll(client, jobId, { outage, options });
    const nowMs = performance.now();
    if (status) {
      reporter.update(status, nowMs);
      staleStopSinceMs = status.stale ? (staleStopSinceMs ?? nowMs) : undefined;
      if (isDone(status.state)) return status;
      const isSettled = nowMs - (staleStopSinceMs ?? nowMs) >= STALE_STOP_MAX_MS || !status.stale;
      if (!isActive(status.state) && isSettled) return status;
    }
    const leftMs = startedMs + (options.waitMaxMs ?? Number.POSITIVE_INFINITY) - nowMs;
    if (leftMs <= 0) {
      throw new RingloadError('deadline_exceeded', 'the job has not ended within --max-wait');
    }
    await pause(Math.min(pollMs, leftMs), signal);
    pollMs = Math.min(POLL_MAX_MS, pollMs * 1.2);
  }
}

interface PollState {
  readonly outage: Outage;
  readonly options: WaitOptions;
}

/** Undefined: no useful answer this time. */
async function poll(
  client: RingloadClient,
  jobId: string,
  { outage, options }: PollState,
): Promise<JobStatus | undefined> {
  try {
    const status = await client.job(jobId, { timeoutMs: POLL_TIMEOUT_MS, signal: options.signal });
    outage.end();
    return status;
  } catch (thrown) {
    const nowMs = performance.now();
    outage.record(toRingloadError(thrown), nowMs);
    options.reporter.outage('waiting for the cluster', nowMs);
    return undefined;
  }
}

/** Tells how long there has been no answer, and ends the wait when that is too long. */
class Outage {
  readonly #maxMs: number;
  #sinceMs: number | undefined;

  constructor(maxMs: number) {
    this.#maxMs = maxMs;
  }

  end(): void {
    this.#sinceMs = undefined;
  }

  /** @throws the error itself when it is not one to sit out, or has lasted too long. */
  record(error: RingloadError, nowMs: number): void {
    const isUnknown = error.code === 'not_found';
    if (!error.retryable && !isUnknown) throw error;
    this.#sinceMs ??= nowMs;
    const maxMs = isUnknown ? Math.min(this.#maxMs, UNKNOWN_MAX_MS) : this.#maxMs;
    if (nowMs - this.#sinceMs >= maxMs) throw error;
  }
}

async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(delayMs, undefined, { signal });
  } catch (error) {
    throw signal.reason instanceof RingloadError ? signal.reason : error;
  }
}
