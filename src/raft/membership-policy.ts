/**
 * Who should vote: a pure decision, one small step at a time, made by the leader from what it
 * knows of the members.
 *
 * Goals, in this order: never a configuration without a live majority; an odd number of voters;
 * as many as `targetVoterCount` says; spread over zones; nobody who leaves or is long gone.
 *
 * Two members have one voter: with two, the death of either stops the cluster, with one only the
 * death of the voter does. So votes are given in pairs, from one to three and from three to five,
 * as soon as two learners have caught up: a cluster of three has three voters within two commits.
 */
import type { RaftId } from '../base/ids.ts';
import type { MembershipChange, RaftStatus } from './consensus.ts';
import { isSatisfied, quorumOf, votersAfter } from './membership.ts';

export interface MemberHealth {
  readonly raftId: RaftId;
  readonly alive: boolean;
  /** How long it has not been alive; 0 while it is. */
  readonly goneForMs: number;
  /** Members of one zone may fail together; undefined when zones are not used. */
  readonly zone: string | undefined;
  /** It is to lose its place in the cluster. */
  readonly leaving: boolean;
}

export interface MembershipLimits {
  /** Rounded down to an odd number; default of the configuration 5. */
  readonly maxVoters: number;
  /** After which time a voter that is gone loses its vote to a live learner. */
  readonly replaceAfterMs: number;
  /** Entries that a learner may lack when it gets a vote. */
  readonly promoteLagEntries: number;
}

/** Votes for a cluster of `memberCount` members that all mean to stay. */
export function targetVoterCount(memberCount: number, maxVoters: number): number {
  const wanted = memberCount >= 5 ? 5 : memberCount >= 3 ? 3 : 1;
  const most = Math.max(1, maxVoters);
  return Math.min(wanted, most % 2 === 0 ? most - 1 : most);
}

/**
 * The next change to make; undefined when all is well, when nothing can be done safely, or when
 * this member does not lead. It never takes the leader's own vote: a leader that leaves gets
 * undefined as soon as somebody can take over, and has to hand over first.
 */
export function planMembership(
  status: RaftStatus,
  members: readonly MemberHealth[],
  limits: MembershipLimits,
): MembershipChange | undefined {
  if (status.role !== 'leader') return undefined;
  const view = new PolicyView(status, members, limits);
  return view.candidates().find((change) => view.isSafe(change));
}

class PolicyView {
  readonly #status: RaftStatus;
  readonly #limits: MembershipLimits;
  readonly #members: ReadonlyMap<RaftId, MemberHealth>;
  readonly #target: number;

  constructor(status: RaftStatus, members: readonly MemberHealth[], limits: MembershipLimits) {
    this.#status = status;
    this.#limits = limits;
    this.#members = new Map(members.map((member) => [member.raftId, member]));
    const stayingCount = [...this.#members.values()].filter((member) => !member.leaving).length;
    this.#target = targetVoterCount(stayingCount, limits.maxVoters);
  }

  /** What would help, the most urgent first. */
  candidates(): MembershipChange[] {
    if (this.#members.get(this.#status.id)?.leaving) return this.#successions();
    return [
      ...this.#removals(this.#status.learners),
      ...this.#additions(),
      ...this.#promotions(),
      ...this.#surplus(),
      ...this.#removals(this.#status.voters),
    ];
  }

  /** Whether those who live are a majority before and after, and somebody else pays. */
  isSafe(change: MembershipChange): boolean {
    const { id, voters, learners } = this.#status;
    if (change.id === id) return false;
    const unchanged = { ...this.#status, self: id, isActive: () => true, promoteLagEntries: 0 };
    if (isSatisfied(change, { ...unchanged, voters, learners })) return false;
    const after = votersAfter(voters, change);
    return this.#hasLiveMajority(voters) && this.#hasLiveMajority(after);
  }

  /**
   * A leader that leaves only sees to it that somebody can take over; the rest is for that one to
   * plan, lest the last vote be one that has to go.
   */
  #successions(): MembershipChange[] {
    const hasSuccessor = this.#status.voters.some(
      (id) => id !== this.#status.id && this.#isFit(id),
    );
    return hasSuccessor ? [] : this.#heirs().map((id) => ({ kind: 'add-voter', id }));
  }

  /** New members listen first. */
  #additions(): MembershipChange[] {
    const { voters, learners } = this.#status;
    return [...this.#members.values()]
      .filter((member) => member.alive && !member.leaving)
      .map((member) => member.raftId)
      .filter((id) => !voters.includes(id) && !learners.includes(id))
      .map((id) => ({ kind: 'add-learner', id }));
  }

  /** Members that leave, or that nobody knows. */
  #removals(ids: readonly RaftId[]): MembershipChange[] {
    return ids
      .filter((id) => this.#members.get(id)?.leaving ?? true)
      .map((id) => ({ kind: 'remove', id }));
  }

  #promotions(): MembershipChange[] {
    const voterCount = this.#status.voters.length;
    const heirs = this.#heirs();
    const isOdd = voterCount % 2 === 1;
    const isTooFew = voterCount < this.#target && (!isOdd || heirs.length >= 2);
    // Why not more than one above: the next step takes a vote from one of the unfit.
    const isReplacement = isOdd && voterCount <= this.#target && this.#unfit().length > 0;
    if (!isTooFew && !isReplacement) return [];
    return heirs.map((id) => ({ kind: 'add-voter', id }));
  }

  /** Votes to take away: too many, or an even number that nobody can make odd upwards. */
  #surplus(): MembershipChange[] {
    const { voters, learners } = this.#status;
    const isTooMany = voters.length > this.#target;
    const hasHope = learners.some((id) => this.#isFit(id));
    const isStuckEven = voters.length % 2 === 0 && !hasHope;
    const losers = isTooMany || isStuckEven ? this.#losers() : [];
    return losers.map((id) => ({
      kind: this.#members.get(id)?.leaving === false ? 'demote' : 'remove',
      id,
    }));
  }

  /** Learners that may vote now, those of the least represented zone first. */
  #heirs(): RaftId[] {
    const { learners, commitIndex, matchIndex } = this.#status;
    return learners
      .filter((id) => this.#isFit(id))
      .filter((id) => commitIndex - (matchIndex.get(id) ?? 0) <= this.#limits.promoteLagEntries)
      .sort((a, b) => this.#zoneWeight(a) - this.#zoneWeight(b) || a - b);
  }

  /** Voters, those who would be missed least first; the leader is not among them. */
  #losers(): RaftId[] {
    const unfit = new Set(this.#unfit());
    const health = (id: RaftId): number =>
      unfit.has(id) ? 0 : this.#members.get(id)?.alive ? 2 : 1;
    return this.#status.voters
      .filter((id) => id !== this.#status.id)
      .sort((a, b) => health(a) - health(b) || this.#zoneWeight(b) - this.#zoneWeight(a) || b - a);
  }

  /** Voters that should not have a vote any longer. */
  #unfit(): RaftId[] {
    return this.#status.voters.filter((id) => {
      if (id === this.#status.id) return false;
      const member = this.#members.get(id);
      if (!member || member.leaving) return true;
      return !member.alive && member.goneForMs >= this.#limits.replaceAfterMs;
    });
  }

  #isFit(id: RaftId): boolean {
    const member = this.#members.get(id);
    return member?.alive === true && !member.leaving;
  }

  #zoneWeight(id: RaftId): number {
    const zone = this.#members.get(id)?.zone;
    return this.#status.voters.filter((voter) => this.#members.get(voter)?.zone === zone).length;
  }

  #hasLiveMajority(voters: readonly RaftId[]): boolean {
    const liveCount = voters.filter(
      (id) => id === this.#status.id || this.#members.get(id)?.alive === true,
    ).length;
    return voters.length > 0 && liveCount >= quorumOf(voters.length);
  }
}
