/** A load job as the cluster agrees on it: intent, the last checkpoint, and the verdict. */
import type { ErrorCode } from '../base/errors.ts';
import type { JobId, PeerId, Term } from '../base/ids.ts';

/**
 * What a job is asked to do. The record only stores it; `src/job/spec.ts` owns its meaning.
 * `identityOf` tells which loads are the same, `replicaCount` is checked against the ring on submission.
 */
export interface RecordedSpec {
  readonly path: string;
  /** Several paths, of which `path` is the first. */
  readonly paths?: readonly string[];
  /** Present: `path` is a file that lists what to load, and what that is is not known here. */
  readonly index?: unknown;
  readonly alias?: string;
  /** Who waits is taken in this order; absent: medium. */
  readonly priority?: 'high' | 'medium' | 'low';
  readonly replicaCount: number;
  /** How files are cut and placed: one path has one cut at a time. */
  readonly segmentSizeBytes?: number;
  readonly segmented?: boolean;
}

export type RecordedState =
  'WAITING' | 'RUNNING' | 'VERIFYING' | 'SUCCEEDED' | 'FAILED' | 'STOPPED';

/** Counts of one peer's work for one job, cumulative over the peer's start generations. */
export interface PeerTally {
  /** Start generation that `current` belongs to. */
  readonly generation: number;
  /** Sum of what earlier generations had reported. */
  readonly previous: TallyCounts;
  readonly current: TallyCounts;
}

export interface TallyCounts {
  readonly segmentCount: number;
  readonly storedBytes: number;
  readonly ufsBytes: number;
  readonly copiedBytes: number;
}

/** What a peer must hold for the job when the verdict is taken. */
export interface ExpectedInventory {
  readonly segmentCount: number;
  readonly bytes: number;
  /** Sum modulo 2^64 of segment digests, 16 hex digits. */
  readonly digest: string;
  /** The same of the files' records. Absent: none, or counted by a version that knew none. */
  readonly recordCount?: number;
  readonly recordDigest?: string;
}

export interface RecordedFailure {
  readonly path: string;
  readonly code: ErrorCode;
  readonly message: string;
}

/** Everything a new leader needs to go on: all files up to `cursor` are settled. */
export interface JobCheckpoint {
  readonly pass: number;
  /** Ring that the pass began under: under another one it proves nothing about replicas. */
  readonly epoch: number;
  /** Path of the last file of the settled prefix of the listing; absent at its start. */
  readonly cursor?: string;
  readonly listingDone: boolean;
  /** Counters of the settled prefix of this pass, by name; `src/job/job-status.ts` lists them. */
  readonly counters: Readonly<Record<string, number>>;
  /** Final counters of the pass before, shown while a verification pass counts again. */
  readonly lastPassCounters?: Readonly<Record<string, number>>;
  readonly tallies: Readonly<Record<PeerId, PeerTally>>;
  readonly expected: Readonly<Record<PeerId, ExpectedInventory>>;
  /** The newest failures of this pass, bounded. */
  readonly failures: readonly RecordedFailure[];
  /** Those of the pass before, shown with its counters. */
  readonly lastPassFailures?: readonly RecordedFailure[];
}

export interface JobRecord<Spec extends RecordedSpec = RecordedSpec> {
  readonly id: JobId;
  readonly spec: Spec;
  readonly state: RecordedState;
  /** Grows with every resume and retry: orders of an earlier run change nothing. */
  readonly run: number;
  /** Term of the leader that last drove the job: orders of a lower term change nothing. */
  readonly term: Term;
  readonly createdAtMs: number;
  /** Wall-clock milliseconds at the start of this run. */
  readonly runStartedAtMs: number;
  /** Milliseconds spent in earlier runs. */
  readonly elapsedBeforeMs: number;
  /**
   * Milliseconds spent in this run when the last command about it was given, by monotonic clocks.
   * Absent: no command has told yet.
   */
  readonly runElapsedMs?: number;
  readonly endedAtMs?: number;
  readonly checkpoint?: JobCheckpoint;
  readonly failure?: { readonly code: ErrorCode; readonly message: string };
  /** Combined inventory digest of a job that SUCCEEDED. */
  readonly digest?: string;
}

/** What is committed about the time that this run took; by dates where no command told it. */
export function runElapsedOf(job: JobRecord): number {
  const { runElapsedMs, endedAtMs, runStartedAtMs } = job;
  return runElapsedMs ?? Math.max(0, (endedAtMs ?? runStartedAtMs) - runStartedAtMs);
}

/** Epoch of no ring: a pass that has it proves nothing about replicas. */
export const NO_EPOCH = -1;

export function isActiveState(state: RecordedState): boolean {
  return state === 'WAITING' || state === 'RUNNING' || state === 'VERIFYING';
}
