/**
 * What a thread that serves clients may answer without asking. The main thread says with an answer
 * what of it stands until a mark is raised (`base/change-marks.ts`); who knows the protocol makes
 * other answers of it; and a mark is looked at when the bytes were read, just before they leave, so
 * that what is answered was true then.
 */
import type { Mark } from '../base/change-marks.ts';
import type { PeerId } from '../base/ids.ts';
import type { SegmentKey } from '../cache/segment-store.ts';
import type { ServedRange } from './served-range.ts';

export interface Standing {
  /** For who knows the protocol. */
  readonly facts: unknown;
  readonly place?: StandingPlace | DistantPlace;
}

/** A segment that lies there as long as its mark stands. */
export interface StandingPlace extends Omit<ServedRange, 'from' | 'length'> {
  readonly key: SegmentKey;
  readonly mark: Mark;
}

/** A segment that another peer gave a moment ago. */
export interface DistantPlace {
  readonly key: SegmentKey;
  readonly peer: PeerId;
  readonly endpoint: string;
  readonly token: string | undefined;
}

/** Bytes that a peer is to be asked for; what it refuses is somebody else's to answer. */
export interface DistantRange {
  readonly place: DistantPlace;
  /** Relative to the segment. */
  readonly offset: number;
  readonly length: number;
  /** Only while this mark of the peer stands. */
  readonly stands: string | undefined;
}

/** Longer ranges of other peers are asked for by the main thread. */
export const DISTANT_MAX_BYTES = 64 * 1024;

export interface OwnAnswer {
  readonly status: number;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  /** At most one of both. None: no body. */
  readonly range?: ServedRange;
  readonly distant?: DistantRange;
  /** Whether it is true now. */
  readonly isStill: () => boolean;
  readonly onSent: () => void;
  /** It could not be carried out. `isSlow`: a peer said nothing for too long. */
  readonly onFailed?: (isSlow: boolean) => void;
}

/** Reads that the main thread has not heard of. */
export interface OwnRead {
  readonly facts: unknown;
  readonly from: 'local' | 'peer';
  readonly key: SegmentKey;
  readonly count: number;
  readonly bytes: number;
}

export interface OwnAnswers {
  /** Undefined: the main thread is to be asked. @param request.headers names and values in turn */
  answer(request: {
    readonly method: string;
    readonly target: string;
    readonly headers: readonly string[];
  }): OwnAnswer | undefined;
  learn(standing: Standing): void;
  /** Those since the last call. */
  takeReads(): readonly OwnRead[];
}
