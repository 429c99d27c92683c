/** What a job tells about itself: one value behind every report, dialect and progress bar. */
import type { ErrorCode } from '../base/errors.ts';
import type { Epoch, JobId, PeerId, Term } from '../base/ids.ts';
import type { JobSpec } from './spec.ts';

export const JOB_STATES = [
  'WAITING',
  'RUNNING',
  'VERIFYING',
  'SUCCEEDED',
  'FAILED',
  'STOPPED',
] as const;
export type JobState = (typeof JOB_STATES)[number];

export const isDone = (state: JobState): boolean => state === 'SUCCEEDED' || state === 'FAILED';
export const isActive = (state: JobState): boolean =>
  state === 'WAITING' || state === 'RUNNING' || state === 'VERIFYING';

/**
 * Invariant, at every checkpoint and at the end:
 * `listedFiles = loadedFiles + skippedFiles + failedFiles + filteredFiles`; while a job runs the
 * difference is what is in flight. A retry never counts twice.
 */
export interface JobCounters {
  readonly listedFiles: number;
  readonly loadedFiles: number;
  readonly skippedFiles: number;
  readonly failedFiles: number;
  readonly filteredFiles: number;
  /** Sizes of the listed files that pass the filter. */
  readonly listedBytes: number;
  /** Sizes of the files (unique, not per replica) that were loaded. */
  readonly loadedBytes: number;
  readonly skippedBytes: number;
  readonly failedBytes: number;
  /** Bytes stored by this job, summed over replicas. */
  readonly replicaBytes: number;
  /** Copies of non-empty files that hold data loaded by this job. */
  readonly replicaFiles: number;
  /** Bytes stored by peers that are no owners, for owners that did not keep pace. */
  readonly relayedBytes: number;
  /** Bytes received from the UFS for this job, retries included. */
  readonly ufsBytes: number;
  /** Bytes copied between peers for this job. */
  readonly copiedBytes: number;
  /** Files whose bytes, as they were fetched for this job, match the checksum of their object. */
  readonly checkedFiles: number;
  /** Files fetched for this job of which the under store gave no checksum that could be compared;
   * composite ones of multipart uploads cannot. */
  readonly uncheckedFiles: number;
  readonly taskCount: number;
  readonly failedTaskCount: number;
  readonly retriedTaskCount: number;
  /** Fetches given to another peer because their owner did not keep pace. */
  readonly movedTaskCount: number;
}

export const ZERO_COUNTERS: JobCounters = {
  listedFiles: 0,
  loadedFiles: 0,
  skippedFiles: 0,
  failedFiles: 0,
  filteredFiles: 0,
  listedBytes: 0,
  loadedBytes: 0,
  skippedBytes: 0,
  failedBytes: 0,
  replicaBytes: 0,
  replicaFiles: 0,
  relayedBytes: 0,
  ufsBytes: 0,
  copiedBytes: 0,
  checkedFiles: 0,
  uncheckedFiles: 0,
  taskCount: 0,
  failedTaskCount: 0,
  retriedTaskCount: 0,
  movedTaskCount: 0,
};

export interface PeerRow {
  readonly peerId: PeerId;
  readonly address: string;
  readonly segmentCount: number;
  readonly storedBytes: number;
  readonly ufsBytes: number;
  readonly copiedBytes: number;
  /** Tasks assigned and not yet answered. */
  readonly inflightTaskCount: number;
}

/** What one peer, or all together, held when the verdict was taken. */
export interface CertifiedInventory {
  readonly segmentCount: number;
  readonly bytes: number;
  /** Sum modulo 2^64 of the segments' identities, 16 hex digits. */
  readonly digest: string;
  readonly recordCount: number;
  /** The same of the files' records: path, version, size and layout. */
  readonly recordDigest: string;
}

/**
 * What a job that SUCCEEDED was certified to have left in the caches, committed with the verdict.
 * The sums over all peers count every copy, whoever holds it: they do not depend on the ring.
 */
export interface Certificate extends CertifiedInventory {
  /** The ring that it was taken under. */
  readonly epoch: number;
  readonly peers: readonly (CertifiedInventory & {
    readonly peerId: PeerId;
    readonly address: string;
  })[];
}

export interface FailedFile {
  readonly path: string;
  readonly code: ErrorCode;
  readonly message: string;
}

/** A task that failed or is being retried, for verbose reports. */
export interface TaskIncident {
  /** `LoadDataSubTask{UfsPath=…, ShardingKey=…, Worker=…}` */
  readonly task: string;
  /** CANCELLED, MEMBERSHIP_CHANGED, WORKER_FAILED, WORKER_NOT_REACHABLE, … */
  readonly reason: string;
  readonly message: string;
}

export interface JobStatus {
  readonly id: JobId;
  readonly spec: JobSpec;
  readonly state: JobState;
  /** While it waits for a place to run: 1 for the next one. */
  readonly queuePlace?: number;
  /** Why a job FAILED. */
  readonly failure?: { readonly code: ErrorCode; readonly message: string };
  /** Wall-clock milliseconds since 1970. */
  readonly createdAtMs: number;
  readonly endedAtMs?: number;
  /** Of all its runs, by monotonic clocks; stands still once the job has ended or stopped. */
  readonly elapsedMs: number;
  readonly counters: JobCounters;
  /** False while the listing of this pass goes on: totals are then not final. */
  readonly listingDone: boolean;
  /** 1 for the load, 2 and more when a verification pass lists again. */
  readonly pass: number;
  /** Tasks waiting for their retry. */
  readonly retryQueueLength: number;
  readonly peers: readonly PeerRow[];
  /** UFS bytes read / unique bytes loaded; absent before the first byte is loaded. */
  readonly amplification?: number;
  /** Combined inventory digest, 16 hex digits, once SUCCEEDED. */
  readonly digest?: string;
  /** Once SUCCEEDED. */
  readonly certificate?: Certificate;
  /** The newest ones, at most 1,000. */
  readonly failedFiles: readonly FailedFile[];
  readonly recentFailedTasks: readonly TaskIncident[];
  readonly recentRetryingTasks: readonly TaskIncident[];
  /** Where the answering leader keeps the list of failed files, when there are any. */
  readonly failedFilesSavedTo?: string;
  readonly term: Term;
  readonly epoch: Epoch;
  readonly leaderId?: PeerId;
  /** True when the answer comes from a replicated checkpoint and not from the running leader. */
  readonly stale: boolean;
}
