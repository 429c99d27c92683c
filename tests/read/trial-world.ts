/**
 * A small cluster whose every part is real but time, lines, disks and the under store: the peers'
 * readers, sources and loaders, on virtual time, from one seed. Lines are late, break, stand still;
 * peers are away for a while; segments are evicted and spoilt; the ring turns.
 */
import { ManualClock, sleep } from '../../src/base/clock.ts';
import { RingloadError } from '../../src/base/errors.ts';
import { jobId, peerId, type PeerId } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { randomInt, type SeededRandom } from '../../src/base/random.ts';
import type { FileRecord } from '../../src/cache/file-catalog.ts';
import { MemoryFileCatalog } from '../../src/cache/memory-file-catalog.ts';
import type { MemorySegmentStore } from '../../src/cache/memory-segment-store.ts';
import type { SegmentReader } from '../../src/cache/segment-store.ts';
import { beginPiece } from '../../src/data/pieces.ts';
import { SegmentLoader } from '../../src/data/segment-loader.ts';
import { openSegment } from '../../src/node/open-segment.ts';
import { FileReader } from '../../src/read/file-reader.ts';
import type { ReadNetwork, ReadPlacement } from '../../src/read/read-network.ts';
import { SegmentSources } from '../../src/read/segment-sources.ts';
import { SourceChoice } from '../../src/read/source-choice.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import { newMutes, newStore } from '../data/support.ts';
import { holdSegment, memoryPlane } from './support.ts';

export const PATH = 's3://b/a';
export const SEGMENT_BYTES = 16;
const PEER_COUNT = 4;
const CACHE_BYTES = 64 * 1024;

export interface TrialPeer {
  readonly id: PeerId;
  readonly store: MemorySegmentStore;
  readonly catalog: MemoryFileCatalog;
  readonly loader: SegmentLoader;
  readonly reader: FileReader;
  isAway: boolean;
}

export class TrialWorld {
  readonly clock = new ManualClock();
  readonly under = new MemoryUnderStore();
  readonly random: SeededRandom;
  readonly peers: TrialPeer[] = [];
  /** How likely a step of a line goes wrong. */
  trouble = 0;
  #turn = 0;
  #isMade = true;

  constructor(random: SeededRandom, isAlwaysFresh: boolean) {
    this.random = random;
    for (let number = 0; number < PEER_COUNT; number++)
      this.peers.push(this.#peer(number, isAlwaysFresh));
    this.under.onCall = async () => {
      await this.#wait(40);
      if (this.chance(this.trouble)) throw new RingloadError('ufs_unavailable', 'by the script');
    };
    this.#isMade = false;
  }

  chance(likelihood: number): boolean {
    return this.random.next() < likelihood;
  }

  pick<T>(values: readonly T[]): T {
    const value = values[randomInt(this.random, values.length)];
    if (value === undefined) throw new Error('nothing to pick from');
    return value;
  }

  /** Owners change. */
  turnRing(): void {
    this.#turn++;
  }

  /** As after a load: a record at the homes, and some of the segments with their owners. */
  async load(record: FileRecord, bytes: Uint8Array, share: number): Promise<void> {
    const loaded = { ...record, loadedBy: jobId('j') };
    const placement = this.#placement(this.#at(0));
    const homes = placement.ownersOf(
      { path: PATH, index: 0, segmented: true },
      record.replicaCount,
    );
    for (const id of homes) await this.#byId(id).catalog.putAll([loaded]);
    for (let index = 0; index * SEGMENT_BYTES < bytes.length; index++) {
      const owners = placement.ownersOf(
        { path: PATH, index, segmented: true },
        record.replicaCount,
      );
      for (const id of owners) {
        if (this.chance(share)) await holdSegment(this.#byId(id).store, loaded, index, bytes);
      }
    }
  }

  /** One segment of one peer goes, or is spoilt. */
  async hurt(): Promise<void> {
    const { store } = this.pick(this.peers);
    for await (const { key, lengthBytes } of store.segments()) {
      if (!this.chance(0.3)) continue;
      if (this.chance(0.5)) await store.drop(key);
      else store.corrupt(key, randomInt(this.random, lengthBytes));
      return;
    }
  }

  #peer(number: number, isAlwaysFresh: boolean): TrialPeer {
    const id = peerId(`p${number}`);
    const store = newStore(CACHE_BYTES);
    const catalog = new MemoryFileCatalog();
    const { clock, random } = this;
    const loader = new SegmentLoader({
      ...{ store, plane: memoryPlane(this.under, store), mutes: newMutes(clock) },
      logger: silentLogger,
    });
    const stores = { storeOf: () => this.under, mounts: ['s3://b'] };
    const network = this.#network(id);
    const choice = new SourceChoice({ clock, random });
    const placement = (): ReadPlacement => this.#placement(this.#byId(id));
    const sources = new SegmentSources({
      ...{ store, loader, stores, network, choice, placement, clock },
      logger: silentLogger,
    });
    const reader = new FileReader({
      ...{ catalog, stores, sources, network, placement, clock },
      segmentSizeBytes: SEGMENT_BYTES,
      statTimeoutMs: 5000,
      freshnessOf: () => (isAlwaysFresh ? { revalidateAfterMs: 0 } : undefined),
    });
    return { id, store, catalog, loader, reader, isAway: false };
  }

  #placement(self: TrialPeer): ReadPlacement {
    const ids = this.peers.map(({ id }) => id);
    return {
      self: self.id,
      members: ids,
      ownersOf: ({ index }, count) => {
        const first = (index + this.#turn) % ids.length;
        return [...ids.slice(first), ...ids.slice(0, first)].slice(0, count);
      },
      isReachable: (id) => !this.#byId(id).isAway && !self.isAway,
    };
  }

  #at(number: number): TrialPeer {
    const peer = this.peers[number];
    if (!peer) throw new Error(`no peer ${number}`);
    return peer;
  }

  #byId(id: PeerId): TrialPeer {
    return this.#at(Number(id.slice(1)));
  }

  #network(from: PeerId): ReadNetwork {
    const to = async (id: PeerId): Promise<TrialPeer> => {
      await this.#wait(10);
      const peer = this.#byId(id);
      const isCut = peer.isAway || this.#byId(from).isAway || this.chance(this.trouble);
      if (isCut) throw new RingloadError('peer_unreachable', `${id} cannot be reached`);
      return peer;
    };
    return {
      recordAt: async (id, path) => (await to(id)).catalog.get(path),
      listAt: async (id, request) => (await to(id)).catalog.scan(request),
      isLoading: async (id, key) => (await to(id)).loader.isLoading(key),
      holds: async (id, keys) => {
        const { store } = await to(id);
        return Promise.all(keys.map(async (key) => (await store.lookup(key)) !== undefined));
      },
      openSegment: async (id, request, signal, watch = {}) => {
        watch.onAsked?.();
        const { store, loader } = await to(id);
        signal.throwIfAborted();
        await this.#standStill(signal);
        const reader = await openSegment(store, loader, request, signal);
        if (!reader) throw new RingloadError('not_found', 'not resident there');
        const { offset, length } = request;
        const bytes = this.#line(id, reader.read(offset, length), { signal, reader, ...watch });
        return beginPiece(length, bytes);
      },
    };
  }

  /** A line that says nothing until it is given up. */
  async #standStill(signal: AbortSignal): Promise<void> {
    if (this.chance(this.trouble / 2)) await sleep(this.clock, 30_000, signal);
  }

  async *#line(
    id: PeerId,
    chunks: AsyncIterable<Uint8Array>,
    watch: { signal: AbortSignal; reader: SegmentReader; bodyPatienceMs?: number },
  ): AsyncGenerator<Uint8Array> {
    const { signal, reader, bodyPatienceMs = 10_000 } = watch;
    try {
      for await (const chunk of chunks) {
        for (let at = 0; at < chunk.length;) {
          await this.#wait(5);
          signal.throwIfAborted();
          if (this.chance(this.trouble / 2)) {
            await sleep(this.clock, bodyPatienceMs, signal);
            throw new RingloadError('deadline_exceeded', `${id} stands still`);
          }
          if (this.#byId(id).isAway || this.chance(this.trouble / 2))
            throw new RingloadError('peer_unreachable', `${id} broke off`);
          const piece = chunk.subarray(at, at + 1 + randomInt(this.random, 12));
          at += piece.length;
          yield piece;
        }
      }
    } finally {
      reader.close();
    }
  }

  async #wait(maxMs: number): Promise<void> {
    if (!this.#isMade) await sleep(this.clock, randomInt(this.random, maxMs));
  }
}
