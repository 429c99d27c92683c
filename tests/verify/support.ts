/** Peers in memory with a job's files on them, and a network between them that may fail. */
import type { UfsObject, UnderStore } from '../../src/ufs/under-store.ts';
import { ManualClock } from '../../src/base/clock.ts';
import { epoch, jobId, peerId, type JobId, type PeerId } from '../../src/base/ids.ts';
import { nativeCrc32c } from '../../src/cache/io/native-crc32c.ts';
import type { FileRecord } from '../../src/cache/file-catalog.ts';
import { MemoryFileCatalog } from '../../src/cache/memory-file-catalog.ts';
import { MemorySegmentStore } from '../../src/cache/memory-segment-store.ts';
import type { SegmentKey } from '../../src/cache/segment-store.ts';
import { Checksummer } from '../../src/data/io/checksummer.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import { Findings } from '../../src/verify/findings.ts';
import { JobVerifier } from '../../src/verify/job-verifier.ts';
import type { CopySums, VerifyReport } from '../../src/verify/report.ts';
import type { Restored, RestoreOrder, VerifyNetwork } from '../../src/verify/verify-network.ts';

export const SEGMENT_BYTES = 100;
export const ROOT = 's3://b/d';
export const JOB = jobId('job');
export const PEERS = ['p1', 'p2', 'p3'].map(peerId);
const [P1, P2, P3] = PEERS as [PeerId, PeerId, PeerId];
export { P1, P2, P3 };

interface MemoryPeer {
  readonly catalog: MemoryFileCatalog;
  readonly store: MemorySegmentStore;
}

export class VerifyWorld {
  readonly peers = new Map<PeerId, MemoryPeer>();
  readonly under = new MemoryUnderStore();
  readonly replicaCount: number;
  /** Jobs in the order of their submits. */
  readonly jobs: JobId[] = [JOB];
  readonly away = new Set<PeerId>();
  /** Segments that were asked for in one request, at most. */
  largestRequest = 0;
  epoch = epoch(1);
  certified: CopySums = new Findings().sums();
  /** First owners first; the same for every key, so that stories can be told. */
  owners: readonly PeerId[] = PEERS;
  onRestore: (peer: PeerId, order: RestoreOrder) => void = () => undefined;

  constructor(replicaCount = 2) {
    this.replicaCount = replicaCount;
    for (const peer of PEERS) {
      this.peers.set(peer, {
        catalog: new MemoryFileCatalog(),
        store: new MemorySegmentStore({ capacityBytes: 1e8, crc32c: nativeCrc32c }),
      });
    }
  }

  at(peer: PeerId): MemoryPeer {
    const found = this.peers.get(peer);
    if (!found) throw new Error(`no peer ${peer}`);
    return found;
  }

  /** The file in the under store and on its owners; not certified yet. */
  async load(name: string, sizeBytes: number, loadedBy: JobId = JOB): Promise<FileRecord> {
    const bytes = contentOf(name, sizeBytes);
    const { path, version } = this.under.put(`${ROOT}/${name}`, bytes);
    const layout = { segmentSizeBytes: SEGMENT_BYTES, segmented: true };
    const { replicaCount } = this;
    const record = { path, version, sizeBytes, mtimeMs: 0, ...layout, replicaCount, loadedBy };
    for (const owner of this.owners.slice(0, replicaCount)) {
      await this.at(owner).catalog.putAll([record]);
      for (let index = 0; index * SEGMENT_BYTES < sizeBytes; index += 1) {
        await this.put(owner, keyOf(record, index), sliceOf(bytes, index));
      }
    }
    return record;
  }

  async put(peer: PeerId, key: SegmentKey, bytes: Uint8Array): Promise<void> {
    const { store } = this.at(peer);
    const reservation = await store.reserve(key, bytes.length);
    await store.write(reservation.extent, 0, bytes);
    const sums = new Checksummer(bytes.length);
    sums.update(bytes);
    await reservation.commit(sums.result());
  }

  /** What is there now is what the job's certificate says. */
  async certify(): Promise<void> {
    const report = await this.verify();
    this.certified = report.found;
  }

  async verify(
    options: { repair?: boolean; metadataOnly?: boolean; accepts?: (path: string) => boolean } = {},
  ): Promise<VerifyReport> {
    const { repair = false, metadataOnly = false, accepts = () => true } = options;
    const { replicaCount, certified, under, owners } = this;
    const isReachable = (peer: PeerId): boolean => !this.away.has(peer);
    const verifier = new JobVerifier({
      job: {
        ...{ id: JOB, path: ROOT, roots: [ROOT], replicaCount, metadataOnly, certified },
        accepts: ({ path }) => accepts(path),
        ...{ segmentSizeBytes: SEGMENT_BYTES, segmented: true, endedAtMs: 1_000 },
      },
      network: this.#network(),
      placement: {
        epoch: this.epoch,
        members: PEERS,
        ownersOf: (_segment, count) => owners.slice(0, count),
        isOnRing: (peer) => owners.includes(peer),
        isReachable,
      },
      currentEpoch: () => this.epoch,
      list: (signal) => listed(under, signal),
      jobOrder: (job) => {
        const position = this.jobs.indexOf(job);
        return position < 0 ? undefined : position;
      },
      clock: new ManualClock(),
      repair,
    });
    let report: VerifyReport | undefined;
    for await (const event of verifier.run(new AbortController().signal)) {
      if ('report' in event) ({ report } = event);
    }
    if (!report) throw new Error('a verification ends with its report');
    return report;
  }

  #network(): VerifyNetwork {
    const reach = (peer: PeerId): MemoryPeer => {
      if (this.away.has(peer)) throw new Error(`${peer} is away`);
      return this.at(peer);
    };
    return {
      scan: async (peer, request) => reach(peer).catalog.scan(request),
      check: async (peer, lists) => {
        const { store } = reach(peer);
        const keys = lists.flatMap(({ record, indexes }) =>
          indexes.map((index) => keyOf(record, index)),
        );
        this.largestRequest = Math.max(this.largestRequest, keys.length);
        return Promise.all(keys.map((key) => store.check(key)));
      },
      restore: async (peer, order) => {
        reach(peer);
        this.onRestore(peer, order);
        return Promise.all(order.indexes.map((index) => this.#restore(peer, order, index)));
      },
      restoreRecord: async (peer, record) => {
        await reach(peer).catalog.putAll([record]);
        return true;
      },
    };
  }

  async #restore(peer: PeerId, order: RestoreOrder, index: number): Promise<Restored> {
    const { record, sources } = order;
    const key = keyOf(record, index);
    for (const source of sources) {
      const reader = await this.at(source).store.open(key);
      if (!reader) continue;
      const chunks: Uint8Array[] = [];
      for await (const chunk of reader.read(0, reader.lengthBytes)) chunks.push(chunk);
      reader.close();
      return this.#stored(peer, key, Buffer.concat(chunks), 'peer');
    }
    const { path, version, sizeBytes } = record;
    const offset = index * SEGMENT_BYTES;
    const length = Math.min(SEGMENT_BYTES, sizeBytes - offset);
    const range = { path, version, sizeBytes, offset, length };
    const chunks: Uint8Array[] = [];
    try {
      const { signal } = new AbortController();
      for await (const chunk of this.under.readRange(range, signal)) chunks.push(chunk);
    } catch (thrown) {
      return { error: (thrown as Error).message };
    }
    return this.#stored(peer, key, Buffer.concat(chunks), 'ufs');
  }

  async #stored(
    peer: PeerId,
    key: SegmentKey,
    bytes: Buffer,
    from: 'peer' | 'ufs',
  ): Promise<Restored> {
    await this.put(peer, key, bytes);
    return { from, lengthBytes: bytes.length, crc32c: nativeCrc32c(bytes) };
  }
}

export function keyOf({ path, version }: FileRecord, index: number): SegmentKey {
  return { path, version, segmentSizeBytes: SEGMENT_BYTES, index };
}

function contentOf(name: string, sizeBytes: number): Uint8Array {
  return Uint8Array.from({ length: sizeBytes }, (_unused, at) => (at * 7 + name.length) % 251);
}

function sliceOf(bytes: Uint8Array, index: number): Uint8Array {
  return bytes.subarray(index * SEGMENT_BYTES, (index + 1) * SEGMENT_BYTES);
}

async function* listed(under: UnderStore, signal: AbortSignal): AsyncGenerator<UfsObject> {
  let after: string | undefined;
  for (;;) {
    const page = await under.list(
      { root: ROOT, limit: 2, ...(after !== undefined && { after }) },
      signal,
    );
    yield* page.objects;
    if (page.done) return;
    after = page.cursor;
  }
}
