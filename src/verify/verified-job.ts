/** What has to be known of a job in order to verify it. */
import type { JobId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import type { CopySums } from './report.ts';

export interface VerifiedJob {
  readonly id: JobId;
  /** What the report names. */
  readonly path: string;
  /** Where its files are looked for in the catalogues, in order, none below another. */
  readonly roots: readonly string[];
  readonly replicaCount: number;
  readonly metadataOnly: boolean;
  readonly segmentSizeBytes: number;
  readonly segmented: boolean;
  /** Whether a file below the roots is one of the job's: it was asked for, and passes the filters. */
  readonly accepts: (file: Pick<FileRecord, 'path' | 'sizeBytes' | 'mtimeMs'>) => boolean;
  /** Wall-clock milliseconds since 1970: younger objects are none of its. */
  readonly endedAtMs: number;
  readonly certified: CopySums;
}
