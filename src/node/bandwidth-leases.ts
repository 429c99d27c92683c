/**
 * Keeps this peer's part of the cluster's bandwidth limit: asks the leader for leases a few times a
 * second, and gives them out while it leads. Without `ufs.clusterBandwidthBps` there is none of it.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { RingloadError } from '../base/errors.ts';
import type { PeerId, Term } from '../base/ids.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import type { Bandwidth } from '../data/bandwidth.ts';
import {
  LEASE_DEADLINE_MS,
  LEASE_FORESIGHT_MS,
  LEASE_MS,
  LeaseBook,
  type Lease,
  type LeaseId,
  type LeaseRequest,
} from '../data/lease-book.ts';
import { LeaseHolder } from '../data/lease-holder.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import type { Consensus } from '../raft/consensus.ts';

const LEASE = 'bandwidth.lease';
/** Not above the slack that the book allows for. */
const LOOK_MS = 200;
const RENEW_MS = 400;
/** Of what was used: room to grow before it shows. */
const DEMAND_HEADROOM = 1.5;

export interface BandwidthLeaseOptions {
  readonly self: PeerId;
  readonly network: PeerNetwork;
  readonly consensus: Pick<Consensus, 'status'>;
  readonly state: () => ClusterState;
  readonly leader: () => PeerId | undefined;
  readonly bandwidth: Bandwidth;
  /** 0: no limit. */
  readonly limits: { readonly bandwidthBps: number; readonly clusterBandwidthBps: number };
  readonly clock: Clock;
}

export class BandwidthLeases {
  readonly #options: BandwidthLeaseOptions;
  readonly #holder: LeaseHolder;
  readonly #limitBps: number;
  readonly #ownBps: number;
  #book: { readonly book: LeaseBook; readonly term: Term } | undefined;
  #last: LeaseId | undefined;
  #timer: Timer | undefined;
  #isAsking = false;
  #askedMs = -Infinity;
  #demandBps = 0;
  #closed = false;

  constructor(options: BandwidthLeaseOptions) {
    this.#options = options;
    const { bandwidthBps, clusterBandwidthBps } = options.limits;
    this.#limitBps = clusterBandwidthBps;
    this.#ownBps = bandwidthBps > 0 ? bandwidthBps : Infinity;
    this.#holder = new LeaseHolder(options.clock.nowMs(), LEASE_MS);
    if (clusterBandwidthBps === 0) return;
    options.network.onRequest(LEASE, (from, payload) =>
      Promise.resolve().then(() => this.#grant(from, payload as LeaseRequest)),
    );
    this.#look();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #look(): void {
    if (this.#closed) return;
    const { clock } = this.#options;
    this.#applyRate();
    if (!this.#isAsking && clock.nowMs() - this.#askedMs >= RENEW_MS) void this.#renew();
    this.#timer = clock.setTimer(LOOK_MS, () => {
      this.#look();
    });
  }

  #rateBps(laterMs = 0): number {
    const shareBps = this.#limitBps / Math.max(1, this.#members().length);
    return this.#holder.rateAt(this.#options.clock.nowMs() + laterMs, shareBps);
  }

  #applyRate(): void {
    this.#options.bandwidth.setUfsRate(Math.min(this.#ownBps, this.#rateBps()));
  }

  /** The lease that is in force stays when no other is to be had. */
  async #renew(): Promise<void> {
    const { clock, leader } = this.#options;
    const asked = leader();
    const askedMs = clock.nowMs();
    if (asked === undefined) return;
    const request = this.#request(askedMs);
    this.#askedMs = askedMs;
    this.#isAsking = true;
    try {
      const lease = await this.#ask(asked, request);
      if (clock.nowMs() - askedMs > LEASE_DEADLINE_MS) return;
      this.#holder.take(lease, askedMs);
      this.#last = lease.id;
      this.#applyRate();
    } catch {
      // The next look asks again; until then the holder says what is safe.
    } finally {
      this.#isAsking = false;
    }
  }

  #request(nowMs: number): LeaseRequest {
    const { usedBytes, wasHeld } = this.#options.bandwidth.takeDemand();
    const seconds = Math.min(LEASE_MS, nowMs - this.#askedMs) / 1000;
    const usedBps = seconds > 0 ? (usedBytes / seconds) * DEMAND_HEADROOM : 0;
    // Why half of the last: one quiet moment is no end of the demand.
    this.#demandBps = wasHeld ? this.#limitBps : Math.max(usedBps, this.#demandBps / 2);
    if (this.#demandBps < 1) this.#demandBps = 0;
    const demandBps = Math.min(this.#ownBps, this.#limitBps, this.#demandBps);
    const last = this.#last && { last: this.#last };
    const heldBps = this.#rateBps();
    const laterBps = this.#rateBps(LEASE_FORESIGHT_MS);
    return { demandBps, heldBps, unansweredBps: Math.max(heldBps, laterBps), ...last };
  }

  async #ask(leader: PeerId, request: LeaseRequest): Promise<Lease> {
    const { self, network } = this.#options;
    if (leader === self) return this.#grant(self, request);
    return (await network.request(leader, LEASE, request, LEASE_DEADLINE_MS)) as Lease;
  }

  #grant(peer: PeerId, request: LeaseRequest): Lease {
    const { consensus, clock } = this.#options;
    const { role, term } = consensus.status();
    if (role !== 'leader') throw new RingloadError('not_leader', 'leases come from the leader');
    if (this.#book?.term !== term) {
      this.#book = { book: new LeaseBook(this.#limitBps, term, clock.nowMs()), term };
    }
    return this.#book.book.grant(peer, request, this.#members(), clock.nowMs());
  }

  #members(): PeerId[] {
    const { members } = this.#options.state();
    return [...members.values()].filter(({ state }) => state !== 'left').map(({ id }) => id);
  }
}
