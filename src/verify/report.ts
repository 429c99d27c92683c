/** What the verification of a job tells: types only, for whoever shows them. */
import type { Epoch, JobId, PeerId } from '../base/ids.ts';

/** How a copy differs from what was certified. */
export const DIFFERENCE_KINDS = ['missing', 'damaged', 'other-version', 'unreachable'] as const;

/**
 * `missing`: its owner does not have it. `damaged`: its owner had it, but its bytes fail their
 * checksum. `other-version`: something else is there. `unreachable`: its owner does not answer, so
 * nothing can be said.
 */
export type DifferenceKind = (typeof DIFFERENCE_KINDS)[number];

export interface Difference {
  readonly path: string;
  /** 0-based; absent: the file's record in the catalogue. */
  readonly segment?: number;
  /** The owner of the copy; absent when the ring has fewer peers than copies, or no one has it. */
  readonly peerId?: PeerId;
  readonly kind: DifferenceKind;
  readonly message?: string;
  /** Set when repair was asked for: where the copy came from, or that it could not be made. */
  readonly repaired?: 'from-peer' | 'from-ufs' | 'no';
}

/** Sums over copies: a segment that two peers hold counts twice. */
export interface CopySums {
  readonly segmentCount: number;
  readonly bytes: number;
  /** Sum modulo 2^64 of segment digests, 16 hex digits. */
  readonly digest: string;
  readonly recordCount: number;
  /** The same of the records in the catalogues. */
  readonly recordDigest: string;
}

export interface VerifyProgress {
  readonly fileCount: number;
  readonly copyCount: number;
  readonly bytes: number;
  readonly differenceCount: number;
}

export interface VerifyReport {
  readonly jobId: JobId;
  readonly path: string;
  /** Every certified copy is there, sound, on the peer that the ring makes responsible. */
  readonly equal: boolean;
  /** The ring that owners were looked up in. */
  readonly epoch: Epoch;
  /** It changed meanwhile: what is found missing may have been on its way. */
  readonly ringChanged: boolean;
  readonly certified: CopySums;
  /** What is there now, repaired copies included. */
  readonly found: CopySums;
  readonly checked: VerifyProgress;
  /** Exact, however many there are. */
  readonly counts: Readonly<Record<DifferenceKind, number>>;
  readonly repaired: {
    readonly fromPeer: number;
    readonly fromUfs: number;
    readonly failed: number;
  };
  /** The first ones, bounded. */
  readonly differences: readonly Difference[];
  /** What cannot be said of one copy. */
  readonly notes: readonly string[];
}

/** Progress now and then, the report at the end. */
export type VerifyEvent = { readonly progress: VerifyProgress } | { readonly report: VerifyReport };
