/** The newest failures and retries of a job, bounded, for reports. */
import type { WireError } from '../base/errors.ts';
import type { FailedFile, TaskIncident } from './job-status.ts';
import type { TaskRun } from './unit.ts';
import { reasonOf } from './retry-policy.ts';

/** Alluxio keeps as many. */
const KEPT_MAX_COUNT = 1000;

export class IncidentLog {
  #failures: FailedFile[] = [];
  #lastPassFailures: readonly FailedFile[] = [];
  readonly #failedTasks: TaskIncident[] = [];
  readonly #retryingTasks: TaskIncident[] = [];

  get failures(): readonly FailedFile[] {
    return this.#failures;
  }
  /** Those of the pass before this one. */
  get lastPassFailures(): readonly FailedFile[] {
    return this.#lastPassFailures;
  }
  get failedTasks(): readonly TaskIncident[] {
    return this.#failedTasks;
  }
  get retryingTasks(): readonly TaskIncident[] {
    return this.#retryingTasks;
  }

  restore(failures: readonly FailedFile[], lastPassFailures: readonly FailedFile[]): void {
    this.#failures = [...failures];
    this.#lastPassFailures = lastPassFailures;
  }

  /** A later pass counts failures again. */
  startPass(): void {
    this.#lastPassFailures = this.#failures;
    this.#failures = [];
  }

  fileFailed(failure: FailedFile): void {
    keep(this.#failures, failure);
  }

  taskFailed(task: TaskRun, error: WireError): void {
    keep(this.#failedTasks, describe(task, error));
  }

  taskRetried(task: TaskRun, error: WireError): void {
    keep(this.#retryingTasks, describe(task, error));
  }
}

function keep<T>(list: T[], item: T): void {
  list.push(item);
  if (list.length > KEPT_MAX_COUNT) list.splice(0, list.length - KEPT_MAX_COUNT);
}

function describe(task: TaskRun, error: WireError): TaskIncident {
  const { unit, owner } = task;
  const { path } = unit.file.object;
  const shardingKey = unit.index > 0 ? `${path}${String(unit.index)}` : path;
  return {
    task: `LoadDataSubTask{UfsPath=${path}, ShardingKey=${shardingKey}, Worker=${owner}}`,
    reason: reasonOf(error),
    message: error.message,
  };
}
