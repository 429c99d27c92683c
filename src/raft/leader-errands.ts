/**
 * The two things a leader does on request besides appending commands: one change of membership,
 * and one hand-over of leadership. At most one of each is open.
 */
import { RingloadError } from '../base/errors.ts';
import type { LogIndex, RaftId } from '../base/ids.ts';
import type { MembershipChange } from './consensus.ts';
import type { RaftCore } from './library.ts';
import type { MembershipView } from './membership.ts';
import { checkMembershipChange, isSatisfied } from './membership.ts';
import { PendingCall, deadlineExceeded, leadershipLost, notLeader } from './pending-call.ts';

type ErrandCore = Pick<
  RaftCore,
  | 'hasPendingConfiguration'
  | 'leaderId'
  | 'proposeConfiguration'
  | 'transferLeadership'
  | 'transferTarget'
>;

/** The view of the driver; the match index is only computed when somebody asks. */
export type ErrandView = Omit<MembershipView, 'matchIndex'> & {
  readonly matchIndex: () => ReadonlyMap<RaftId, LogIndex>;
};

interface OpenChange {
  readonly change: MembershipChange;
  readonly context: string;
  readonly call: PendingCall<undefined>;
  isProposed: boolean;
}

interface OpenTransfer {
  readonly to: RaftId;
  readonly call: PendingCall<undefined>;
}

export class LeaderErrands {
  readonly #self: RaftId;
  readonly #contextPrefix: string;
  #sequence = 0;
  #change: OpenChange | undefined;
  #transfer: OpenTransfer | undefined;

  /** @param contextPrefix unique to this life of the member. */
  constructor(self: RaftId, contextPrefix: string) {
    this.#self = self;
    this.#contextPrefix = contextPrefix;
  }

  /** @throws conflict when another change is open */
  addChange(change: MembershipChange, deadlineAtMs: number): Promise<undefined> {
    if (this.#change) throw new RingloadError('conflict', 'another membership change is open');
    const context = `${this.#contextPrefix}.${this.#sequence++}`;
    const call = new PendingCall<undefined>(deadlineAtMs);
    this.#change = { change, context, call, isProposed: false };
    return call.promise;
  }

  /** @throws conflict when another transfer is open or `to` leads already */
  addTransfer(to: RaftId, deadlineAtMs: number): Promise<undefined> {
    if (to === this.#self) throw new RingloadError('conflict', `member ${to} leads already`);
    if (this.#transfer) throw new RingloadError('conflict', 'another leadership transfer is open');
    const call = new PendingCall<undefined>(deadlineAtMs);
    this.#transfer = { to, call };
    return call.promise;
  }

  /** On the leader, between two turns of the loop. */
  run(core: ErrandCore, view: ErrandView): void {
    if (this.#change && !this.#change.isProposed) this.#propose(this.#change, core, view);
    if (this.#transfer && core.transferTarget === undefined) {
      this.#startTransfer(this.#transfer, core, view);
    }
  }

  changeApplied(context: string): void {
    if (this.#change?.context !== context) return;
    this.#change.call.resolve(undefined);
    this.#change = undefined;
  }

  leaderIs(leaderId: RaftId): void {
    if (leaderId === this.#self) return;
    this.#transfer?.call.resolve(undefined);
    this.#transfer = undefined;
  }

  /** The transfer stays open: it ends when the next leader is known, or at its deadline. */
  leadershipEnded(leaderId: RaftId | undefined): void {
    if (!this.#change) return;
    const { isProposed, call } = this.#change;
    call.reject(isProposed ? leadershipLost() : notLeader(leaderId));
    this.#change = undefined;
  }

  stop(): void {
    this.leadershipEnded(undefined);
    this.#transfer?.call.reject(notLeader(undefined));
    this.#transfer = undefined;
  }

  expire(nowMs: number): void {
    if (this.#change && this.#change.call.deadlineAtMs <= nowMs) {
      const { call, isProposed } = this.#change;
      call.reject(deadlineExceeded('changing the membership', isProposed));
      this.#change = undefined;
    }
    if (this.#transfer && this.#transfer.call.deadlineAtMs <= nowMs) {
      this.#transfer.call.reject(deadlineExceeded('transferring leadership', true));
      this.#transfer = undefined;
    }
  }

  #propose(open: OpenChange, core: ErrandCore, view: ErrandView): void {
    try {
      if (isSatisfied(open.change, { ...view, matchIndex: new Map() })) {
        open.call.resolve(undefined);
        this.#change = undefined;
        return;
      }
      // An earlier change, maybe of the leader before, is not applied yet: wait for it.
      if (core.hasPendingConfiguration) return;
      checkMembershipChange(open.change, { ...view, matchIndex: view.matchIndex() });
      if (!core.proposeConfiguration(open.change, open.context)) throw notLeader(core.leaderId);
      open.isProposed = true;
    } catch (error) {
      open.call.reject(error as Error);
      this.#change = undefined;
    }
  }

  /** Again each time the library gave up, which it does after an election timeout. */
  #startTransfer({ to, call }: OpenTransfer, core: ErrandCore, view: ErrandView): void {
    if (!view.voters.includes(to) || !view.isActive(to)) {
      const reason = view.voters.includes(to) ? 'is silent' : 'has no vote';
      call.reject(
        new RingloadError('conflict', `refuse the leadership transfer: member ${to} ${reason}`),
      );
      this.#transfer = undefined;
      return;
    }
    core.transferLeadership(to);
  }
}
