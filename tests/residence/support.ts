/** Peers in memory with files on them, and a network between them that may fail. */
import { RingloadError } from '../../src/base/errors.ts';
import { jobId, peerId, type PeerId } from '../../src/base/ids.ts';
import type { FileRecord } from '../../src/cache/file-catalog.ts';
import { nativeCrc32c } from '../../src/cache/io/native-crc32c.ts';
import { MemoryFileCatalog } from '../../src/cache/memory-file-catalog.ts';
import { MemorySegmentStore } from '../../src/cache/memory-segment-store.ts';
import type { SegmentKey } from '../../src/cache/segment-store.ts';
import { Checksummer } from '../../src/data/io/checksummer.ts';
import { freeHere } from '../../src/residence/free-here.ts';
import type { FreeOrder, ResidenceNetwork } from '../../src/residence/residence-network.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import { isAtOrBelow } from '../../src/ufs/path.ts';

export const SEGMENT = 10;
export const PEERS = ['p1', 'p2', 'p3'].map(peerId);
export const JOB = jobId('job/1.1');

export class ResidenceWorld {
  readonly under = new MemoryUnderStore();
  readonly peers = new Map<PeerId, { catalog: MemoryFileCatalog; store: MemorySegmentStore }>();
  readonly away = new Set<PeerId>();
  readonly orders: { readonly peer: PeerId; readonly order: FreeOrder }[] = [];
  /** Roots of the jobs that run, and of what is pinned. */
  inUse: string[] = [];
  pinned: string[] = [];
  largestQuestion = 0;

  constructor() {
    for (const peer of PEERS) {
      const store = new MemorySegmentStore({ capacityBytes: 1e8, crc32c: nativeCrc32c });
      this.peers.set(peer, { catalog: new MemoryFileCatalog(), store });
    }
  }

  at(peer: PeerId): { catalog: MemoryFileCatalog; store: MemorySegmentStore } {
    const found = this.peers.get(peer);
    if (!found) throw new Error(`no peer ${peer}`);
    return found;
  }

  /** The file in the under store, its record and its segments at `owners`. */
  async load(path: string, sizeBytes: number, owners: readonly PeerId[]): Promise<FileRecord> {
    const { version } = this.under.put(path, new Uint8Array(sizeBytes));
    const layout = { segmentSizeBytes: SEGMENT, segmented: true, replicaCount: owners.length };
    const record = { path, version, sizeBytes, mtimeMs: 0, ...layout };
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
      free: async (peer, order, signal) => {
        this.orders.push({ peer, order });
        const within = (roots: readonly string[], path: string): boolean =>
          roots.some((root) => isAtOrBelow(root, path));
        return freeHere(
          {
            ...at(peer),
            isInUse: (path) => within(this.inUse, path),
            isPinned: (path) => within(this.pinned, path),
          },
          order,
          signal,
        );
      },
    };
  }

  segmentCount(): number {
    return [...this.peers.values()].reduce((sum, { store }) => sum + store.usage().segmentCount, 0);
  }
}
