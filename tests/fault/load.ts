/** One load job on a stage: how far it is, how it ends. */
import type { JobState, JobStatus } from '../../src/job/job-status.ts';
import type { FileSet, Stage } from './stage.ts';

export interface LoadOptions {
  readonly replicas?: number;
  readonly verify?: boolean;
  readonly [option: string]: unknown;
}

export class Load {
  readonly id: string;
  readonly files: FileSet;
  readonly replicaCount: number;
  readonly stage: Stage;

  constructor(stage: Stage, job: { id: string; files: FileSet; replicaCount: number }) {
    this.stage = stage;
    this.id = job.id;
    this.files = job.files;
    this.replicaCount = job.replicaCount;
  }

  /** As the cluster knows it now, confirmed by a quorum. */
  status(): Promise<JobStatus> {
    return this.stage.cluster.waitFor(async () => {
      const status = await this.stage.cluster.status(this.id);
      return status?.stale === false ? status : undefined;
    }, `a current status of job ${this.id}`);
  }

  /** Waits until the running job is so far. @throws when it ended before. */
  reaches(isThere: (status: JobStatus) => boolean, what: string): Promise<JobStatus> {
    return this.stage.cluster.waitFor(
      async () => {
        const status = await this.stage.cluster.status(this.id);
        if (status === undefined || status.stale) return undefined;
        return isThere(status) ? status : undefined;
      },
      `the load to reach: ${what}`,
      60_000,
    );
  }

  /** Waits until a part of the bytes is loaded and another part is not. */
  async isUnderWay(): Promise<JobStatus> {
    const status = await this.reaches(
      ({ counters, state }) =>
        counters.loadedBytes > 0 || state === 'SUCCEEDED' || state === 'FAILED',
      'some bytes loaded',
    );
    if (status.state !== 'RUNNING') {
      throw new Error(`the load is ${status.state} already: it came too fast for the story`);
    }
    return status;
  }

  succeeds(deadlineMs?: number): Promise<JobStatus> {
    return this.ends('SUCCEEDED', deadlineMs);
  }

  fails(deadlineMs?: number): Promise<JobStatus> {
    return this.ends('FAILED', deadlineMs);
  }

  /** @throws with every peer's last lines when it ends in another state. */
  ends(state: JobState, deadlineMs?: number): Promise<JobStatus> {
    return this.stage.cluster.waitForState(this.id, state, deadlineMs);
  }
}
