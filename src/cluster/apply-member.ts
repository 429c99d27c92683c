/** Commands about members: admission, announcements, liveness, departure, and the ring's epoch. */
import { epoch, raftId, type PeerId } from '../base/ids.ts';
import { unreachable } from '../base/invariant.ts';
import { done, refuse, type Applied } from './applied.ts';
import { pickAnnouncement } from './check-announcement.ts';
import type { ClusterState } from './cluster-state.ts';
import type { CommandOf } from './commands.ts';
import { isOnRing, type Announcement, type Member, type MemberState } from './member.ts';

type MemberCommand = CommandOf<
  | 'cluster.create'
  | 'member.admit'
  | 'member.announce'
  | 'member.judge'
  | 'member.drain'
  | 'member.remove'
>;

export function applyMemberCommand(state: ClusterState, command: MemberCommand): Applied {
  switch (command.kind) {
    case 'cluster.create':
      return createCluster(state, command);
    case 'member.admit':
      return admitJoiner(state, command);
    case 'member.announce':
      return announce(state, command);
    case 'member.judge':
      return judge(state, command);
    case 'member.drain':
      return changeState(state, command.id, 'draining', command.atMs);
    case 'member.remove':
      return changeState(state, command.id, 'left', command.atMs);
    default:
      return unreachable(command);
  }
}

function createCluster(state: ClusterState, command: CommandOf<'cluster.create'>): Applied {
  if (state.clusterId !== undefined) return done(state, { clusterId: state.clusterId });
  const founder = pickAnnouncement(command.founder);
  if (typeof founder === 'string') return refuse(state, 'invalid_argument', founder);
  return admit({ ...state, clusterId: command.clusterId }, founder, command.atMs);
}

function admitJoiner(state: ClusterState, command: CommandOf<'member.admit'>): Applied {
  // Why: the first number in Raft is the founder's; a joiner that came first would take it.
  if (state.clusterId === undefined) {
    return refuse(state, 'no_leader', 'the cluster is still being founded');
  }
  const member = pickAnnouncement(command.member);
  if (typeof member === 'string') return refuse(state, 'invalid_argument', member);
  return admit(state, member, command.atMs);
}

/** Gives a new peer its number in Raft; admitting a known one again answers with the same. */
function admit(state: ClusterState, announced: Announcement, atMs: number): Applied {
  const known = state.members.get(announced.id);
  if (known?.state === 'left') {
    return refuse(
      state,
      'peer_refused',
      `admit peer ${announced.id}: it has left the cluster for good`,
    );
  }
  if (known) return done(state, { raftId: known.raftId });
  const member: Member = {
    ...announced,
    raftId: raftId(state.nextRaftId),
    state: 'joining',
    stateSinceMs: atMs,
  };
  const next = withMember({ ...state, nextRaftId: state.nextRaftId + 1 }, member);
  return done(next, { raftId: member.raftId });
}

function announce(state: ClusterState, command: CommandOf<'member.announce'>): Applied {
  const announced = pickAnnouncement(command.member);
  if (typeof announced === 'string') return refuse(state, 'invalid_argument', announced);
  const known = state.members.get(announced.id);
  if (!known || known.state === 'left') {
    return refuse(state, 'peer_refused', `announce peer ${announced.id}: it is not a member`);
  }
  if (announced.generation < known.generation) {
    return refuse(
      state,
      'peer_refused',
      `announce peer ${announced.id}: start generation ${String(announced.generation)} is older than ${String(known.generation)}; is its data directory a copy?`,
    );
  }
  const revived = known.state === 'draining' ? 'draining' : 'up';
  const stateSinceMs = known.state === revived ? known.stateSinceMs : command.atMs;
  const next = withMember(state, { ...known, ...announced, state: revived, stateSinceMs });
  return done(next, { epoch: next.epoch });
}

/** A verdict about an earlier start of the process says nothing about this one. */
function judge(state: ClusterState, command: CommandOf<'member.judge'>): Applied {
  const known = state.members.get(command.id);
  const judgeable =
    known && (known.state === 'up' || known.state === 'suspect' || known.state === 'down');
  if (!judgeable || known.generation !== command.generation)
    return done(state, { epoch: state.epoch });
  return changeState(state, command.id, command.verdict, command.atMs);
}

function changeState(state: ClusterState, id: PeerId, to: MemberState, atMs: number): Applied {
  const known = state.members.get(id);
  if (!known) return refuse(state, 'not_found', `no member has the id ${id}`);
  if (known.state === to || known.state === 'left') return done(state, { epoch: state.epoch });
  const next = withMember(state, { ...known, state: to, stateSinceMs: atMs });
  return done(next, { epoch: next.epoch });
}

/** Stores the member; the epoch grows exactly when the set of owners or a weight changes. */
function withMember(state: ClusterState, member: Member): ClusterState {
  const before = state.members.get(member.id);
  const wasOwner = before !== undefined && isOnRing(before);
  const isOwner = isOnRing(member);
  const moved = wasOwner !== isOwner || (isOwner && before?.weight !== member.weight);
  const members = new Map(state.members);
  members.set(member.id, member);
  return { ...state, members, epoch: moved ? epoch(state.epoch + 1) : state.epoch };
}
