/** What a reader of files is made of. */
import type { ChangeMarks } from '../base/change-marks.ts';
import type { Clock } from '../base/clock.ts';
import type { Freshness } from '../base/path-rule.ts';
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import type { ReadNetwork, ReadPlacement } from './read-network.ts';
import type { SegmentSources } from './segment-sources.ts';
import type { WrittenPaths } from './written-paths.ts';

export interface FileReaderOptions {
  readonly catalog: FileCatalog;
  readonly stores: UnderStores;
  readonly sources: SegmentSources;
  readonly network: ReadNetwork;
  readonly placement: () => ReadPlacement;
  /** A free came after the record was written: it counts no more. Absent: none did. */
  readonly isFreed?: (record: FileRecord) => boolean;
  /** For files that were never loaded. */
  readonly segmentSizeBytes: number;
  readonly statTimeoutMs: number;
  readonly clock: Clock;
  /**
   * How far what is known of a file is trusted. Undefined: what was loaded is immutable, and what
   * was not is remembered for `metadataMaxAgeMs`.
   */
  readonly freshnessOf?: (path: string) => Freshness | undefined;
  /** Age of what is remembered of files that were never loaded, absence included. Absent: 0. */
  readonly metadataMaxAgeMs?: number;
  /** Raised for each record that changes here, by its path, and when ring or rules change. */
  readonly marks?: ChangeMarks;
  /** What clients write through peers. Absent: they do not. */
  readonly written?: Pick<WrittenPaths, 'stateOf'>;
  /** Told of chunks that nobody needs any more. */
  readonly recycle?: (chunk: Uint8Array) => void;
}
