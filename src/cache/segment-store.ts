/**
 * The segment cache as the rest of Ringload sees it: a log-structured store of immutable
 * segments. The core never touches bulk bytes: it reserves an extent, the data plane fills it, and
 * `commit` makes it visible, whole or not at all.
 */
import type { Mark } from '../base/change-marks.ts';
import type { RingloadError } from '../base/errors.ts';
import type { JobId } from '../base/ids.ts';
import type { Retention } from './retention.ts';

/** Names one segment of one version of one file. */
export interface SegmentKey {
  readonly path: string;
  readonly version: string;
  /** Segment size the file was cut with: other cuts are other segments. */
  readonly segmentSizeBytes: number;
  /** 0-based. */
  readonly index: number;
}

/** Of a file's record, the key of its `index`-th segment. */
export function segmentKeyOf(
  { path, version, segmentSizeBytes }: Omit<SegmentKey, 'index'>,
  index: number,
): SegmentKey {
  return { path, version, segmentSizeBytes, index };
}

/** The key as one text, for tables in memory: different keys have different names. */
export function segmentName({ path, version, segmentSizeBytes, index }: SegmentKey): string {
  return `${String(index)}\0${String(segmentSizeBytes)}\0${version}\0${path}`;
}

/** Bytes of a file that one checksum of {@link SegmentChecksums.blockCrc32c} covers. */
export const CHECKSUM_BLOCK_BYTES = 64 * 1024;

export interface SegmentChecksums {
  /** CRC32C of the whole segment. */
  readonly crc32c: number;
  /** CRC32C of each block of {@link CHECKSUM_BLOCK_BYTES}, the last one possibly shorter. */
  readonly blockCrc32c: Uint32Array;
}

/** Where a segment's bytes lie: a range of one region file of one cache directory. */
export interface Extent {
  readonly directoryIndex: number;
  readonly regionId: number;
  /** Byte offset in the region file. */
  readonly offset: number;
  readonly lengthBytes: number;
}

export interface ResidentSegment {
  readonly key: SegmentKey;
  readonly lengthBytes: number;
  readonly crc32c: number;
  /** The job that loaded it, absent for read-through. */
  readonly loadedBy?: JobId;
}

/** Space for one segment, invisible until committed. Exactly one of commit and abort is called. */
export interface Reservation {
  readonly extent: Extent;
  /**
   * Resolves when data and index record are durable and the segment is visible.
   * @param urgency whether a reader waits for it, as it is now; absent: as if one did.
   */
  commit(checksums: SegmentChecksums, urgency?: { readonly isUrgent: boolean }): Promise<void>;
  abort(): void;
}

/** What a look at the bytes of a segment found. */
export type SegmentCheck =
  | { readonly state: 'sound'; readonly lengthBytes: number; readonly crc32c: number }
  | { readonly state: 'damaged' }
  | { readonly state: 'missing' };

/** A segment that is kept in its place while another thread reads it from its file. */
export interface PlacedSegment {
  readonly lengthBytes: number;
  /** Of the whole segment. */
  readonly crc32c: number;
  /** Where its bytes lie, and the checksums of its blocks. */
  place(): {
    readonly path: string;
    readonly offset: number;
    readonly blockCrc32c: Uint32Array;
  };
  /** While the mark stands the segment is in its place, also when this one is closed. */
  readonly stands?: { readonly key: SegmentKey; readonly mark: Mark };
  /** A block did not match: drops and counts the copy. @returns what to answer. */
  damaged(): RingloadError;
  /** The file could not be read: counted against its directory. @returns what to answer. */
  unread(systemCode: string, message: string): RingloadError;
  /** It may be moved or overwritten now. */
  close(): void;
}

/** A segment opened for reading: its extent is not reclaimed until `close`. */
export interface SegmentReader extends ResidentSegment {
  /**
   * Verified bytes `[offset, offset + length)` of the segment, in chunks of at most 1 MiB; every
   * block that is touched is checked first. Who has done with a chunk may tell the store.
   * @throws segment_corrupt after dropping the segment; cache_io.
   */
  read(offset: number, length: number): AsyncIterable<Uint8Array>;
  /** The same for another thread; absent where segments lie in no file. */
  readonly placed?: PlacedSegment;
  close(): void;
}

/** A job's inventory on this peer: order-independent, so that anyone can recompute it. */
export interface Inventory {
  readonly segmentCount: number;
  readonly bytes: number;
  /** Sum modulo 2^64 of the segments' identities (see `segmentDigest`), 16 lower-case hex digits. */
  readonly digest: string;
}

/**
 * `wanted`: it belongs in the cache. `trial`: a reader came by; it is evicted ahead of the others
 * unless it is read again after a while.
 */
export type Admission = 'wanted' | 'trial';

export interface CacheUsage {
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly segmentCount: number;
  /** Bytes that leases forbid to evict. */
  readonly leasedBytes: number;
  /** Bytes that rules forbid to evict. */
  readonly pinnedBytes: number;
  readonly evictedSegmentCount: number;
  readonly corruptSegmentCount: number;
  readonly directories: readonly { readonly path: string; readonly state: 'ok' | 'failed' }[];
}

export interface SegmentStore {
  /** Answers from memory. A miss is a value. */
  lookup(key: SegmentKey): Promise<ResidentSegment | undefined>;
  /**
   * Finds room, evicting what may be evicted.
   * @throws cache_full when leases, pins, quotas, readers and open reservations leave no room;
   *   cache_io.
   */
  reserve(
    key: SegmentKey,
    lengthBytes: number,
    loadedBy?: JobId,
    admission?: Admission,
  ): Promise<Reservation>;
  open(key: SegmentKey): Promise<SegmentReader | undefined>;
  /**
   * Reads the segment and what describes it from the disk and checks both, whatever is known in
   * memory. What is damaged, or cannot be read, is dropped.
   */
  check(key: SegmentKey): Promise<SegmentCheck>;
  /** Forgets the segment. True when it was resident. */
  drop(key: SegmentKey): Promise<boolean>;
  /** Forgets the segment unless it is leased: what is asked for and what is done are one step. */
  free(key: SegmentKey): Promise<'freed' | 'leased' | 'missing'>;
  /** Forbids eviction on behalf of `job` until {@link releaseLease}. False when not resident. */
  lease(key: SegmentKey, job: JobId): boolean;
  releaseLease(job: JobId): void;
  /** What to keep and for how long. Resolves when it holds for all that is resident. */
  setRetention(rules: Retention): Promise<void>;
  /** Lets go of what has been here for longer than its rule allows; returns how many that were. */
  expire(): Promise<number>;
  /** What `job` holds leased here, computed from the index, not from counters kept on the side. */
  inventory(job: JobId): Promise<Inventory>;
  /** Every resident segment, in no particular order; tolerates changes meanwhile. */
  segments(): AsyncIterable<ResidentSegment>;
  usage(): CacheUsage;
  close(): Promise<void>;
}
