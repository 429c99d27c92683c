/** Which jobs have a place to run, and who is next: those that ran before, then by priority, then by age. */
import type { JobId } from '../base/ids.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import { isActiveState, type JobRecord } from '../cluster/job-record.ts';
import { JOB_PRIORITIES } from './spec.ts';

/** Active jobs in the order in which they get their places. */
export function queueOf(state: ClusterState): readonly JobRecord[] {
  const active = [...state.jobs.values()].filter((job) => isActiveState(job.state));
  // In order of submission where nothing else decides: a stable sort, and no clock.
  return active.sort((left, right) => rankOf(left) - rankOf(right));
}

/** Places of those that wait, the next one first, from 1 on. */
export function placesOf(
  state: ClusterState,
  hasPlace: (id: JobId) => boolean,
): ReadonlyMap<JobId, number> {
  const waiting = queueOf(state).filter((job) => job.state === 'WAITING' && !hasPlace(job.id));
  return new Map(waiting.map(({ id }, index) => [id, index + 1]));
}

/** Why a leader's state decides: a job that ran under the last leader keeps its place. */
function rankOf({ state, spec }: JobRecord): number {
  return state === 'WAITING' ? 1 + JOB_PRIORITIES.indexOf(spec.priority ?? 'medium') : 0;
}
