/** What has to be known of a job in order to verify it. */
import type { JobId } from '../base/ids.ts';
import type { CopySums } from './report.ts';

export interface VerifiedJob {
  readonly id: JobId;
  readonly path: string;
  readonly replicaCount: number;
  readonly metadataOnly: boolean;
  readonly segmentSizeBytes: number;
  readonly segmented: boolean;
  /** The job's file filter. */
  readonly accepts: (path: string) => boolean;
  /** Wall-clock milliseconds since 1970: younger objects are none of its. */
  readonly endedAtMs: number;
  readonly certified: CopySums;
}
