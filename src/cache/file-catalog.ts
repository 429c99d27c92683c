/** Metadata of the files that this peer is home to: what was loaded, as which version, cut how. */
import type { JobId } from '../base/ids.ts';

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
}

export interface FileCatalog {
  get(path: string): Promise<FileRecord | undefined>;
  /** One durable batch. */
  putAll(records: readonly FileRecord[]): Promise<void>;
  delete(path: string): Promise<void>;
  /** Records at `root` and below `root/`, in order of UTF-8 bytes, greater than `after`. */
  scan(request: { root: string; after?: string; limit: number }): Promise<readonly FileRecord[]>;
  count(): Promise<number>;
  close(): Promise<void>;
}
