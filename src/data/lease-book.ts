/**
 * The leader's side of the cluster's bandwidth limit: gives each member a rate for a second or so,
 * shared by demand, and never more in all than the limit.
 *
 * Invariant: at any moment the rates of all leases that may still be used, and the safe shares of
 * members that have none, add up to the limit at most. A member without a lease uses its safe share
 * (limit / members) only after everybody's leases that were given before have run out
 * (`lease-holder.ts`). The same holds across a change of leader: a new one raises nobody until the
 * leases of the old one have run out.
 */
import type { PeerId, Term } from '../base/ids.ts';

export const LEASE_MS = 1000;
/** An answer later than this is not taken. */
export const LEASE_DEADLINE_MS = 500;
/** A holder notices within this time that its lease has run out. */
export const LEASE_SLACK_MS = 250;
/**
 * A request that a leader has heard tells for so long what its sender may use: until the sender
 * counts as silent there, and what others were given without regard to its share has run out.
 */
export const LEASE_FORESIGHT_MS = 2 * (LEASE_MS + LEASE_SLACK_MS) + LEASE_DEADLINE_MS;
/** From taking the lead: no lease of an earlier leader is used any more. */
const SETTLING_MS = 2 * LEASE_MS + LEASE_DEADLINE_MS + LEASE_SLACK_MS;

/** Leases of one term have growing numbers. */
export interface LeaseId {
  readonly term: Term;
  readonly number: number;
}

export interface LeaseRequest {
  /** What the member would use, bytes per second. */
  readonly demandBps: number;
  /** What it may use now. */
  readonly heldBps: number;
  /** The most that it may use within {@link LEASE_FORESIGHT_MS} if no answer reaches it. */
  readonly unansweredBps: number;
  /** The last lease that it took over. */
  readonly last?: LeaseId;
}

export interface Lease {
  readonly id: LeaseId;
  readonly rateBps: number;
  /** Counted from the request. */
  readonly forMs: number;
  /** What is safe to use when it has run out and no other one is to be had. */
  readonly shareBps: number;
}

interface Given {
  readonly number: number;
  readonly rateBps: number;
  readonly untilMs: number;
}

interface Holder {
  demandBps: number;
  given: Given[];
}

export class LeaseBook {
  readonly #limitBps: number;
  readonly #holders = new Map<PeerId, Holder>();
  readonly #settledMs: number;
  readonly #term: Term;
  #nextNumber = 1;

  /** For one term. */
  constructor(limitBps: number, term: Term, nowMs: number) {
    this.#term = term;
    this.#limitBps = limitBps;
    this.#settledMs = nowMs + SETTLING_MS;
  }

  grant(peer: PeerId, request: LeaseRequest, members: readonly PeerId[], nowMs: number): Lease {
    const shareBps = this.#limitBps / Math.max(1, members.length);
    this.#forget(nowMs);
    const holder = this.#holderOf(peer);
    holder.demandBps = Math.min(this.#limitBps, request.demandBps);
    // What it says it has taken over replaces everything from before.
    const { last } = request;
    const lastNumber = last?.term === this.#term ? last.number : 0;
    holder.given = holder.given.filter(({ number }) => number >= lastNumber);
    const rateBps =
      nowMs < this.#settledMs
        ? Math.min(request.heldBps, shareBps)
        : Math.max(0, Math.min(this.#fairRate(peer, members), this.#freeFor(peer, members)));
    const untilMs = nowMs + LEASE_MS + LEASE_SLACK_MS;
    // The answer may be lost.
    holder.given.push({ number: this.#nextNumber++, rateBps: request.unansweredBps, untilMs });
    const number = this.#nextNumber++;
    holder.given.push({ number, rateBps, untilMs });
    return { id: { term: this.#term, number }, rateBps, forMs: LEASE_MS, shareBps };
  }

  #holderOf(peer: PeerId): Holder {
    let holder = this.#holders.get(peer);
    if (!holder) this.#holders.set(peer, (holder = { demandBps: 0, given: [] }));
    return holder;
  }

  #forget(nowMs: number): void {
    for (const [peer, holder] of this.#holders) {
      holder.given = holder.given.filter(({ untilMs }) => nowMs < untilMs);
      if (holder.given.length === 0) this.#holders.delete(peer);
    }
  }

  /** What nobody else may be using. */
  #freeFor(peer: PeerId, members: readonly PeerId[]): number {
    const shareBps = this.#limitBps / members.length;
    let free = this.#limitBps;
    for (const other of new Set([...members, ...this.#holders.keys()])) {
      if (other === peer) continue;
      const holder = this.#holders.get(other);
      free -= holder ? Math.max(...holder.given.map(({ rateBps }) => rateBps)) : shareBps;
    }
    return free;
  }

  /**
   * Nobody gets more than it asks for while another lacks; what all of them leave is shared
   * evenly, so that whoever begins can begin at once.
   */
  #fairRate(peer: PeerId, members: readonly PeerId[]): number {
    const shareBps = this.#limitBps / members.length;
    const silentCount = members.filter((member) => !this.#holders.has(member)).length;
    let left = this.#limitBps - silentCount * shareBps;
    const byDemand = [...this.#holders].sort(([, a], [, b]) => a.demandBps - b.demandBps);
    let rateBps = 0;
    for (const [index, [holderId, { demandBps }]] of byDemand.entries()) {
      const given = Math.min(demandBps, left / (byDemand.length - index));
      if (holderId === peer) rateBps = given;
      left -= given;
    }
    return rateBps + Math.max(0, left) / byDemand.length;
  }
}
