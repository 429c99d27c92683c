/** Who is to lead next, when the leader goes. */
import type { PeerId, RaftId } from '../base/ids.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import type { RaftStatus } from '../raft/consensus.ts';

/** The linked voter, not about to leave itself, that has most of the log; undefined: nobody. */
export function successorOf(
  { id, voters, matchIndex }: RaftStatus,
  { members }: ClusterState,
  network: PeerNetwork,
): RaftId | undefined {
  const linked = new Set<PeerId>();
  for (const link of network.links()) if (link.connected) linked.add(link.peerId);
  const fit = new Set<RaftId>();
  for (const member of members.values()) {
    const isLeaving = member.state === 'draining' || member.state === 'left';
    if (linked.has(member.id) && !isLeaving) fit.add(member.raftId);
  }
  return voters
    .filter((voter) => voter !== id && fit.has(voter))
    .sort((a, b) => (matchIndex.get(b) ?? 0) - (matchIndex.get(a) ?? 0))[0];
}
