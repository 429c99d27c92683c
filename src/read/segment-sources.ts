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
import {
  beginPiece,
  type HeldReads,
  type Piece,
  type PieceReport,
  type Pieces,
} from '../data/pieces.ts';
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

/** Opens a part of the slice, or says why it cannot. */
type Source = (offset: number, length: number, signal: AbortSignal) => Promise<Piece>;

export class SegmentSources {
  readonly #options: SourceOptions;

  constructor(options: SourceOptions) {
    this.#options = options;
  }

  /**
   * Exactly the slice, piece by piece. @param via for pieces that a thread reads from other peers.
   * @throws ufs_changed, ufs_*, peer_unreachable, …
   */
  async *pieces(slice: SegmentSlice, signal: AbortSignal, via?: HeldReads): Pieces {
    let done = 0;
    let failure: RingloadError | undefined;
    for (const open of this.#sourcesOf(slice, via)) {
      try {
        const report = yield* this.#give(open, slice, done, signal);
        done += report.sentBytes;
        if (report.failure) throw report.failure;
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

  async *#give(
    { from, open }: NamedSource,
    slice: SegmentSlice,
    done: number,
    signal: AbortSignal,
  ): AsyncGenerator<Piece, PieceReport, PieceReport> {
    const piece = await open(slice.offset + done, slice.length - done, signal);
    try {
      const report = yield piece;
      const isWhole = report.sentBytes === piece.length && !report.failure;
      if (isWhole) this.#options.onServed?.(from, piece.length);
      return report;
    } finally {
      piece.close();
    }
  }

  *#sourcesOf(slice: SegmentSlice, via: HeldReads | undefined): Generator<NamedSource> {
    const { record, index } = slice;
    const placement = this.#options.placement();
    const place = { path: record.path, index, segmented: record.segmented };
    // Why first: most reads need nothing else.
    yield { from: 'local', open: this.#local(slice) };
    const near = placement.ownersOf(place, record.replicaCount + FORMER_OWNER_COUNT);
    const others = near.filter((peer) => peer !== placement.self && placement.isReachable(peer));
    const owners = near.slice(0, record.replicaCount);
    const filler = owners.find((peer) => peer === placement.self || placement.isReachable(peer));
    for (const peer of others) yield { from: 'peer', open: this.#peer(slice, peer, false, via) };
    // Why only then: nobody is asked about what was never loaded.
    if (record.loadedBy !== undefined) {
      yield { from: 'peer', open: this.#anybody(slice, near, via) };
    }
    if (filler === placement.self) yield { from: 'local', open: this.#readThroughHere(slice) };
    else if (filler !== undefined)
      yield { from: 'ufs', open: this.#peer(slice, filler, true, via) };
    yield { from: 'ufs', open: this.#underStore(slice) };
  }

  #local(slice: SegmentSlice): Source {
    const { store } = this.#options;
    return async (offset, length) => {
      const reader = await store.open(keyOf(slice));
      if (!reader) throw new RingloadError('not_found', 'the segment is not resident here');
      return {
        length,
        chunks: () => reader.read(offset, length),
        ...(reader.placed && { placed: { segment: reader.placed, from: offset } }),
        close: () => {
          reader.close();
        },
      };
    };
  }

  #peer(
    slice: SegmentSlice,
    peer: PeerId,
    readThrough: boolean,
    via: HeldReads | undefined,
  ): Source {
    const { network } = this.#options;
    return (offset, length, signal) => {
      const fill = { lengthBytes: lengthOf(slice), fileSizeBytes: slice.record.sizeBytes };
      const request = { key: keyOf(slice), offset, length, ...(readThrough && { fill }) };
      return network.openSegment(peer, request, signal, via);
    };
  }

  /** Whoever holds it although the ring says otherwise: after several changes it lies anywhere. */
  #anybody(slice: SegmentSlice, except: readonly PeerId[], via: HeldReads | undefined): Source {
    const { network } = this.#options;
    const { self, members, isReachable } = this.#options.placement();
    const key = keyOf(slice);
    const peers = members.filter(
      (peer) => peer !== self && !except.includes(peer) && isReachable(peer),
    );
    const holds = async (peer: PeerId): Promise<boolean> =>
      (await network.holds(peer, [key]).catch(() => []))[0] === true;
    return async (offset, length, signal) => {
      const answers = await Promise.all(peers.map(holds));
      const holder = peers.find((_peer, position) => answers[position]);
      if (holder === undefined) throw new RingloadError('not_found', 'no member holds the segment');
      return this.#peer(slice, holder, false, via)(offset, length, signal);
    };
  }

  #readThroughHere(slice: SegmentSlice): Source {
    const local = this.#local(slice);
    const { loader } = this.#options;
    return async (offset, length, signal) => {
      const request = {
        key: keyOf(slice),
        lengthBytes: lengthOf(slice),
        fileSizeBytes: slice.record.sizeBytes,
        peerEndpoints: [],
        allowUfs: true,
      };
      await loader.load(request, signal);
      return local(offset, length, signal);
    };
  }

  /** Not stored on the way: this peer is no owner, or has no room. */
  #underStore(slice: SegmentSlice): Source {
    const { stores } = this.#options;
    return (offset, length, signal) => {
      const { path, version, sizeBytes, segmentSizeBytes } = slice.record;
      const start = slice.index * segmentSizeBytes + offset;
      const range = { path, version, sizeBytes, offset: start, length };
      return beginPiece(length, stores.storeOf(path).readRange(range, signal));
    };
  }
}

interface NamedSource {
  /** Where the bytes are counted. */
  readonly from: 'local' | 'peer' | 'ufs';
  readonly open: Source;
}

export function keyOf({ record, index }: SegmentSlice): SegmentKey {
  const { path, version, segmentSizeBytes } = record;
  return { path, version, segmentSizeBytes, index };
}

/** Length of the whole segment that the slice lies in. */
function lengthOf({ record, index }: SegmentSlice): number {
  return Math.min(record.segmentSizeBytes, record.sizeBytes - index * record.segmentSizeBytes);
}
