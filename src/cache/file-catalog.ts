/** Metadata of the files that this peer is home to: what was loaded, as which version, cut how. */
import type { JobId } from '../base/ids.ts';
import type { ObjectAttributes } from '../base/object-attributes.ts';

export interface FileRecord {
  readonly path: string;
  readonly sizeBytes: number;
  readonly version: string;
  readonly mtimeMs: number;
  readonly segmentSizeBytes: number;
  /** False: all segments are placed with the file's metadata. */
  readonly segmented: boolean;
  /** Copies that the load asked for. */
  readonly replicaCount: number;
  /** The job that wrote the record; absent for read-through. */
  readonly loadedBy?: JobId;
  /**
   * Number of the newest free that was known when the record was ordered: only later ones let go
   * of it. Absent: 0.
   */
  readonly afterFree?: number;
  /** What the object carries beside its bytes, as the fetch of its first byte told it. */
  readonly attributes?: ObjectAttributes;
}

/** A job's records on this peer, as `Inventory` is of its segments. */
export interface RecordInventory {
  readonly recordCount: number;
  /** Sum modulo 2^64 of the records' identities (see `recordDigest`), 16 lower-case hex digits. */
  readonly digest: string;
}

/** A record that a pass of a job counts on, whether it brought it or found it. */
export interface HeldRecord {
  readonly record: FileRecord;
  /** Names job, run and pass: `job/run.pass`. */
  readonly holder: JobId;
  /** False: a record with this content is there, and only the holder is news. */
  readonly isNew: boolean;
}

export interface FileCatalog {
  get(path: string): Promise<FileRecord | undefined>;
  /** The records of these files, in the same order. */
  getAll(paths: readonly string[]): Promise<readonly (FileRecord | undefined)[]>;
  /** One durable batch. Who holds the files goes on holding them. */
  putAll(records: readonly FileRecord[]): Promise<void>;
  /**
   * Stores what is new and notes the holders, in one batch. A pass takes the place of earlier ones
   * of its job, so nobody has to let go. Durable when anything in it is new; a note that a crash
   * takes away is missed in the inventory, and the job looks again.
   */
  hold(held: readonly HeldRecord[]): Promise<void>;
  /** What is stored now of the files below `root` that `holder` holds. */
  heldInventory(holder: JobId, root: string): Promise<RecordInventory>;
  delete(path: string): Promise<void>;
  /** One durable batch; who holds the files holds them no more. */
  deleteAll(paths: readonly string[]): Promise<void>;
  /** Records at `root` and below `root/`, in order of UTF-8 bytes, greater than `after`. */
  scan(request: { root: string; after?: string; limit: number }): Promise<readonly FileRecord[]>;
  count(): Promise<number>;
  close(): Promise<void>;
}
