/** What a load job is asked to do. Validated once, at the peer that receives the request. */

export interface JobSpec {
  /** Canonical UFS path, without trailing slash: with the type it is the job's identity. */
  readonly path: string;
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
  /** Upper bound per peer in bytes per second; absent means unlimited. */
  readonly bandwidthBps?: number;
  /** Most tasks in one batch to one owner. */
  readonly batchSize: number;
}

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
  replicaMaxCount: 64,
  segmentSizeMinBytes: 64 * 1024,
  segmentSizeMaxBytes: 1024 * 1024 * 1024,
  batchMaxSize: 10_000,
} as const;
