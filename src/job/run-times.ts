/**
 * How long runs take, by this peer's monotonic clock: dates jump. Every peer keeps count of what
 * runs. Whoever leads commits its figure with each checkpoint, and the next leader goes on from
 * there with what passed at its own clock, so the time without a leader counts, too; only what
 * passed since the last checkpoint is lost when all peers end at once.
 *
 * Invariant: while this peer lives and the run is active, its figure never falls.
 */
import type { Clock } from '../base/clock.ts';
import type { JobId } from '../base/ids.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import type { Command } from '../cluster/commands.ts';
import { isActiveState, runElapsedOf, type JobRecord } from '../cluster/job-record.ts';

interface Mark {
  readonly record: JobRecord;
  /** Of the run, at `atMs` of the monotonic clock. */
  readonly elapsedMs: number;
  readonly atMs: number;
}

export class RunTimes {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #marks = new Map<JobId, Mark>();
  #jobs: ClusterState['jobs'] | undefined;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  /** To be told of every change. */
  follow({ jobs }: ClusterState): void {
    if (jobs === this.#jobs) return;
    this.#jobs = jobs;
    for (const id of this.#marks.keys()) if (!jobs.has(id)) this.#marks.delete(id);
    for (const record of jobs.values()) {
      if (!isActiveState(record.state)) this.#marks.delete(record.id);
      else if (this.#marks.get(record.id)?.record !== record) this.#mark(record);
    }
  }

  /** Of all runs of the job, in whole milliseconds. */
  elapsedOf(record: JobRecord): number {
    return record.elapsedBeforeMs + this.#runOf(record);
  }

  /** The command as it is committed: with the time that the run has taken. */
  timed(command: Command): Command {
    switch (command.kind) {
      case 'job.checkpoint':
      case 'job.finish':
      case 'job.stop': {
        const record = this.#jobs?.get(command.jobId);
        return record ? { ...command, elapsedMs: this.#runOf(record) } : command;
      }
      default:
        return command;
    }
  }

  #runOf(record: JobRecord): number {
    const mark = this.#marks.get(record.id);
    if (!mark || mark.record.run !== record.run) return runElapsedOf(record);
    return Math.round(mark.elapsedMs + this.#clock.nowMs() - mark.atMs);
  }

  #mark(record: JobRecord): void {
    const atMs = this.#clock.nowMs();
    const before = this.#marks.get(record.id);
    const knownMs = before?.record.run === record.run ? before.elapsedMs + atMs - before.atMs : 0;
    const elapsedMs = Math.max(knownMs, record.runElapsedMs ?? 0);
    this.#marks.set(record.id, { record, elapsedMs, atMs });
  }
}
