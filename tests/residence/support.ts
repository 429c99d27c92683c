/** Peers in memory with files on them, and a network between them that may fail. */
import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError, fromWireError } from '../../src/base/errors.ts';
import { clusterId, jobId, peerId, type PeerId } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import type { FileRecord } from '../../src/cache/file-catalog.ts';
import { nativeCrc32c } from '../../src/cache/io/native-crc32c.ts';
import { MemoryFileCatalog } from '../../src/cache/memory-file-catalog.ts';
import { MemorySegmentStore } from '../../src/cache/memory-segment-store.ts';
import type { SegmentKey } from '../../src/cache/segment-store.ts';
import { apply } from '../../src/cluster/apply.ts';
import { EMPTY_STATE, type ClusterState } from '../../src/cluster/cluster-state.ts';
import type { Command } from '../../src/cluster/commands.ts';
import { Checksummer } from '../../src/data/io/checksummer.ts';
import { FreeDuty } from '../../src/residence/free-duty.ts';
import type { FreeRequest } from '../../src/residence/free-path.ts';
import type { ResidenceNetwork } from '../../src/residence/residence-network.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import { announcement } from '../cluster/support.ts';

export const SEGMENT = 10;
export const PEERS = ['p1', 'p2', 'p3'].map(peerId);
export const JOB = jobId('job/1.1');

/** A peer across its lives. */
export interface ModelPeer {
  readonly catalog: MemoryFileCatalog;
  readonly store: MemorySegmentStore;
  generation: number;
  duty: FreeDuty;
  /** What it has heard of. */
  state: ClusterState;
}

export class ResidenceWorld {
  readonly under = new MemoryUnderStore();
  readonly clock = new ManualClock();
  readonly peers = new Map<PeerId, ModelPeer>();
  readonly away = new Set<PeerId>();
  /** What the cluster has agreed on. */
  state = EMPTY_STATE;
  largestQuestion = 0;
  #jobCount = 0;

  constructor() {
    const atMs = 0;
    for (const id of PEERS) {
      const member = announcement(id, { generation: 1 });
      if (id === PEERS[0])
        this.agree({ kind: 'cluster.create', clusterId: clusterId('c'), founder: member, atMs });
      this.agree({ kind: 'member.admit', member, atMs });
      this.agree({ kind: 'member.announce', member, atMs });
    }
    for (const peer of PEERS) {
      const store = new MemorySegmentStore({ capacityBytes: 1e8, crc32c: nativeCrc32c });
      const catalog = new MemoryFileCatalog();
      const duty = this.#dutyOf(peer, { store, catalog }, 1);
      this.peers.set(peer, { catalog, store, duty, generation: 1, state: this.state });
    }
  }

  at(peer: PeerId): ModelPeer {
    const found = this.peers.get(peer);
    if (!found) throw new Error(`no peer ${peer}`);
    return found;
  }

  /** A command that is agreed on; peers that are not away hear of it. */
  agree(command: Command): unknown {
    const { state, result } = apply(this.state, command);
    this.state = state;
    for (const [id] of this.peers) if (!this.away.has(id)) this.#hears(id);
    if (!result.ok) throw fromWireError(result.error);
    return result.value;
  }

  /** @returns what ends it. */
  runJob(path: string, spec: object = {}): () => void {
    const id = jobId(`job${(this.#jobCount += 1)}`);
    const wanted = { path, replicaCount: 1, ...spec };
    this.agree({ kind: 'job.submit', jobId: id, spec: wanted, activeMaxCount: 100, atMs: 0 });
    return () => this.agree({ kind: 'job.stop', jobId: id, atMs: 0 });
  }

  pin(path: string): void {
    this.agree({ kind: 'rule.set', path, changes: { pinned: true } });
  }

  /** It hears of what was agreed on meanwhile. */
  comesBack(peer: PeerId): void {
    this.away.delete(peer);
    this.#hears(peer);
  }

  /** Its process ends; the next one has heard of nothing that is newer than `state`. */
  restart(peer: PeerId, state = this.at(peer).state): void {
    const model = this.at(peer);
    model.duty.close();
    model.generation += 1;
    model.state = state;
    model.duty = this.#dutyOf(peer, model, model.generation);
    model.duty.look();
  }

  announce(peer: PeerId): void {
    const { generation } = this.at(peer);
    const member = announcement(peer, { generation });
    this.agree({ kind: 'member.announce', member, atMs: 0 });
  }

  #hears(peer: PeerId): void {
    const model = this.at(peer);
    model.state = this.state;
    model.duty.look();
  }

  #dutyOf(self: PeerId, parts: Pick<ModelPeer, 'catalog' | 'store'>, generation: number): FreeDuty {
    const tell = (number: number): Promise<void> => {
      if (this.away.has(self)) return Promise.reject(new RingloadError('no_leader', 'away'));
      this.agree({ kind: 'cache.freed', peer: self, number });
      return Promise.resolve();
    };
    const state = (): ClusterState => this.at(self).state;
    const { clock } = this;
    return new FreeDuty({ self, generation, state, parts, tell, clock, logger: silentLogger });
  }

  /** The file in the under store, its record and its segments at `owners`. */
  async load(
    path: string,
    sizeBytes: number,
    owners: readonly PeerId[],
    afterFree?: number,
  ): Promise<FileRecord> {
    const { version } = this.under.put(path, new Uint8Array(sizeBytes));
    const layout = { segmentSizeBytes: SEGMENT, segmented: true, replicaCount: owners.length };
    const stamp = afterFree === undefined ? {} : { afterFree };
    const record = { path, version, sizeBytes, mtimeMs: 0, ...layout, ...stamp };
    for (const owner of owners) {
      await this.at(owner).catalog.putAll([record]);
      for (let index = 0; index * SEGMENT < sizeBytes; index += 1) {
        await this.hold(owner, record, index);
      }
    }
    return record;
  }

  async hold(peer: PeerId, record: FileRecord, index: number): Promise<SegmentKey> {
    const { path, version, segmentSizeBytes, sizeBytes } = record;
    const key = { path, version, segmentSizeBytes, index };
    const length = Math.min(segmentSizeBytes, sizeBytes - index * segmentSizeBytes);
    const reservation = await this.at(peer).store.reserve(key, length);
    const sums = new Checksummer(length);
    sums.update(new Uint8Array(length));
    await reservation.commit(sums.result());
    return key;
  }

  get placement() {
    return { members: PEERS, isReachable: (peer: PeerId) => !this.away.has(peer) };
  }

  /** As a client has a path freed. */
  get freeing() {
    return {
      network: this.network,
      placement: this.placement,
      agree: ({ path, evenPinned }: FreeRequest) => {
        const answer = this.agree({ kind: 'cache.free', path, evenPinned });
        return Promise.resolve((answer as { number: number }).number);
      },
    };
  }

  get network(): ResidenceNetwork {
    const at = (peer: PeerId) => {
      if (this.away.has(peer)) throw new RingloadError('peer_unreachable', `${peer} is away`);
      return this.at(peer);
    };
    return {
      scan: async (peer, request) => at(peer).catalog.scan(request),
      holds: async (peer, keys) => {
        this.largestQuestion = Math.max(this.largestQuestion, keys.length);
        const found = await Promise.all(keys.map((key) => at(peer).store.lookup(key)));
        return found.map((segment) => segment !== undefined);
      },
      freed: async (peer, number, signal) => at(peer).duty.freed(number, signal),
    };
  }

  segmentCount(): number {
    return [...this.peers.values()].reduce((sum, { store }) => sum + store.usage().segmentCount, 0);
  }
}
