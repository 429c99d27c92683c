/** What the parts of one file store share. */
import type { ChangeMarks } from '../../base/change-marks.ts';
import type { ChunkPool } from '../chunk-pool.ts';
import type { Crc32c } from '../crc32c.ts';
import type { RecordCache } from '../record-cache.ts';
import type { ReadRoom } from '../read-room.ts';
import type { Region } from '../region.ts';
import type { SegmentKey } from '../segment-store.ts';
import type { SegmentTable } from '../segment-table.ts';
import type { SegmentLocation } from '../segment-index.ts';
import type { KeyHash } from '../key-hash.ts';
import type { CacheDirectory } from './cache-directory.ts';
import type { LeaseNotes } from './lease-notes.ts';

export interface StoreCounters {
  evicted: number;
  corrupt: number;
}

export interface StoreParts {
  readonly table: SegmentTable;
  readonly crc32c: Crc32c;
  readonly counters: StoreCounters;
  readonly records: RecordCache;
  readonly leaseNotes: LeaseNotes;
  readonly readRoom: ReadRoom;
  readonly chunks: ChunkPool;
  /** By slot. */
  readonly regions: readonly Region[];
  readonly directories: readonly CacheDirectory[];
  readonly listeners: StoreListeners;
  readonly retention: RetentionView;
  readonly marks: ChangeMarks | undefined;
}

/** What is known of the rules that hold. */
export interface RetentionView {
  /** Every segment is in the group that its path belongs to; before that, nothing is evicted. */
  readonly isKnown: boolean;
  groupOf(path: string): string;
}

export interface StoreListeners {
  /** Told of a segment whose copy was dropped since it is damaged. */
  onDamaged: (key: SegmentKey) => void;
}

/** Where one copy of one segment is or was. */
export interface SegmentCopy {
  readonly hash: KeyHash;
  readonly location: SegmentLocation;
  readonly region: Region;
  readonly directory: CacheDirectory;
}

/** Names the record of a copy in the {@link RecordCache}: a reset region has new names. */
export function recordName(region: Region, recordOffset: number): string {
  return `${region.slot}:${region.sequence}:${recordOffset}`;
}
