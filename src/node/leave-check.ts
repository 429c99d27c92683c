/** Whether a member may be taken out of the cluster, or what would break. */
import { RingloadError } from '../base/errors.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import { isOnRing, isPresent, type Member } from '../cluster/member.ts';
import type { RaftStatus } from '../raft/consensus.ts';

/**
 * @throws conflict, and says what to do instead.
 * @param force takes what it costs: copies that are lost with the member, or that have no peer.
 */
export function checkLeave(
  member: Member,
  state: ClusterState,
  { voters }: RaftStatus,
  force: boolean,
): void {
  if (!isPresent(member)) return;
  const others = [...state.members.values()].filter(({ id }) => id !== member.id);
  if (!others.some(isPresent)) {
    throw new RingloadError('conflict', `remove peer ${member.id}: it is the only member`);
  }
  if (force && voters.length === 1 && voters[0] === member.raftId) {
    const message = `remove peer ${member.id} by force: it has the only vote; drain it instead`;
    throw new RingloadError('conflict', message);
  }
  if (force || !isOnRing(member)) return;
  const ownerCount = others.filter(isOnRing).length;
  const replicaCount = mostReplicas(state);
  if (ownerCount >= replicaCount) return;
  const message = `remove peer ${member.id}: ${String(ownerCount)} would stay for loads of ${String(replicaCount)} copies; add a peer first, or force it`;
  throw new RingloadError('conflict', message, { details: { ownerCount, replicaCount } });
}

/** Of all loads that the cluster remembers; data needs one owner at least. */
function mostReplicas({ jobs }: ClusterState): number {
  let most = 1;
  for (const { spec } of jobs.values()) most = Math.max(most, spec.replicaCount);
  return most;
}
