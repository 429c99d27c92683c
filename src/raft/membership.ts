/**
 * What a leader refuses before it proposes a change of membership. Pure.
 *
 * The library installs an empty configuration when a change turns out to be impossible, lets a
 * leader that removed itself go on leading, and does not look whether those who have to vote
 * afterwards are there. So every change is judged here first, and only single steps are made.
 */
import { RingloadError } from '../base/errors.ts';
import type { LogIndex, RaftId } from '../base/ids.ts';
import type { MembershipChange } from './consensus.ts';

export interface MembershipView {
  readonly self: RaftId;
  readonly voters: readonly RaftId[];
  readonly learners: readonly RaftId[];
  readonly commitIndex: LogIndex;
  readonly matchIndex: ReadonlyMap<RaftId, LogIndex>;
  /** Whether the member was heard of lately. */
  readonly isActive: (id: RaftId) => boolean;
  /** How many entries a learner may lack and still get a vote. */
  readonly promoteLagEntries: number;
}

export function quorumOf(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1;
}

/** Voters as they are after `change`. */
export function votersAfter(voters: readonly RaftId[], change: MembershipChange): RaftId[] {
  const others = voters.filter((id) => id !== change.id);
  if (change.kind === 'add-voter') return [...others, change.id];
  return change.kind === 'add-learner' && voters.includes(change.id) ? [...voters] : others;
}

/** Whether nothing is left to do for `change`. */
export function isSatisfied(change: MembershipChange, view: MembershipView): boolean {
  switch (change.kind) {
    case 'add-voter':
      return view.voters.includes(change.id);
    case 'add-learner':
    case 'demote':
      return view.learners.includes(change.id);
    case 'remove':
      return !view.voters.includes(change.id) && !view.learners.includes(change.id);
  }
}

/** @throws conflict when `change` is impossible or would put the cluster at risk. */
export function checkMembershipChange(change: MembershipChange, view: MembershipView): void {
  const { id, kind } = change;
  const isVoter = view.voters.includes(id);
  if (kind === 'add-learner' && isVoter) refuse(`member ${id} votes already: demote it instead`);
  if (kind === 'demote' && !isVoter) refuse(`member ${id} has no vote to lose`);
  if ((kind === 'demote' || kind === 'remove') && id === view.self) {
    refuse(`member ${id} leads: transfer leadership first`);
  }
  if (kind === 'add-voter') checkPromotion(id, view);
  const voters = votersAfter(view.voters, change);
  if (voters.length === 0) refuse(`member ${id} is the last one that votes`);
  const activeCount = voters.filter((voter) => voter === view.self || view.isActive(voter)).length;
  if (voters.length !== view.voters.length && activeCount < quorumOf(voters.length)) {
    refuse(`only ${activeCount} of ${voters.length} voters would be active after this change`);
  }
}

function checkPromotion(id: RaftId, view: MembershipView): void {
  if (!view.learners.includes(id)) refuse(`member ${id} has to be added as a learner first`);
  const lag = view.commitIndex - (view.matchIndex.get(id) ?? 0);
  if (lag > view.promoteLagEntries) refuse(`member ${id} still lacks ${lag} entries`);
}

function refuse(reason: string): never {
  throw new RingloadError('conflict', `refuse the membership change: ${reason}`);
}
