/** Readers of a small cluster in memory: this peer, others that can be away, and the under store. */
import { RingloadError } from '../../src/base/errors.ts';
import { peerId, type PeerId } from '../../src/base/ids.ts';
import { ManualClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { SeededRandom } from '../../src/base/random.ts';
import type { FileRecord } from '../../src/cache/file-catalog.ts';
import { MemoryFileCatalog } from '../../src/cache/memory-file-catalog.ts';
import type { MemorySegmentStore } from '../../src/cache/memory-segment-store.ts';
import type { SegmentKey } from '../../src/cache/segment-store.ts';
import { Checksummer } from '../../src/data/io/checksummer.ts';
import type { DataPlane } from '../../src/data/data-plane.ts';
import { beginPiece, type HeldReads, type Piece } from '../../src/data/pieces.ts';
import { SegmentLoader } from '../../src/data/segment-loader.ts';
import { FileReader, type FileReaderOptions } from '../../src/read/file-reader.ts';
import type { ReadNetwork } from '../../src/read/read-network.ts';
import { openSegment } from '../../src/node/open-segment.ts';
import { SegmentSources } from '../../src/read/segment-sources.ts';
import { SourceChoice } from '../../src/read/source-choice.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import { newMutes, newStore } from '../data/support.ts';

export const PATH = 's3://b/a';
export const SEGMENT = 10;

interface Peer {
  readonly store: MemorySegmentStore;
  readonly catalog: MemoryFileCatalog;
  readonly loader: SegmentLoader;
  away: boolean;
}

export class ReadWorld {
  readonly under = new MemoryUnderStore();
  readonly clock = new ManualClock();
  readonly choice = new SourceChoice({ clock: this.clock, random: new SeededRandom(1) });
  readonly peers = new Map<PeerId, Peer>();
  /** Owners of every key, in order. */
  ring: PeerId[] = [];
  readonly served: string[] = [];
  openSources = 0;
  /** Runs for each chunk that comes from a peer. */
  onPeerChunk: (peer: PeerId, chunk: Uint8Array) => Uint8Array | Promise<Uint8Array> = (_, chunk) =>
    chunk;
  /** What the peer whose chunk was just given breaks with. */
  breakAfterChunk: RingloadError | undefined;
  readonly reader: FileReader;
  readonly loader: SegmentLoader;

  constructor(
    names: readonly string[] = ['me', 'p2', 'p3'],
    options: Partial<FileReaderOptions> = {},
  ) {
    for (const name of names) {
      const store = newStore();
      const loader = new SegmentLoader({
        ...{
          store,
          plane: memoryPlane(this.under, store),
          mutes: newMutes(),
          logger: silentLogger,
        },
      });
      const catalog = new MemoryFileCatalog();
      this.peers.set(peerId(name), { store, catalog, loader, away: false });
      this.ring.push(peerId(name));
    }
    const me = this.peer('me');
    const stores = { storeOf: () => this.under, mounts: ['s3://b'] };
    this.loader = me.loader;
    const placement = () => ({
      self: peerId('me'),
      members: [...this.peers.keys()],
      ownersOf: (_segment: unknown, count: number) => this.ring.slice(0, count),
      isReachable: (id: PeerId) => this.peers.get(id)?.away === false,
    });
    const network = this.#network();
    const sources = new SegmentSources({
      store: me.store,
      loader: this.loader,
      stores,
      network,
      placement,
      choice: this.choice,
      clock: this.clock,
      logger: silentLogger,
      onServed: (from, bytes) => void this.served.push(`${from} ${bytes}`),
    });
    this.reader = new FileReader({
      catalog: me.catalog,
      stores,
      sources,
      network,
      placement,
      segmentSizeBytes: SEGMENT,
      statTimeoutMs: 1000,
      clock: this.clock,
      ...options,
    });
  }

  peer(name: string): Peer {
    const peer = this.peers.get(peerId(name));
    if (!peer) throw new Error(`no peer ${name}`);
    return peer;
  }

  /** The object in the under store, and a record of it at `homes`. */
  async file(bytes: Uint8Array, homes: readonly string[]): Promise<FileRecord> {
    const object = this.under.put(PATH, bytes);
    const record = { ...object, segmentSizeBytes: SEGMENT, segmented: true, replicaCount: 2 };
    for (const home of homes) await this.peer(home).catalog.putAll([record]);
    return record;
  }

  /** Segment `index` of the record, with its bytes, in the cache of `name`. */
  hold(name: string, record: FileRecord, index: number, bytes: Uint8Array): Promise<void> {
    return holdSegment(this.peer(name).store, record, index, bytes);
  }

  #network(): ReadNetwork {
    const at = (id: PeerId): Peer => {
      const peer = this.peers.get(id);
      if (!peer || peer.away) throw new RingloadError('peer_unreachable', `${id} is away`);
      return peer;
    };
    return {
      recordAt: async (id, path) => at(id).catalog.get(path),
      listAt: async (id, request) => at(id).catalog.scan(request),
      holds: async (id, keys) => {
        const found = await Promise.all(keys.map((key) => at(id).store.lookup(key)));
        return found.map((segment) => segment !== undefined);
      },
      isLoading: async (id, key) => at(id).loader.isLoading(key),
      openSegment: async (id, request, signal, { via, onAsked } = {}) => {
        const { store, loader } = at(id);
        onAsked?.();
        const reader = await openSegment(store, loader, request, signal);
        if (!reader) throw new RingloadError('not_found', 'not resident there');
        const { offset, length } = request;
        const chunks = reader.read(offset, length);
        const opened = { key: request.key, length, chunks, close: () => reader.close() };
        return this.#piece(id, opened, via);
      },
    };
  }

  /** Kept in a thread where one is named: then it has an id and no chunks. */
  async #piece(
    id: PeerId,
    opened: {
      key: SegmentKey;
      length: number;
      chunks: AsyncIterable<Uint8Array>;
      close: () => void;
    },
    via: HeldReads | undefined,
  ): Promise<Piece> {
    const { key, length } = opened;
    if (via) {
      this.openSources += 1;
      const close = (): void => {
        this.openSources -= 1;
        opened.close();
      };
      const held = { id: [...this.peers.keys()].indexOf(id), key, endpoint: id, token: undefined };
      return { length, held, chunks: noChunks, close };
    }
    return beginPiece(length, this.#stream(id, opened.chunks, opened.close));
  }

  async *#stream(
    id: PeerId,
    chunks: AsyncIterable<Uint8Array>,
    close: () => void,
  ): AsyncGenerator<Uint8Array> {
    this.openSources += 1;
    try {
      for await (const chunk of chunks) {
        yield await this.onPeerChunk(id, chunk);
        const failure = this.breakAfterChunk;
        this.breakAfterChunk = undefined;
        if (failure) throw failure;
      }
    } finally {
      this.openSources -= 1;
      close();
    }
  }
}

function noChunks(): never {
  throw new Error('the bytes are in another thread');
}

/** Fills from a memory under store into a store of segments. */
export function memoryPlane(
  under: MemoryUnderStore,
  store: Pick<MemorySegmentStore, 'write'>,
): DataPlane {
  return {
    fill: async ({ source, extent }, signal) => {
      if (source.kind !== 'ufs') throw new RingloadError('not_found', 'not from peers here');
      const sums = new Checksummer(extent.lengthBytes);
      let receivedBytes = 0;
      for await (const chunk of under.readRange(source.range, signal)) {
        await store.write(extent, receivedBytes, chunk);
        sums.update(chunk);
        receivedBytes += chunk.length;
      }
      return { ...sums.result(), lengthBytes: extent.lengthBytes, receivedBytes };
    },
    close: () => Promise.resolve(),
  };
}

/** Segment `index` of the record, with its bytes, in that cache. */
export async function holdSegment(
  store: MemorySegmentStore,
  record: FileRecord,
  index: number,
  bytes: Uint8Array,
): Promise<void> {
  const { segmentSizeBytes } = record;
  const part = bytes.subarray(index * segmentSizeBytes, (index + 1) * segmentSizeBytes);
  const reservation = await store.reserve(segmentKey(record, index), part.length);
  await store.write(reservation.extent, 0, part);
  const sums = new Checksummer(part.length);
  sums.update(part);
  await reservation.commit(sums.result());
}

export function segmentKey(record: FileRecord, index: number): SegmentKey {
  const { path, version, segmentSizeBytes } = record;
  return { path, version, segmentSizeBytes, index };
}

export function bytesOf(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, n) => (n * 7 + seed) % 251);
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}
