/**
 * Where the bytes of one segment come from, in the order in which they are tried: this peer, the
 * owners that hold it, any other member that does, an owner that reads it through, and at last the
 * under store itself.
 *
 * A source that fails, or stands still, is replaced by the next one at the byte that was reached,
 * so a reader sees either every byte of one version or an error.
 */
import type { Clock } from '../base/clock.ts';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { SegmentStore } from '../cache/segment-store.ts';
import {
  beginPiece,
  type HeldReads,
  type Piece,
  type PieceReport,
  type Pieces,
} from '../data/pieces.ts';
import type { SegmentLoader } from '../data/segment-loader.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import { firstHolder, isOther, nearOf } from './near-peers.ts';
import { Opening, WayQueue, type Way } from './opening.ts';
import { PeerReads } from './peer-reads.ts';
import type { ReadNetwork, ReadPlacement } from './read-network.ts';
import { keyOf, segmentLengthOf, type SegmentSlice } from './segment-slice.ts';
import { SharedFills } from './shared-fills.ts';
import type { SourceChoice } from './source-choice.ts';

/** Peers that are asked to read a segment through, one after the other, before this one does. */
const FILLER_MAX_COUNT = 2;
/** So often a peer that answers others is waited for once more. */
const SLOW_MAX_COUNT = 5;

export interface SourceOptions {
  readonly store: SegmentStore;
  readonly loader: SegmentLoader;
  readonly stores: UnderStores;
  readonly network: ReadNetwork;
  readonly choice: SourceChoice;
  readonly placement: () => ReadPlacement;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each range, for metrics: where its bytes came from. */
  readonly onServed?: (from: ServedFrom, bytes: number, slice: SegmentSlice, count: number) => void;
  /** Told of second requests, of sources that stood still, and of those that failed. */
  readonly onTrouble?: (trouble: 'hedge' | 'stall' | 'failure') => void;
}

export type ServedFrom = 'local' | 'peer' | 'ufs';

export interface ReadManner {
  /** For pieces that a thread reads from other peers. */
  readonly via?: HeldReads;
  /** Told when it was in no cache. */
  readonly onMiss?: () => void;
}

/** One read of a slice: how far it came, and what it met. */
interface Course {
  readonly slice: SegmentSlice;
  readonly manner: ReadManner;
  readonly placement: ReadPlacement;
  done: number;
  /** The under store was asked and failed: to ask it over and over is no help. */
  hasStoreFailed: boolean;
  /** Peers whose bodies stood still: if all else fails they are waited for. */
  readonly stalled: Set<PeerId>;
}

interface OpenSource {
  readonly piece: Piece;
  readonly from: ServedFrom;
  readonly peer?: PeerId;
  close(): void;
}

type SourceWay = Way<OpenSource>;

export class SegmentSources {
  readonly #options: SourceOptions;
  readonly #peers: PeerReads;
  readonly #fills: SharedFills;

  constructor(options: SourceOptions) {
    this.#options = options;
    const { choice, network, clock } = options;
    this.#peers = new PeerReads({ network, choice, clock });
    this.#fills = new SharedFills({ network, clock, choice });
  }

  /** Exactly the slice, piece by piece. @throws ufs_changed, ufs_*, peer_unreachable, … */
  async *pieces(slice: SegmentSlice, signal: AbortSignal, manner: ReadManner = {}): Pieces {
    const placement = this.#options.placement();
    const course: Course = {
      ...{ slice, manner, placement, done: 0, hasStoreFailed: false },
      stalled: new Set(),
    };
    let source: OpenSource | undefined = await this.#openHere(course);
    const ways = new WayQueue(this.#waysOf(course));
    let failure: RingloadError | undefined;
    while (course.done < slice.length) {
      source ??= await this.#openOther(course, ways, signal, failure);
      failure = undefined;
      try {
        const report = yield* this.#give(source, slice);
        course.done += report.sentBytes;
        if (report.failure) throw report.failure;
        if (course.done < slice.length) throw endedEarly(slice);
      } catch (thrown) {
        signal.throwIfAborted();
        failure = toRingloadError(thrown);
        this.#note(failure, course, source.peer);
        // Why with all bytes given too: what vouches for them failed, and nobody can take them back.
        if (isHopeless(failure) || course.done === slice.length) throw failure;
      }
      source = undefined;
    }
  }

  /** Has the segment brought into a cache, where it is in none that is usual. @throws as `pieces` */
  async prepare(slice: SegmentSlice, signal: AbortSignal): Promise<void> {
    const placement = this.#options.placement();
    if (await this.#options.store.lookup(keyOf(slice))) return;
    const [filler] = this.#fillersOf(slice, placement);
    if (filler === undefined || filler === placement.self) await this.#load(slice, signal);
    else await this.#fills.run(filler, fillOf(slice), signal);
  }

  /** So many ranges of a segment were read by who needs nobody's help for that. */
  async noteRead(slice: SegmentSlice, from: 'local' | 'peer', count: number): Promise<void> {
    this.#options.onServed?.(from, slice.length, slice, count);
    if (from === 'peer') return;
    // Why: what is read is kept longer, and is no more on trial.
    const reader = await this.#options.store.open(keyOf(slice)).catch(() => undefined);
    reader?.close();
  }

  async *#give(
    source: OpenSource,
    slice: SegmentSlice,
  ): AsyncGenerator<Piece, PieceReport, PieceReport> {
    try {
      const report = yield source.piece;
      const isWhole = report.sentBytes === source.piece.length && !report.failure;
      if (isWhole) this.#options.onServed?.(source.from, source.piece.length, slice, 1);
      return report;
    } finally {
      source.close();
    }
  }

  /** Without a race: most reads need nothing else. */
  async #openHere({ slice, done }: Course): Promise<OpenSource | undefined> {
    try {
      return await this.#local(slice, done, 'local');
    } catch (thrown) {
      const { code, message } = toRingloadError(thrown);
      this.#options.logger.debug('this cache failed', { code, reason: message });
      return undefined;
    }
  }

  async #openOther(
    course: Course,
    ways: WayQueue<OpenSource>,
    signal: AbortSignal,
    failure: RingloadError | undefined,
  ): Promise<OpenSource> {
    const { choice, clock, onTrouble } = this.#options;
    const opening = new Opening<OpenSource>({
      ...{ clock, ways, signal },
      hedgeAfterMs: choice.hedgeAfterMs,
      takeHedge: () => {
        const isTaken = choice.takeHedge();
        if (isTaken) onTrouble?.('hedge');
        return isTaken;
      },
      onFailed: (error) => {
        this.#note(error, course);
        return isHopeless(error);
      },
      failure: failure ?? endedEarly(course.slice),
    });
    return opening.first();
  }

  #note(error: RingloadError, course: Course, peer?: PeerId): void {
    const { logger, choice, onTrouble } = this.#options;
    const { code, message } = error;
    if (code.startsWith('ufs_') && peer === undefined) course.hasStoreFailed = true;
    if (code !== 'not_found') onTrouble?.('failure');
    if (code === 'deadline_exceeded' && peer !== undefined) {
      course.stalled.add(peer);
      const sinceMs = this.#options.clock.nowMs() - choice.bodyPatienceMs(peer);
      if (choice.isMute(peer, sinceMs)) choice.isSilent(peer);
      onTrouble?.('stall');
    }
    logger.debug('segment source failed', { code, reason: message });
  }

  /** All but this cache. Lazy: what comes late depends on what happened before. */
  *#waysOf(course: Course): Generator<SourceWay> {
    const { slice, placement } = course;
    const { choice } = this.#options;
    const { record } = slice;
    const near = nearOf(slice, placement);
    const owners = near.slice(0, record.replicaCount).filter((peer) => isOther(placement, peer));
    const awake = owners.filter((peer) => !choice.isPassedOver(peer));
    const quiet = owners.filter((peer) => !awake.includes(peer));
    for (const peer of choice.order(awake)) yield this.#peerWay(course, peer);
    // Who was never loaded lies with its owners, or, after a change of the ring, with the next.
    const others = (record.loadedBy === undefined ? near : placement.members).filter(
      (peer) => !owners.includes(peer) && isOther(placement, peer),
    );
    if (others.length > 0) yield this.#holderWay(course, others);
    for (const peer of this.#fillersOf(slice, placement)) {
      if (peer === placement.self) break;
      yield this.#fillWay(course, peer);
      if (course.hasStoreFailed) break;
      // Why not the next at once: it would fetch what lies with a peer that is only slow.
      if (!choice.isQuiet(peer)) yield this.#peerWay(course, peer);
    }
    yield this.#hereWay(course);
    if (!course.hasStoreFailed) yield this.#storeWay(course);
    for (const peer of [...quiet, ...course.stalled]) yield this.#peerWay(course, peer, true);
  }

  /** Who reads it through: the same for all readers, so that the under store is asked once. */
  #fillersOf(slice: SegmentSlice, placement: ReadPlacement): PeerId[] {
    return nearOf(slice, placement)
      .filter((peer) => peer === placement.self || isOther(placement, peer))
      .filter((peer) => !this.#options.choice.isQuiet(peer))
      .slice(0, FILLER_MAX_COUNT);
  }

  #peerWay(course: Course, peer: PeerId, isPatient = false): SourceWay {
    return {
      isAlike: !isPatient,
      ...(!isPatient && this.#patienceWith(peer)),
      open: async (signal, onAsked) =>
        asSource(
          'peer',
          await this.#peers.open(peer, { ...rest(course), signal, onAsked, isPatient }),
          peer,
        ),
    };
  }

  /** Who answers others has many to answer, and is waited for some times more. */
  #patienceWith(peer: PeerId): Pick<SourceWay, 'patienceMs' | 'onSilent'> {
    const { choice, clock, onTrouble } = this.#options;
    let slowCount = 0;
    let waitedSinceMs = clock.nowMs();
    return {
      patienceMs: choice.headPatienceMs,
      onSilent: () => {
        if (slowCount++ < SLOW_MAX_COUNT && !choice.isMute(peer, waitedSinceMs)) {
          waitedSinceMs = clock.nowMs();
          return true;
        }
        choice.isSilent(peer);
        onTrouble?.('stall');
        return false;
      },
    };
  }

  /** Whoever holds it although the ring says otherwise: after several changes it lies anywhere. */
  #holderWay(course: Course, peers: readonly PeerId[]): SourceWay {
    const { network, choice } = this.#options;
    return {
      patienceMs: choice.headPatienceMs,
      open: async (signal, onAsked) => {
        onAsked();
        const holder = await firstHolder(network, peers, course.slice);
        const read = { ...rest(course), signal, onAsked: () => undefined };
        return asSource('peer', await this.#peers.open(holder, read), holder);
      },
    };
  }

  #fillWay(course: Course, peer: PeerId): SourceWay {
    const { choice } = this.#options;
    return {
      ...this.#patienceWith(peer),
      open: async (signal, onAsked) => {
        course.manner.onMiss?.();
        try {
          await this.#fills.run(peer, fillOf(course.slice), signal);
        } catch (thrown) {
          const isSilent = toRingloadError(thrown).code === 'deadline_exceeded';
          if (isSilent && !signal.aborted) choice.isSilent(peer);
          throw thrown;
        }
        const read = { ...rest(course), signal, onAsked };
        return asSource('ufs', await this.#peers.open(peer, read), peer);
      },
    };
  }

  #hereWay(course: Course): SourceWay {
    return {
      open: async (signal) => {
        course.manner.onMiss?.();
        await this.#load(course.slice, signal);
        const source = await this.#local(course.slice, course.done, 'ufs');
        if (source) return source;
        throw new RingloadError('not_found', 'the segment went as soon as it came');
      },
    };
  }

  /** Not stored on the way: this peer has no room. */
  #storeWay(course: Course): SourceWay {
    const { stores } = this.#options;
    const { slice, done } = course;
    return {
      open: async (signal) => {
        const { path, version, sizeBytes, segmentSizeBytes } = slice.record;
        const start = slice.index * segmentSizeBytes + slice.offset + done;
        const length = slice.length - done;
        const range = { path, version, sizeBytes, offset: start, length };
        const bytes = stores.storeOf(path).readRange(range, signal);
        return asSource('ufs', await beginPiece(length, bytes));
      },
    };
  }

  async #load(slice: SegmentSlice, signal: AbortSignal): Promise<void> {
    const request = { ...fillOf(slice), peerEndpoints: [], allowUfs: true };
    await this.#options.loader.load(request, signal);
  }

  async #local(
    slice: SegmentSlice,
    done: number,
    from: ServedFrom,
  ): Promise<OpenSource | undefined> {
    const reader = await this.#options.store.open(keyOf(slice));
    if (!reader) return undefined;
    const offset = slice.offset + done;
    const length = slice.length - done;
    return asSource(from, {
      length,
      chunks: () => reader.read(offset, length),
      ...(reader.placed && { placed: { segment: reader.placed, from: offset } }),
      close: () => {
        reader.close();
      },
    });
  }
}

/** What is left of it. */
function rest({ slice, done, manner: { via } }: Course) {
  return { slice, offset: slice.offset + done, length: slice.length - done, via };
}

function fillOf(slice: SegmentSlice) {
  const lengthBytes = segmentLengthOf(slice);
  return { key: keyOf(slice), lengthBytes, fileSizeBytes: slice.record.sizeBytes };
}

function asSource(from: ServedFrom, piece: Piece, peer?: PeerId): OpenSource {
  const close = (): void => {
    piece.close();
  };
  return { piece, from, close, ...(peer !== undefined && { peer }) };
}

function isHopeless({ code }: RingloadError): boolean {
  return code === 'ufs_changed' || code === 'ufs_not_found';
}

function endedEarly({ index, record }: SegmentSlice): RingloadError {
  const message = `segment ${String(index)} of ${record.path}: its sources ended early`;
  return new RingloadError('ufs_bad_response', message);
}
