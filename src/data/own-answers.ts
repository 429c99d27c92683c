/**
 * What a thread that serves clients may answer without asking. The main thread says with an answer
 * what of it stands until a mark is raised (`base/change-marks.ts`); who knows the protocol makes
 * other answers of it; and a mark is looked at when the bytes were read, just before they leave, so
 * that what is answered was true then.
 */
import type { Mark } from '../base/change-marks.ts';
import type { SegmentKey } from '../cache/segment-store.ts';
import type { ServedRange } from './served-range.ts';

export interface Standing {
  /** For who knows the protocol. */
  readonly facts: unknown;
  readonly place?: StandingPlace;
}

/** A segment that lies there as long as its mark stands. */
export interface StandingPlace extends Omit<ServedRange, 'from' | 'length'> {
  readonly key: SegmentKey;
  readonly mark: Mark;
}

export interface OwnAnswer {
  readonly status: number;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  /** Absent: no body. */
  readonly range?: ServedRange;
  /** Whether it is true now. */
  readonly isStill: () => boolean;
  readonly onSent: () => void;
}

/** Reads that the main thread has not heard of. */
export interface OwnRead {
  readonly facts: unknown;
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
