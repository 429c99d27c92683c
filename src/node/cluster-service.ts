/** The cluster as any peer shows it, and the few things an operator asks of it. */
import { sleep, type Clock } from '../base/clock.ts';
import { RingloadError } from '../base/errors.ts';
import { clusterId, type PeerId } from '../base/ids.ts';
import type { FileCatalog } from '../cache/file-catalog.ts';
import type { CacheUsage, SegmentStore } from '../cache/segment-store.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import { isPresent, type Member } from '../cluster/member.ts';
import type { ClusterService, ClusterView, MemberView, RepairView } from '../http/services.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import type { Consensus } from '../raft/consensus.ts';
import { REPAIR_STATUS, type RepairReport } from './order-watch.ts';
import { forceOut } from './forced-removals.ts';
import { checkLeave } from './leave-check.ts';
import type { Proposer } from './proposer.ts';
import type { RingView } from './ring-view.ts';

const READ_INDEX = 'cluster.readIndex';
const TRANSFER = 'cluster.transfer';
const DEADLINE_MS = 2000;
const COMMIT_DEADLINE_MS = 15_000;
/** For display only: nobody waits long for a member that hangs. */
const REPAIR_DEADLINE_MS = 500;
const POLL_MS = 5;

export interface ClusterServiceOptions {
  readonly self: PeerId;
  readonly consensus: Consensus;
  readonly network: PeerNetwork;
  readonly proposer: Proposer;
  readonly ring: RingView;
  readonly state: () => ClusterState;
  readonly leader: () => PeerId | undefined;
  readonly store: SegmentStore;
  readonly catalog: FileCatalog;
  readonly repairReport: () => RepairReport;
  readonly clock: Clock;
}

export class NodeClusterService implements ClusterService {
  readonly #options: ClusterServiceOptions;
  #catalogCount = 0;

  constructor(options: ClusterServiceOptions) {
    this.#options = options;
    options.network.onRequest(READ_INDEX, async () => {
      await options.consensus.readBarrier(DEADLINE_MS);
      return options.consensus.status().appliedIndex;
    });
    options.network.onRequest(TRANSFER, async (_from, payload) => {
      // Why not as anybody's: two peers that take each other for the leader would never end.
      const target = this.#memberOf((payload as { to: PeerId }).to);
      if (options.leader() !== options.self)
        throw new RingloadError('not_leader', 'this peer does not lead');
      if (target.id !== options.self)
        await options.consensus.transferLeadership(target.raftId, COMMIT_DEADLINE_MS);
      return null;
    });
  }

  async view(): Promise<ClusterView> {
    const stale = !(await this.#isCurrent());
    const { consensus, state, leader } = this.#options;
    const status = consensus.status();
    const current = state();
    const leaderId = leader();
    const shares = this.#options.ring.ring().shares();
    const present = [...current.members.values()].filter(isPresent);
    return {
      clusterId: current.clusterId ?? clusterId(''),
      ...(leaderId !== undefined && { leaderId }),
      term: status.term,
      epoch: current.epoch,
      commitIndex: status.commitIndex,
      appliedIndex: status.appliedIndex,
      members: present.map((member) => this.#viewOf(member, shares.get(member.id) ?? 0)),
      repair: await this.#repairOf(present),
      stale,
    };
  }

  self(): {
    readonly id: PeerId;
    readonly address: string;
    readonly usage: CacheUsage;
    readonly catalogCount: number;
  } {
    const { self, state, store, catalog } = this.#options;
    void catalog.count().then(
      (count) => (this.#catalogCount = count),
      () => undefined,
    );
    const address = state().members.get(self)?.address ?? '';
    return { id: self, address, usage: store.usage(), catalogCount: this.#catalogCount };
  }

  async transferLeadership(to: PeerId): Promise<void> {
    const { consensus, leader, self, network } = this.#options;
    const target = this.#memberOf(to);
    const from = leader();
    if (from === undefined) throw new RingloadError('no_leader', 'no leader is known');
    if (from === to) return;
    if (from === self) await consensus.transferLeadership(target.raftId, COMMIT_DEADLINE_MS);
    else await network.request(from, TRANSFER, { to }, COMMIT_DEADLINE_MS);
  }

  async remove(id: PeerId, options: { readonly force: boolean }): Promise<void> {
    const { proposer, state, clock, consensus } = this.#options;
    await this.#isCurrent();
    checkLeave(this.#memberOf(id), state(), consensus.status(), options.force);
    if (options.force) {
      await forceOut(this.#options, id, COMMIT_DEADLINE_MS);
      return;
    }
    await proposer.commit({ kind: 'member.drain', id, atMs: clock.wallMs() }, COMMIT_DEADLINE_MS);
  }

  #memberOf(id: PeerId): Member {
    const member = this.#options.state().members.get(id);
    if (!member) throw new RingloadError('not_found', `no member has the id ${id}`);
    return member;
  }

  /** Waits until this peer has applied what the leader knew to be committed when asked. */
  async #isCurrent(): Promise<boolean> {
    const { consensus, network, leader, self, clock } = this.#options;
    const to = leader();
    if (to === undefined) return false;
    try {
      if (to === self) {
        await consensus.readBarrier(DEADLINE_MS);
        return true;
      }
      const index = (await network.request(to, READ_INDEX, null, DEADLINE_MS)) as number;
      const untilMs = clock.nowMs() + DEADLINE_MS;
      while (consensus.status().appliedIndex < index) {
        if (clock.nowMs() > untilMs) return false;
        await sleep(clock, POLL_MS);
      }
      return true;
    } catch {
      return false;
    }
  }

  async #repairOf(members: readonly Member[]): Promise<RepairView[]> {
    const { self, network, repairReport } = this.#options;
    const views = await Promise.all(
      members.map(async ({ id }) => {
        if (id === self) return [viewOfRepair(id, repairReport())];
        try {
          const report = await network.request(id, REPAIR_STATUS, null, REPAIR_DEADLINE_MS);
          return [viewOfRepair(id, report as RepairReport)];
        } catch {
          return [];
        }
      }),
    );
    return views.flat();
  }

  #viewOf(member: Member, share: number): MemberView {
    const { consensus, leader, self } = this.#options;
    const { voters } = consensus.status();
    const role =
      member.id === leader() ? 'leader' : voters.includes(member.raftId) ? 'voter' : 'learner';
    return {
      id: member.id,
      address: member.address,
      dataEndpoint: member.dataEndpoint,
      state: member.state === 'joining' ? 'down' : member.state,
      role,
      weight: member.weight,
      zone: member.zone,
      share,
      self: member.id === self,
    };
  }
}

function viewOfRepair(id: PeerId, report: RepairReport): RepairView {
  const { epoch, idle, movedSegments, movedBytes, leftSegments, leftBytes } = report;
  return {
    id,
    // Why not undefined alone: an absent epoch comes as null over a link.
    ...(typeof epoch === 'number' && { epoch }),
    idle,
    movedSegments,
    movedBytes,
    leftSegments,
    leftBytes,
    leftFiles: report.leftFiles,
    bytesPerSecond: report.bytesPerSecond,
    missingSegments: report.missingSegmentCount,
  };
}
