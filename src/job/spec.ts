/** What a load job is asked to do. Validated once, at the peer that receives the request. */

export interface JobSpec {
  /**
   * Canonical UFS path, without trailing slash: with the type it is the job's identity. Of several
   * paths the first; of an index file its own.
   */
  readonly path: string;
  /** Several paths, in order, none below another: all of them are the job's identity. */
  readonly paths?: readonly string[];
  /** `path` is a file that lists the paths to load, in this version. */
  readonly index?: IndexPin;
  /** Another name that the job may be asked for by. */
  readonly alias?: string;
  /** Copies on that many distinct peers, 1 or more. */
  readonly replicaCount: number;
  readonly segmentSizeBytes: number;
  /** False: all segments of a file are placed with its metadata. */
  readonly segmented: boolean;
  /** What the caller asked for; shown in reports. A resident version is never fetched again. */
  readonly skipIfExists: boolean;
  /** Fetch again even what is resident under the same version. */
  readonly reload: boolean;
  readonly metadataOnly: boolean;
  /** Re-read and check every segment after the load, and load what is missing. */
  readonly verify: boolean;
  /** Start before the listing ends; the total stays unknown until then. */
  readonly partialListing: boolean;
  /** RE2 pattern that a file's last path component must match fully. */
  readonly fileFilterRegex?: string;
  /** Globs, see `glob.ts`: a file has to match one of these, if there are any, … */
  readonly include?: readonly string[];
  /** … and none of these. */
  readonly exclude?: readonly string[];
  readonly minSizeBytes?: number;
  readonly maxSizeBytes?: number;
  /** Of the time that the under store says a file was written at: later than, … */
  readonly modifiedAfterMs?: number;
  /** … and before. */
  readonly modifiedBeforeMs?: number;
  /** Who waits for a place to run is taken in this order, then by age. Absent: medium. */
  readonly priority?: JobPriority;
  /** Upper bound per peer in bytes per second; absent means unlimited. */
  readonly bandwidthBps?: number;
  /** Most tasks in one batch to one owner. */
  readonly batchSize: number;
}

export const JOB_PRIORITIES = ['high', 'medium', 'low'] as const;
export type JobPriority = (typeof JOB_PRIORITIES)[number];

/** Which version of an index file is meant. */
export interface IndexPin {
  readonly version: string;
  readonly sizeBytes: number;
}

/** Before the job is submitted. */
export const UNPINNED_INDEX: IndexPin = { version: '', sizeBytes: 0 };
/** Larger index files are refused: the leader keeps the paths in memory. */
export const INDEX_MAX_BYTES = 128 * 1024 * 1024;

export const JOB_DEFAULTS = {
  replicaCount: 1,
  segmentSizeBytes: 8 * 1024 * 1024,
  segmented: true,
  skipIfExists: false,
  reload: false,
  metadataOnly: false,
  verify: false,
  partialListing: false,
  batchSize: 200,
} as const;

/** Bounds of a spec; the replica count is also checked against the live peers. */
export const JOB_LIMITS = {
  pathMaxBytes: 2048,
  regexMaxLength: 1024,
  /** Paths of one job: they are part of the replicated state. */
  pathsMaxCount: 1000,
  pathsMaxBytes: 64 * 1024,
  globMaxCount: 32,
  aliasMaxLength: 128,
  replicaMaxCount: 64,
  segmentSizeMinBytes: 64 * 1024,
  segmentSizeMaxBytes: 1024 * 1024 * 1024,
  batchMaxSize: 10_000,
} as const;
