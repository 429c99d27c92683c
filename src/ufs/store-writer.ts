/**
 * Writing into an under store, for mounts that take writes.
 *
 * What an object carries beside its bytes, and the conditions of a write, are header fields as S3
 * has them, in lower case; a store passes on, or keeps to, those that it knows.
 */
export type WriteField = readonly [name: string, value: string];

export interface PutRequest {
  readonly path: string;
  readonly sizeBytes: number;
  /**
   * Exactly `sizeBytes`, or an error, after which nothing of it may stay behind. Not empty where it
   * comes in pieces.
   */
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
  readonly fields: readonly WriteField[];
}

/** What the store told of what it has taken: its `etag`, with quotes, and what else there is. */
export interface WriteAnswer {
  readonly fields: readonly WriteField[];
}

export interface UploadTarget {
  readonly path: string;
  readonly uploadId: string;
}

export interface PartRequest extends UploadTarget, Omit<PutRequest, 'path'> {
  /** From 1 to 10,000. */
  readonly partNumber: number;
}

export interface CompleteRequest extends UploadTarget {
  readonly parts: readonly { readonly partNumber: number; readonly etag: string }[];
  /** Conditions. */
  readonly fields: readonly WriteField[];
}

export interface PartPage {
  readonly parts: readonly {
    readonly partNumber: number;
    readonly etag: string;
    readonly sizeBytes: number;
    readonly mtimeMs: number;
  }[];
  /** Pass as `after` to go on; absent on the last page. */
  readonly next?: number;
}

/** An object that comes in parts, in any order and several at once. */
export interface UploadWriter {
  create(path: string, fields: readonly WriteField[], signal: AbortSignal): Promise<string>;
  putPart(request: PartRequest, signal: AbortSignal): Promise<WriteAnswer>;
  complete(request: CompleteRequest, signal: AbortSignal): Promise<WriteAnswer>;
  abort(target: UploadTarget, signal: AbortSignal): Promise<void>;
  parts(
    request: UploadTarget & { readonly after: number; readonly limit: number },
    signal: AbortSignal,
  ): Promise<PartPage>;
}

/**
 * A failed call may have taken effect, unless the store has refused it: then the details of the
 * error carry its `status`.
 */
export interface StoreWriter {
  /** The path holds these bytes or what it held before, never a part. @throws ufs_*, ufs_changed for a condition */
  put(request: PutRequest, signal: AbortSignal): Promise<WriteAnswer>;
  /** Also where there is nothing. */
  delete(path: string, signal: AbortSignal): Promise<WriteAnswer>;
  /** Absent: objects come in one piece. */
  readonly uploads?: UploadWriter;
}
