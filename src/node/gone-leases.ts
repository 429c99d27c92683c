/** Leases that a restart brought back, of jobs that have ended meanwhile. */
import type { JobId } from '../base/ids.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import { isActiveState } from '../cluster/job-record.ts';

interface LeaseStore {
  leaseHolders(): ReadonlySet<JobId>;
  releaseLease(job: JobId): void;
}

export function releaseGoneLeases(store: LeaseStore, { jobs }: ClusterState): void {
  for (const holder of store.leaseHolders()) {
    const job = jobs.get(holder.split('/')[0] as JobId);
    if (!job || !isActiveState(job.state)) store.releaseLease(holder);
  }
}
