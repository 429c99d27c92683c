/**
 * The data plane moves bulk bytes; the core only names them. A command holds plain values, so that
 * whatever executes it may live on another thread.
 */
import type { RingloadError } from '../base/errors.ts';
import type { CombinableSum } from '../base/crc-combine.ts';
import type { ObjectAttributes } from '../base/object-attributes.ts';
import type { Extent, SegmentChecksums, SegmentKey } from '../cache/segment-store.ts';
import type { RangeRequest } from '../ufs/under-store.ts';
import type { Passage } from './bandwidth.ts';
import type { FillTrail } from './fill-trail.ts';
import type { Urgency } from './urgency.ts';

export type FillSource =
  | { readonly kind: 'ufs'; readonly range: RangeRequest }
  /** A copy from the data endpoint of a peer, `http://host:port`. */
  | {
      readonly kind: 'peer';
      readonly endpoint: string;
      readonly key: SegmentKey;
      readonly lengthBytes: number;
      /** While the peer receives it itself: nothing is asked for that it would have to begin. */
      readonly follows?: boolean;
    };

export interface FillCommand {
  readonly source: FillSource;
  readonly extent: Extent;
  /** A second checksum to compute while the bytes pass, beside CRC32C. */
  readonly sum?: CombinableSum;
  /** Upper bound in bytes per second, shared by all fills with the same `bandwidthGroup`. */
  readonly bandwidthBps?: number;
  readonly bandwidthGroup?: string;
  /** Whether a reader waits for it, or only a job; absent: one does. */
  readonly urgency?: Urgency;
  /** What holds the bytes of this fill to its limits, where there are any. */
  readonly passage?: Passage;
  /** For those who follow the fill while it runs, where that can be done. */
  readonly trail?: FillTrail;
}

export interface FillResult extends SegmentChecksums {
  readonly lengthBytes: number;
  /** Bytes received from the source, retries included: what amplification counts. */
  readonly receivedBytes: number;
  /** The second checksum that was asked for, in hex digits. */
  readonly sum?: string;
  /** The segment is a whole object and matched the checksum that its store sent with it. */
  readonly isChecked?: boolean;
  /** What the under store told of the object, where its first bytes came from there. */
  readonly attributes?: ObjectAttributes;
}

export interface DataPlane {
  /** @throws ufs_*, peer_unreachable, segment_corrupt, not_found, cache_io, cancelled. */
  fill(command: FillCommand, signal: AbortSignal): Promise<FillResult>;
  close(): Promise<void>;
}

/** Writes into a reserved extent; implemented by the cache's files, used by the data plane. */
export interface ExtentWriter {
  /** Writes all of `bytes` at `position` (relative to the extent). @throws cache_io */
  write(extent: Extent, position: number, bytes: Uint8Array): Promise<void>;
}

/** Says where an extent lies, for writers that are not on the main thread. */
export interface ExtentPlacer {
  /** @throws cache_io when it is not reserved, or its directory is out of service. */
  place(extent: Extent): {
    readonly path: string;
    readonly offset: number;
    readonly length: number;
    /** Whether whole pages around the extent are its own, so that direct I/O may pad it. */
    readonly ownsPages: boolean;
  };
  /** All of it is written, not synced. */
  written(extent: Extent): void;
  /** A write to the extent failed: counted against its directory. @returns what to throw. */
  writeFailed(extent: Extent, systemCode: string, message: string): RingloadError;
}
