/**
 * Repairing peers in memory, on hand-driven time: real repairers over a model of the network, of
 * the ring and of what each peer holds. Stories and the property test change both meanwhile.
 */
import { ManualClock } from '../../../src/base/clock.ts';
import { RingloadError } from '../../../src/base/errors.ts';
import { epoch, jobId, peerId, type PeerId } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import type { FileRecord } from '../../../src/cache/file-catalog.ts';
import { MemoryFileCatalog } from '../../../src/cache/memory-file-catalog.ts';
import type { SegmentKey } from '../../../src/cache/segment-store.ts';
import type { CopyOrder, RepairPlacement } from '../../../src/repair/repair-network.ts';
import { Repairer } from '../../../src/repair/repairer.ts';
import { takeOver } from '../../../src/repair/take-over.ts';
import { placementKey } from '../../../src/ring/keys.ts';
import { Ring } from '../../../src/ring/ring.ts';

export const SEGMENT_BYTES = 100;

export function recordOf(path: string, given: Partial<FileRecord> = {}): FileRecord {
  return {
    path,
    sizeBytes: 3 * SEGMENT_BYTES,
    version: 'v1',
    mtimeMs: 1,
    segmentSizeBytes: SEGMENT_BYTES,
    segmented: true,
    replicaCount: 2,
    ...given,
  };
}

export const nameOf = ({ path, version, segmentSizeBytes, index }: SegmentKey): string =>
  `${path} ${version} ${segmentSizeBytes} ${index}`;

export interface ModelPeer {
  readonly id: PeerId;
  readonly catalog: MemoryFileCatalog;
  readonly segments: Set<string>;
  readonly repairer: Repairer;
  state: 'up' | 'down' | 'draining';
  reachable: boolean;
}

export class RepairWorld {
  readonly clock = new ManualClock();
  readonly peers = new Map<PeerId, ModelPeer>();
  readonly activeJobs = new Set<string>();
  /** Jobs that the cluster remembers, in order. */
  readonly jobs: string[] = [];
  readonly copies: { readonly to: PeerId; readonly order: CopyOrder }[] = [];
  readonly handOvers: { readonly from: PeerId; readonly to: PeerId; readonly count: number }[] = [];
  openCopyCount = 0;
  openCopyMax = 0;
  /** Runs before a copy; may throw or answer how many were copied instead. */
  onCopy: (to: PeerId, order: CopyOrder) => number | undefined | Promise<number | undefined> = () =>
    undefined;
  onHandOver: (to: PeerId) => Promise<void> | void = () => undefined;
  onHolds: (to: PeerId) => Promise<void> | void = () => undefined;
  #epoch = 0;
  #ring!: Ring;
  #formerRing: Ring | undefined;

  constructor(names: readonly string[]) {
    for (const name of names) this.add(name);
    this.changeRing();
  }

  add(name: string): ModelPeer {
    const id = peerId(name);
    const catalog = new MemoryFileCatalog();
    const repairer = new Repairer({
      self: id,
      catalog,
      network: {
        holds: async (peer, keys) => {
          await this.#visit(id, peer);
          await this.onHolds(peer);
          return keys.map((key) => this.peer(peer).segments.has(nameOf(key)));
        },
        copy: async (peer, order) => {
          await this.#visit(id, peer);
          return this.#copy(peer, order);
        },
        handOver: async (peer, records) => {
          await this.#visit(id, peer);
          await this.onHandOver(peer);
          this.handOvers.push({ from: id, to: peer, count: records.length });
          const target = this.peer(peer);
          const { taken, kept } = await takeOver(target.catalog, records, this.#jobOrder);
          if (taken.length > 0) target.repairer.request(taken.map(({ path }) => path));
          return kept;
        },
      },
      placement: () => this.placementOf(id),
      isJobActive: (job) => this.activeJobs.has(job),
      jobOrder: this.#jobOrder,
      isFreed: () => false,
      clock: this.clock,
      logger: silentLogger,
      settleDelayMs: 10,
    });
    const peer: ModelPeer = {
      id,
      catalog,
      segments: new Set(),
      repairer,
      state: 'up',
      reachable: true,
    };
    this.peers.set(id, peer);
    return peer;
  }

  peer(name: string): ModelPeer {
    const peer = this.peers.get(peerId(name));
    if (!peer) throw new Error(`no peer ${name}`);
    return peer;
  }

  /** The next epoch, of all peers that are `up`; every repairer hears of it. */
  changeRing(): void {
    this.#epoch += 1;
    const up = [...this.peers.values()].filter(({ state }) => state === 'up');
    this.#formerRing = this.#epoch === 1 ? undefined : this.#ring;
    this.#ring = Ring.from({
      epoch: epoch(this.#epoch),
      members: up.map(({ id }) => ({ id, weight: 1, zone: '' })),
    });
    for (const { repairer } of this.peers.values()) repairer.request();
  }

  get epoch(): number {
    return this.#epoch;
  }

  ownersOf(path: string, index: number, count: number): readonly PeerId[] {
    return this.#ring.ownersOf(placementKey({ path, index, segmented: true }), count);
  }

  placementOf(self: PeerId): RepairPlacement {
    const ring = this.#ring;
    const former = this.#formerRing;
    const isReachable = (peer: PeerId): boolean =>
      peer === self || (this.peers.get(peer)?.reachable ?? false);
    const draining = [...this.peers.values()].filter(({ state }) => state === 'draining');
    return {
      epoch: epoch(this.#epoch),
      members: [...this.peers.keys()],
      ownersOf: (segment, count) => ring.ownersOf(placementKey(segment), count),
      ownersBefore: (segment, count) => former?.ownersOf(placementKey(segment), count),
      formerOwnersOf: (segment, count) => [
        ...(former?.ownersOf(placementKey(segment), count) ?? []).filter(
          (peer) => isReachable(peer) || ring.has(peer),
        ),
        ...draining.map(({ id }) => id),
      ],
      isReachable,
    };
  }

  /** As a load would leave it: the record at all homes, each segment at its owners. */
  async load(record: FileRecord): Promise<void> {
    const { path, replicaCount } = record;
    for (const home of this.ownersOf(path, 0, replicaCount)) {
      await this.peer(home).catalog.putAll([record]);
    }
    for (let index = 0; index * record.segmentSizeBytes < record.sizeBytes; index += 1) {
      for (const owner of this.ownersOf(path, index, replicaCount)) {
        this.peer(owner).segments.add(nameOf({ ...record, index }));
      }
    }
  }

  holdersOf(record: FileRecord, index: number): PeerId[] {
    const name = nameOf({ ...record, index });
    return [...this.peers.values()]
      .filter(({ segments }) => segments.has(name))
      .map(({ id }) => id);
  }

  async homesOf(path: string): Promise<PeerId[]> {
    const homes: PeerId[] = [];
    for (const { id, catalog } of this.peers.values()) {
      if (await catalog.get(path)) homes.push(id);
    }
    return homes;
  }

  /** Lets time pass until everybody who can be reached is idle. */
  async settle(limitMs = 300_000): Promise<void> {
    await this.until('all repairers to be idle', () => this.isQuiet(), limitMs);
  }

  isQuiet(): boolean {
    return [...this.peers.values()]
      .filter(({ reachable }) => reachable)
      .every(({ repairer }) => repairer.status.idle);
  }

  async until(what: string, condition: () => boolean, limitMs = 300_000): Promise<void> {
    for (let passedMs = 0; passedMs < limitMs; passedMs += 10) {
      await turn();
      if (condition()) return;
      this.clock.advance(10);
    }
    throw new Error(`not within ${limitMs} ms of virtual time: ${what}`);
  }

  async pass(ms: number): Promise<void> {
    for (let passedMs = 0; passedMs < ms; passedMs += 10) {
      await turn();
      this.clock.advance(10);
    }
    await turn();
  }

  close(): void {
    for (const { repairer } of this.peers.values()) repairer.close();
  }

  readonly #jobOrder = (job: string): number | undefined => {
    const position = this.jobs.indexOf(job);
    return position < 0 ? undefined : position;
  };

  async #visit(from: PeerId, to: PeerId): Promise<void> {
    await Promise.resolve();
    if (from !== to && !this.peer(to).reachable) {
      throw new RingloadError('peer_unreachable', `${to} is away`);
    }
  }

  async #copy(to: PeerId, order: CopyOrder): Promise<number> {
    this.copies.push({ to, order });
    this.openCopyCount += 1;
    this.openCopyMax = Math.max(this.openCopyMax, this.openCopyCount);
    try {
      const instead = await this.onCopy(to, order);
      if (instead !== undefined) return instead;
      let copied = 0;
      for (const index of order.indexes) {
        const name = nameOf({ ...order.record, index });
        const isThere = order.sources.some((source) => this.peer(source).segments.has(name));
        if (isThere) this.peer(to).segments.add(name);
        if (isThere) copied += 1;
      }
      return copied;
    } finally {
      this.openCopyCount -= 1;
    }
  }
}

export const loadedBy = (name: string) => ({ loadedBy: jobId(name) });

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
