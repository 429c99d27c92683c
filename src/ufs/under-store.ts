/**
 * The under file system (UFS) as the rest of Ringload sees it.
 *
 * A path is a canonical URI, `scheme://authority/key`, whose key is the store's own key, byte for
 * byte: never percent-encoded, never normalised. Order is the order of the key's UTF-8 bytes.
 */

/** One object of an under store under one version. */
export interface UfsObject {
  readonly path: string;
  readonly sizeBytes: number;
  /** What pins the content: the ETag, version id, or size and mtime where a store has neither. */
  readonly version: string;
  /** Milliseconds since 1970; 0 where unknown. */
  readonly mtimeMs: number;
}

export interface ListRequest {
  /** A file or a directory: the object `root` itself, if there is one, and all below `root/`. */
  readonly root: string;
  /** Objects with a path greater than this (UTF-8 bytes) only; absent means from the start. */
  readonly after?: string;
  /** Upper bound of the page, 1 to 1,000. */
  readonly limit: number;
}

export interface ListPage {
  /** In order, without duplicates. May be empty before the end. */
  readonly objects: readonly UfsObject[];
  /** True when nothing follows this page. */
  readonly done: boolean;
  /** Pass as `after` to go on: everything up to it has been listed. Absent on an empty root. */
  readonly cursor?: string;
}

export interface RangeRequest {
  readonly path: string;
  readonly version: string;
  /** Size of the whole object, as listed: an answer that says otherwise is refused. */
  readonly sizeBytes: number;
  readonly offset: number;
  /** 1 or more; `offset + length` never exceeds `sizeBytes`. */
  readonly length: number;
}

export interface UnderStore {
  /** @throws ufs_* classed; a root that does not exist gives one empty page with `done`. */
  list(request: ListRequest, signal: AbortSignal): Promise<ListPage>;
  /** @throws ufs_not_found, ufs_forbidden, ufs_unavailable, … */
  stat(path: string, signal: AbortSignal): Promise<UfsObject>;
  /**
   * Yields exactly `length` bytes of exactly that version, or throws: ufs_changed when the object
   * is another version now, ufs_not_found, ufs_throttled, ufs_bad_response, ufs_unavailable, …
   * Body-phase faults are resumed inside, within a budget; a consumer that stops early closes the
   * connection.
   */
  readRange(request: RangeRequest, signal: AbortSignal): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** Routes a path to the store of the mount that contains it. */
export interface UnderStores {
  /** @throws path_not_mounted naming the path and the configured mounts. */
  storeOf(path: string): UnderStore;
  /** Prefixes of the configured mounts, canonical, without trailing slash. */
  readonly mounts: readonly string[];
}
