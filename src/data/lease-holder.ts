/**
 * A member's side of the cluster's bandwidth limit: what it may use at which time.
 *
 * A lease counts from the request. When it has run out and no other came, the member goes on with
 * what it had or its safe share, whichever is less; only when all leases that the leader may have
 * given meanwhile have run out, too, it takes its whole share.
 */
import { LEASE_FORESIGHT_MS, type Lease } from './lease-book.ts';

export class LeaseHolder {
  #lease: { readonly rateBps: number; readonly shareBps: number | undefined };
  #untilMs: number;
  #shareFromMs: number;

  /** @param leaseMs as long as the leases of an earlier start of this peer may have been. */
  constructor(nowMs: number, leaseMs: number) {
    this.#lease = { rateBps: 0, shareBps: undefined };
    this.#untilMs = nowMs;
    this.#shareFromMs = shareFrom(nowMs, leaseMs);
  }

  take(lease: Lease, askedMs: number): void {
    this.#lease = lease;
    this.#untilMs = askedMs + lease.forMs;
    this.#shareFromMs = shareFrom(askedMs, lease.forMs);
  }

  /** @param ownShareBps for a member that has never been told its share. */
  rateAt(nowMs: number, ownShareBps: number): number {
    const { rateBps, shareBps = ownShareBps } = this.#lease;
    if (nowMs < this.#untilMs) return rateBps;
    // Why the lesser one: the cluster may have grown since.
    const safeBps = Math.min(shareBps, ownShareBps);
    return nowMs < this.#shareFromMs ? Math.min(rateBps, safeBps) : safeBps;
  }
}

function shareFrom(askedMs: number, leaseMs: number): number {
  // Why a lease more: one that is renewed in time never comes near its share.
  return askedMs + LEASE_FORESIGHT_MS + leaseMs;
}
