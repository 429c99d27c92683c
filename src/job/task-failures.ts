/** What a task that failed means: for its unit another try, for its file or its job the end. */
import type { WireError } from '../base/errors.ts';
import type { Assigner } from './assigner.ts';
import type { FileRun } from './file-run.ts';
import type { IncidentLog } from './incident-log.ts';
import type { PassAccount } from './pass-account.ts';
import { classify } from './retry-policy.ts';
import type { RunLimits } from './run-contract.ts';
import type { TaskRun } from './unit.ts';

export interface TaskFailuresOptions {
  readonly limits: Pick<RunLimits, 'taskRetryMaxCount' | 'throttlePatienceMs' | 'silentAfterMs'>;
  readonly assigner: Assigner;
  readonly account: PassAccount;
  readonly incidents: IncidentLog;
  readonly failJob: (error: WireError) => void;
  readonly failFile: (file: FileRun, error: WireError) => void;
  /** The object is another version now, or gone. */
  readonly restat: (task: TaskRun, error: WireError) => void;
}

export class TaskFailures {
  readonly #options: TaskFailuresOptions;

  constructor(options: TaskFailuresOptions) {
    this.#options = options;
  }

  take(task: TaskRun, error: WireError, nowMs: number): void {
    const { assigner, failJob, restat } = this.#options;
    const { unit } = task;
    if (error.code === 'ufs_throttled') assigner.slowDown(nowMs);
    if (unit.closed || unit.file.failure) return;
    // Nothing is lost: it copies when somebody holds it.
    if (task.kind === 'follow') {
      assigner.again(unit);
      return;
    }
    if (task.kind === 'relay') unit.mayLend = false;
    if (task.recalledMs !== undefined && error.code === 'cancelled') {
      assigner.again(unit);
      return;
    }
    const action = classify(error);
    // Why: a helper that has no room says nothing about the owner's.
    if (task.kind === 'relay' && action === 'fail-file') {
      assigner.again(unit);
      return;
    }
    if (action === 'restat') restat(task, error);
    else if (action === 'fail-job') failJob(error);
    else if (action === 'fail-file') this.fail(task, error);
    else if (action === 'refetch') this.#refetch(task, error, nowMs);
    else if (action === 'wait') this.#waitForStore(task, error, nowMs);
    else this.retry(task, error, nowMs, action === 'elsewhere');
  }

  /** Its owner fell silent. */
  takeSilence(task: TaskRun, nowMs: number): void {
    const seconds = String(Math.round(this.#options.limits.silentAfterMs / 1000));
    const message = `peer ${task.owner} said nothing about the job for ${seconds} s`;
    this.take(task, { code: 'deadline_exceeded', message }, nowMs);
  }

  /** Another try, while the unit has any left. */
  retry(task: TaskRun, error: WireError, nowMs: number, elsewhere = false): void {
    const { limits, assigner } = this.#options;
    const { unit } = task;
    if (unit.attempts >= limits.taskRetryMaxCount) {
      this.fail(task, error);
      return;
    }
    this.#note(task, error);
    assigner.retryLater(unit, nowMs, elsewhere);
  }

  /** For good, and its file with it. */
  fail(task: TaskRun, error: WireError): void {
    this.#options.incidents.taskFailed(task, error);
    this.#options.failFile(task.unit.file, error);
  }

  /** The store is busy, the task is not to blame: its attempts are for other failures. */
  #waitForStore(task: TaskRun, error: WireError, nowMs: number): void {
    const { limits, assigner } = this.#options;
    const { unit } = task;
    unit.throttledSinceMs ??= nowMs;
    if (nowMs - unit.throttledSinceMs >= limits.throttlePatienceMs) {
      this.retry(task, error, nowMs);
      return;
    }
    this.#note(task, error);
    assigner.waitForStore(unit, nowMs);
  }

  /** Bytes that do not match their checksum may have been spoilt on the way, but not twice. */
  #refetch(task: TaskRun, error: WireError, nowMs: number): void {
    if (task.unit.refetched) this.fail(task, error);
    else this.retry(task, error, nowMs);
    task.unit.refetched = true;
  }

  #note(task: TaskRun, error: WireError): void {
    this.#options.incidents.taskRetried(task, error);
    this.#options.account.countRetry(task.unit.file);
  }
}
