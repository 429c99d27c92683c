/** What the routes need from the node: interfaces only, implemented in `src/node`. */
import type { ClusterId, Epoch, JobId, PeerId, Term } from '../base/ids.ts';
import type { CacheUsage } from '../cache/segment-store.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import type { JobRef } from '../cluster/job-identity.ts';
import type { JobState, JobStatus } from '../job/job-status.ts';
import type { JobSpec } from '../job/spec.ts';
import type { PathRule, RuleChanges } from '../base/path-rule.ts';
import type { CheckEvent, FreeEvent, FreeStatus } from '../residence/report.ts';
import type { VerifyEvent } from '../verify/report.ts';

export type { JobRef };

export type SubmitOutcome = 'created' | 'already-running' | 'resumed';

export interface JobService {
  /**
   * Resolves when the job is committed. Idempotent while a job that loads the same is active.
   * @throws invalid_argument, overloaded, path_not_mounted, no_leader, deadline_exceeded
   */
  submit(spec: JobSpec): Promise<{ readonly jobId: JobId; readonly outcome: SubmitOutcome }>;
  /** Undefined: no such job. */
  status(ref: JobRef): Promise<JobStatus | undefined>;
  list(filter: { readonly states?: readonly JobState[] }): Promise<readonly JobStatus[]>;
  /** False: nothing was running. Resolves after the stop is committed. */
  stop(ref: JobRef): Promise<boolean>;
  /** Loads again what failed. @throws not_found, conflict (still running, or nothing failed) */
  retry(ref: JobRef): Promise<{ readonly jobId: JobId }>;
  /**
   * Recomputes the certificate from the disks, and with `repair` brings back what is missing.
   * @throws not_found; conflict: the job has no certificate; overloaded
   */
  verify(
    ref: JobRef,
    options: { readonly repair: boolean },
    signal: AbortSignal,
  ): Promise<AsyncIterable<VerifyEvent>>;
}

export interface MemberView {
  readonly id: PeerId;
  readonly address: string;
  readonly dataEndpoint: string;
  readonly state: 'up' | 'suspect' | 'down' | 'draining' | 'left';
  readonly role: 'leader' | 'voter' | 'learner';
  readonly weight: number;
  readonly zone: string;
  /** Share of the ring, 0 to 1; 0 when not an owner. */
  readonly share: number;
  readonly self: boolean;
}

/** How far a member is with restoring placement after a change of the ring. */
export interface RepairView {
  readonly id: PeerId;
  /** Epoch for which it has looked at all of its files; absent before the first time. */
  readonly epoch?: Epoch;
  /** Nothing is left to do. */
  readonly idle: boolean;
  /** Copies that were made since this work began, and those known to be left. */
  readonly movedSegments: number;
  readonly movedBytes: number;
  readonly leftSegments: number;
  readonly leftBytes: number;
  /** Files of its catalogue not looked at yet. */
  readonly leftFiles: number;
  readonly bytesPerSecond: number;
  /** Segments that no member held: the next reader or load fetches them. */
  readonly missingSegments: number;
}

export interface ClusterView {
  readonly clusterId: ClusterId;
  readonly leaderId?: PeerId;
  readonly term: Term;
  readonly epoch: Epoch;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly members: readonly MemberView[];
  /** Of the members that answer. */
  readonly repair: readonly RepairView[];
  /** True when this peer could not confirm the state with a quorum. */
  readonly stale: boolean;
}

export interface ClusterService {
  view(): Promise<ClusterView>;
  /** Local facts, no quorum needed. */
  self(): {
    readonly id: PeerId;
    readonly address: string;
    readonly usage: CacheUsage;
    readonly catalogCount: number;
  };
  transferLeadership(to: PeerId): Promise<void>;
  /** Drains and removes a member; `force` skips the drain of one that is dead. */
  remove(id: PeerId, options: { readonly force: boolean }): Promise<void>;
}

/** One verified range of one version of a file. */
export interface FileRange {
  readonly record: FileRecord;
  readonly offset: number;
  readonly length: number;
  /** Yields exactly `length` bytes or throws. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface FileStat extends FileRecord {
  /** Whether the record comes from the cache's catalogue or from the UFS just now. */
  readonly source: 'catalog' | 'ufs';
}

export interface SegmentPlacement {
  readonly index: number;
  readonly lengthBytes: number;
  readonly owners: readonly PeerId[];
  /** Peers that hold the segment now, of those that could be asked. */
  readonly residentOn: readonly PeerId[];
}

export interface FilePlacement {
  readonly record: FileRecord;
  readonly segments: readonly SegmentPlacement[];
  /** Members that could not be asked: what they hold is not known. */
  readonly unanswered: readonly PeerId[];
}

export interface FileService {
  /** @throws path_not_mounted, ufs_not_found, … */
  stat(path: string): Promise<FileStat>;
  /** Where each segment is and should be: "why is this file not cached?" */
  placement(path: string): Promise<FilePlacement>;
  /** Cached files of the whole cluster below `root`, in order of UTF-8 bytes. */
  list(request: { root: string; after?: string; limit: number }): Promise<{
    readonly files: readonly FileRecord[];
    readonly next?: string;
    /** Members that could not be asked: files that only they know of are missing. */
    readonly unanswered?: readonly PeerId[];
  }>;
  /**
   * Opens a range; missing segments are read through. Omitted `length` means to the end.
   * @throws range_not_satisfiable, path_not_mounted, ufs_*
   */
  read(
    path: string,
    range?: { readonly offset: number; readonly length?: number },
  ): Promise<FileRange>;
  /** A chunk of a body is not needed any more: its memory may be used again. */
  recycle?(chunk: Uint8Array): void;
}

/** What to let go of, and whether rules that pin it count. */
export interface FreeRequest {
  readonly path: string;
  readonly evenPinned: boolean;
}

export interface CacheService {
  /**
   * Lets go of all that is cached of a path, on all peers; the under store is not touched.
   * @throws path_not_mounted
   */
  free(request: FreeRequest, signal: AbortSignal): AsyncIterable<FreeEvent>;
  /** The same without waiting. @throws path_not_mounted */
  submitFree(request: FreeRequest): FreeStatus;
  /** Undefined: no peer remembers one. */
  freeStatus(path: string): Promise<FreeStatus | undefined>;
  /** False: none runs here. */
  stopFree(path: string): boolean;
  /** What of a path is cached, file by file. @throws path_not_mounted */
  check(
    request: { readonly path: string; readonly asksStore: boolean },
    signal: AbortSignal,
  ): AsyncIterable<CheckEvent>;
  /** All rules that this peer knows, those of the mounts included. */
  rules(): readonly PathRule[];
  /** Those that say something about the path. */
  rulesFor(path: string): readonly PathRule[];
  /** Null: nothing is left of the rule. @throws path_not_mounted, conflict, no_leader */
  setRule(path: string, changes: RuleChanges): Promise<PathRule | null>;
}

export interface HealthService {
  /** Empty when ready. With `reads` only what cached reads need is asked for. */
  notReadyReasons(purpose: 'loads' | 'reads'): readonly string[];
}

export interface MetricsService {
  contentType: string;
  /** Prometheus text exposition. */
  render(): Promise<string>;
}

export interface HttpServices {
  readonly jobs: JobService;
  readonly cluster: ClusterService;
  readonly files: FileService;
  readonly cache: CacheService;
  readonly health: HealthService;
  readonly metrics: MetricsService;
  /** Bounds and defaults of a spec on this cluster. */
  readonly limits: {
    readonly bodyMaxBytes: number;
    readonly queryMaxBytes: number;
    readonly defaultSegmentSizeBytes: number;
  };
}
