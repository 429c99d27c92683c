/**
 * Where the bytes of one segment come from, in the order in which they are tried: this peer, the
 * owners that hold it, any other member that does, an owner that reads it through, and at last the
 * under store itself.
 *
 * A source that breaks half way is replaced by the next one at the byte that was reached, so a
 * reader sees either every byte of one version or an error.
 */
import { RingloadError, toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import type { SegmentKey, SegmentStore } from '../cache/segment-store.ts';
import type { SegmentLoader } from '../data/segment-loader.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import type { ReadNetwork, ReadPlacement } from './read-network.ts';

/** Peers beyond the owners that are asked: after a change of the ring the old owners are next. */
const FORMER_OWNER_COUNT = 2;

export interface SourceOptions {
  readonly store: SegmentStore;
  readonly loader: SegmentLoader;
  readonly stores: UnderStores;
  readonly network: ReadNetwork;
  readonly placement: () => ReadPlacement;
  readonly logger: Logger;
  /** Told of each range, for metrics: where its bytes came from. */
  readonly onServed?: (from: 'local' | 'peer' | 'ufs', bytes: number) => void;
}

/** One segment of a file, or a part of it. */
export interface SegmentSlice {
  readonly record: FileRecord;
  readonly index: number;
  /** Relative to the segment. */
  readonly offset: number;
  readonly length: number;
}

type Source = (offset: number, length: number, signal: AbortSignal) => AsyncIterable<Uint8Array>;

export class SegmentSources {
  readonly #options: SourceOptions;

  constructor(options: SourceOptions) {
    this.#options = options;
  }

  /** Yields exactly the slice. @throws ufs_changed, ufs_*, peer_unreachable, … */
  async *read(slice: SegmentSlice, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let done = 0;
    let failure: RingloadError | undefined;
    for (const source of this.#sourcesOf(slice)) {
      try {
        for await (const chunk of source(slice.offset + done, slice.length - done, signal)) {
          if (done + chunk.length > slice.length) {
            const message = `a source sent more than the ${String(slice.length)} bytes asked for`;
            throw new RingloadError('ufs_bad_response', message);
          }
          done += chunk.length;
          yield chunk;
        }
      } catch (thrown) {
        signal.throwIfAborted();
        failure = toRingloadError(thrown);
        const { code, message } = failure;
        this.#options.logger.debug('segment source failed', { code, reason: message });
        // Why with all bytes given too: what vouches for them failed, and nobody can take them back.
        const isHopeless = code === 'ufs_changed' || code === 'ufs_not_found';
        if (isHopeless || done === slice.length) throw failure;
      }
      if (done === slice.length) return;
    }
    const message = `segment ${String(slice.index)} of ${slice.record.path}: its sources ended early`;
    throw failure ?? new RingloadError('ufs_bad_response', message);
  }

  *#sourcesOf(slice: SegmentSlice): Generator<Source> {
    const { record, index } = slice;
    const placement = this.#options.placement();
    const place = { path: record.path, index, segmented: record.segmented };
    const near = placement.ownersOf(place, record.replicaCount + FORMER_OWNER_COUNT);
    const others = near.filter((peer) => peer !== placement.self && placement.isReachable(peer));
    const owners = near.slice(0, record.replicaCount);
    const filler = owners.find((peer) => peer === placement.self || placement.isReachable(peer));
    yield this.#local(slice);
    for (const peer of others) yield this.#peer(slice, peer, false);
    // Why only then: nobody is asked about what was never loaded.
    if (record.loadedBy !== undefined) yield this.#anybody(slice, near);
    if (filler === placement.self) yield this.#readThroughHere(slice);
    else if (filler !== undefined) yield this.#peer(slice, filler, true);
    yield this.#underStore(slice);
  }

  #local(slice: SegmentSlice): Source {
    const { store, onServed } = this.#options;
    return async function* (offset, length) {
      const reader = await store.open(keyOf(slice));
      if (!reader) throw new RingloadError('not_found', 'the segment is not resident here');
      try {
        yield* reader.read(offset, length);
      } finally {
        reader.close();
      }
      onServed?.('local', length);
    };
  }

  #peer(slice: SegmentSlice, peer: PeerId, readThrough: boolean): Source {
    const { network, onServed } = this.#options;
    return async function* (offset, length, signal) {
      const fill = { lengthBytes: lengthOf(slice), fileSizeBytes: slice.record.sizeBytes };
      const request = { key: keyOf(slice), offset, length, ...(readThrough && { fill }) };
      yield* await network.openSegment(peer, request, signal);
      onServed?.(readThrough ? 'ufs' : 'peer', length);
    };
  }

  /** Whoever holds it although the ring says otherwise: after several changes it lies anywhere. */
  #anybody(slice: SegmentSlice, except: readonly PeerId[]): Source {
    const { network } = this.#options;
    const { self, members, isReachable } = this.#options.placement();
    const key = keyOf(slice);
    const peers = members.filter(
      (peer) => peer !== self && !except.includes(peer) && isReachable(peer),
    );
    const holds = async (peer: PeerId): Promise<boolean> =>
      (await network.holds(peer, [key]).catch(() => []))[0] === true;
    const read = (peer: PeerId): Source => this.#peer(slice, peer, false);
    return async function* (offset, length, signal) {
      const answers = await Promise.all(peers.map(holds));
      const holder = peers.find((_peer, position) => answers[position]);
      if (holder === undefined) throw new RingloadError('not_found', 'no member holds the segment');
      yield* read(holder)(offset, length, signal);
    };
  }

  #readThroughHere(slice: SegmentSlice): Source {
    const local = this.#local(slice);
    const { loader } = this.#options;
    return async function* (offset, length, signal) {
      const request = {
        key: keyOf(slice),
        lengthBytes: lengthOf(slice),
        fileSizeBytes: slice.record.sizeBytes,
        peerEndpoints: [],
        allowUfs: true,
      };
      await loader.load(request, signal);
      yield* local(offset, length, signal);
    };
  }

  /** Not stored on the way: this peer is no owner, or has no room. */
  #underStore(slice: SegmentSlice): Source {
    const { stores, onServed } = this.#options;
    return async function* (offset, length, signal) {
      const { path, version, sizeBytes, segmentSizeBytes } = slice.record;
      const start = slice.index * segmentSizeBytes + offset;
      const range = { path, version, sizeBytes, offset: start, length };
      yield* stores.storeOf(path).readRange(range, signal);
      onServed?.('ufs', length);
    };
  }
}

export function keyOf({ record, index }: SegmentSlice): SegmentKey {
  const { path, version, segmentSizeBytes } = record;
  return { path, version, segmentSizeBytes, index };
}

/** Length of the whole segment that the slice lies in. */
function lengthOf({ record, index }: SegmentSlice): number {
  return Math.min(record.segmentSizeBytes, record.sizeBytes - index * record.segmentSizeBytes);
}
