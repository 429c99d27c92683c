/**
 * What leader and owners say to each other about a job. One task is one segment, or one file's
 * metadata, for one owner, in one attempt; tasks travel in batches, answers in result frames.
 *
 * Every order carries (job, run, term, epoch): an owner refuses what is older than what it knows.
 */
import type { CombinableSum } from '../base/crc-combine.ts';
import type { WireError } from '../base/errors.ts';
import type { Epoch, JobId, PeerId, Term } from '../base/ids.ts';
import type { ObjectAttributes } from '../base/object-attributes.ts';
import type { RecordInventory } from '../cache/file-catalog.ts';
import type { Inventory } from '../cache/segment-store.ts';
import type { TallyCounts } from '../cluster/job-record.ts';

/** Index that stands for "no segment": the task only stores the file's metadata. */
export const METADATA_ONLY_INDEX = -1;

/** A file as the listing pinned it, sent once per batch. */
export interface TaskFile {
  readonly path: string;
  readonly version: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  /** The checksum that the under store has of the whole file: wanted of each segment, too. */
  readonly sum?: CombinableSum;
  /** What is resident is not to be trusted: it did not match that checksum. */
  readonly isRefetched?: boolean;
  /** What is known of the object besides, for its record. */
  readonly attributes?: ObjectAttributes;
}

export interface Task {
  /** Unique within (job, run, term), and higher than those of all earlier passes. */
  readonly id: number;
  readonly attempt: number;
  /** Position in {@link TaskBatch.files}. */
  readonly file: number;
  /** 0-based segment, or {@link METADATA_ONLY_INDEX}. */
  readonly index: number;
  /** Bytes of the segment; 0 for metadata. */
  readonly length: number;
  /** Also store the file's metadata: this owner is one of its homes. */
  readonly record: boolean;
  /** Peers that should hold the segment, asked in order before the UFS. Empty: fetch. */
  readonly sources: readonly PeerId[];
  /** The sources said that they hold it: a copy, which goes before what may be a fetch. */
  readonly copy: boolean;
  /** The source is about to have it: what it receives is copied as it comes, or not at all. */
  readonly follows?: boolean;
}

/** Names one pass of one run of a job: what an owner's inventory is counted by. */
export interface PassRef {
  readonly jobId: JobId;
  readonly run: number;
  readonly term: Term;
  readonly pass: number;
}

export interface TaskBatch extends PassRef {
  readonly epoch: Epoch;
  readonly files: readonly TaskFile[];
  readonly tasks: readonly Task[];
  readonly options: TaskOptions;
  /** Number of the newest free that the leader knows. Absent: 0. */
  readonly afterFree?: number;
}

/** The part of the spec that owners need. */
export interface TaskOptions {
  readonly segmentSizeBytes: number;
  readonly segmented: boolean;
  readonly replicaCount: number;
  readonly metadataOnly: boolean;
  /** Fetch again what is resident, unless this job loaded it. */
  readonly reload: boolean;
  /** Re-read and check what is resident before calling it so. */
  readonly deepVerify: boolean;
  /** In attempts below this a source that cannot be reached is waited for, not replaced by the UFS. */
  readonly patientAttemptCount: number;
  readonly bandwidthBps?: number;
  /** Fetches of so many bytes are told of when they begin: others follow them. Absent: none are. */
  readonly followMinBytes?: number;
}

/** How much the leader may have outstanding at this owner. */
export interface BatchAck {
  readonly windowTasks: number;
  readonly windowBytes: number;
}

export interface TaskResult {
  readonly id: number;
  /**
   * `loaded`: this job put it there, now or before. `resident`: it was there before this job.
   * `failed`: see `error`.
   */
  readonly status: 'loaded' | 'resident' | 'failed';
  /** Identity of the stored segment, 16 hex digits; absent for metadata and failures. */
  readonly digest?: string;
  /** Identity of the file's record, where the task stored one; 16 hex digits. */
  readonly recordDigest?: string;
  /** The segment's checksum of the kind that {@link TaskFile.sum} names, where it was computed. */
  readonly sum?: string;
  /** The segment is all of the file and matched the checksum that its store sent with it. */
  readonly isChecked?: boolean;
  /** What the object carries besides: news for other homes of its record. */
  readonly attributes?: ObjectAttributes;
  readonly error?: WireError;
}

export interface ResultFrame extends PassRef {
  /** Empty: the owner says that it still works on what it has. */
  readonly results: readonly TaskResult[];
  /** Tasks whose bytes come from the under store now, and can be followed. */
  readonly begun?: readonly number[];
  /** The owner's work for the job since its process started. */
  readonly tally: TallyCounts;
  readonly generation: number;
}

export interface InventoryRequest extends PassRef {
  /** The job's path: records are looked for there. Absent: everywhere. */
  readonly path?: string;
}

export interface InventoryReply {
  readonly inventory: Inventory;
  /** Absent from peers that do not count records. */
  readonly records?: RecordInventory;
  readonly generation: number;
}

/** Tasks that somebody else does sooner. */
export interface TaskRecall extends PassRef {
  readonly taskIds: readonly number[];
  /** False: what has begun is ended, so that nothing is fetched in vain. */
  readonly alsoRunning: boolean;
}

/** A version of a file that is not to be served. */
export interface DiscardedFile {
  readonly path: string;
  readonly version: string;
  readonly sizeBytes: number;
  readonly segmentSizeBytes: number;
}

/** How the leader reaches owners; the node implements it over peer links. */
export interface OwnerTransport {
  /** @throws peer_unreachable, deadline_exceeded, stale_term, overloaded, … */
  sendBatch(to: PeerId, batch: TaskBatch): Promise<BatchAck>;
  inventory(to: PeerId, request: InventoryRequest): Promise<InventoryReply>;
  /** Forget what does not match the checksum of its object. */
  discard(to: PeerId, file: DiscardedFile): Promise<void>;
  /** Best effort: drop these tasks and answer them as cancelled. */
  recall(to: PeerId, recall: TaskRecall): void;
  /** Best effort: drop what is queued for that run of the job. */
  cancel(to: PeerId, pass: PassRef): void;
}

/** How an owner reaches the leader that sent it a batch. */
export interface LeaderTransport {
  /** @throws as above; stale_term when that leader no longer drives the job. */
  sendResults(to: PeerId, frame: ResultFrame): Promise<void>;
}

/** Key of an owner's leases for one pass. */
export function leaseOf(pass: PassRef): JobId {
  return `${pass.jobId}/${String(pass.run)}.${String(pass.pass)}` as JobId;
}
