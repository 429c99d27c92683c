/**
 * The under file system (UFS) as the rest of Ringload sees it.
 *
 * A path is a canonical URI, `scheme://authority/key`, whose key is the store's own key, byte for
 * byte: never percent-encoded, never normalised. Order is the order of the key's UTF-8 bytes.
 */

import type { CombinableSum } from '../base/crc-combine.ts';
import type { ObjectAttributes } from '../base/object-attributes.ts';
import type { StoreWriter } from './store-writer.ts';

/** One object of an under store under one version. */
export interface UfsObject {
  readonly path: string;
  readonly sizeBytes: number;
  /** What pins the content: the ETag, version id, or size and mtime where a store has neither. */
  readonly version: string;
  /** Milliseconds since 1970; 0 where unknown. */
  readonly mtimeMs: number;
  /** The store may tell a checksum of the whole object: {@link UnderStore.checksum} is worth it. */
  readonly mayHaveChecksum?: boolean;
  /** What it carries beside its bytes; absent where that is not known. */
  readonly attributes?: ObjectAttributes;
}

/** A checksum of a whole object that can be put together from those of its parts. */
export interface ObjectChecksum {
  readonly algorithm: CombinableSum;
  /** 8 or 16 lower-case hex digits. */
  readonly value: string;
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

/** One level of the objects whose paths begin with a text. */
export interface BrowseRequest {
  /** Below the authority, up to any character: `s3://bucket/phot`, `file:///data/`. */
  readonly prefix: string;
  /** What a path has up to the first one behind the prefix is its group; empty: no groups. */
  readonly delimiter: string;
  /** Objects and groups greater than this only (UTF-8 bytes). */
  readonly after?: string;
  /** Upper bound of objects and groups together, 1 to 1,000. */
  readonly limit: number;
  readonly withOwner?: boolean;
}

export interface BrowsedObject extends UfsObject {
  readonly storageClass?: string;
  readonly owner?: { readonly id: string; readonly displayName?: string | undefined };
  readonly checksums?: { readonly algorithm: string; readonly type: string };
}

export interface BrowsePage {
  /** In order. */
  readonly objects: readonly BrowsedObject[];
  /** In order, each with its delimiter. */
  readonly groups: readonly string[];
  /** True when nothing follows; otherwise the greatest of both is where to go on. */
  readonly done: boolean;
}

export interface RangeRequest {
  readonly path: string;
  readonly version: string;
  /** Size of the whole object, as listed: an answer that says otherwise is refused. */
  readonly sizeBytes: number;
  readonly offset: number;
  /** 1 or more; `offset + length` never exceeds `sizeBytes`. */
  readonly length: number;
  /** Called when what was read is all of the object and matched the checksum that came with it. */
  readonly onChecked?: () => void;
  /** Called with what the answer told of the object, where it can be kept. */
  readonly onAttributes?: (attributes: ObjectAttributes) => void;
}

export interface ObjectPart {
  readonly offset: number;
  readonly length: number;
  readonly partCount: number;
}

export interface UnderStore {
  /**
   * Pages begin at any key at the same cost, so that several may be asked for at once. Absent: one
   * after another, as each goes on where the last one ended.
   */
  readonly listsByKey?: boolean;
  /** Absent: the mount takes no writes. */
  readonly writer?: StoreWriter;
  /** @throws ufs_* classed; a root that does not exist gives one empty page with `done`. */
  list(request: ListRequest, signal: AbortSignal): Promise<ListPage>;
  /**
   * Absent: `browse.ts` does it by `list`. A prefix with nothing below it gives an empty page.
   * @throws ufs_* classed
   */
  browse?(request: BrowseRequest, signal: AbortSignal): Promise<BrowsePage>;
  /**
   * The part of a multipart object, counted from 1, and how many there are; undefined: the store
   * does not tell. Absent: it has none that does. @throws as `stat`, and range_not_satisfiable
   */
  part?(
    request: { readonly path: string; readonly version: string; readonly partNumber: number },
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined>;
  /** @throws ufs_not_found, ufs_forbidden, ufs_unavailable, … */
  stat(path: string, signal: AbortSignal): Promise<UfsObject>;
  /**
   * Yields exactly `length` bytes of exactly that version, or throws: ufs_changed when the object
   * is another version now, ufs_not_found, ufs_throttled, ufs_bad_response, ufs_unavailable, …
   * Body-phase faults are resumed inside, within a budget; a consumer that stops early closes the
   * connection.
   */
  readRange(request: RangeRequest, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /**
   * As {@link readRange}, the bytes being received by `mover`. False: this range has to be read.
   * Absent: a store whose ranges can only be read.
   */
  moveRange?(request: RangeRequest, mover: RangeMover, signal: AbortSignal): Promise<boolean>;
  /**
   * The checksum that the store keeps of all of that version; undefined when it has none that can
   * be used. @throws as `stat`, and ufs_changed
   */
  checksum(
    object: Pick<UfsObject, 'path' | 'version'>,
    signal: AbortSignal,
  ): Promise<ObjectChecksum | undefined>;
  close(): Promise<void>;
}

/** Where and how to ask for a range: everything but its bytes. */
export interface DirectRequest {
  readonly endpoint: DirectEndpoint;
  /** Request line and headers up to the empty line, one byte per character. */
  readonly head: string;
  /** Names the header by which an answer says that so many bytes follow the range. */
  readonly tailHeader?: string;
}

export interface DirectEndpoint {
  /** An IP address: names are resolved by who allows them. */
  readonly address: string;
  readonly port: number;
  /** Present for TLS: the name that the certificate must be for, and whom to trust besides. */
  readonly tls?: { readonly serverName: string };
  /** Most connections to it, if less than to others. */
  readonly laneMaxCount?: number;
}

/** Deadlines of one answer, milliseconds. */
export interface AnswerWatch {
  readonly connectTimeoutMs: number;
  /** From sending the request to the end of the answer's head. */
  readonly headTimeoutMs: number;
  /** A body that brings less than `minBytesPerWindow` in one window is given up. */
  readonly windowMs: number;
  readonly minBytesPerWindow: number;
  /** For the body as a whole, while it is waited for. */
  readonly bodyTimeoutMs: number;
}

export interface AnswerHead {
  readonly status: number;
  /** By lower-case name; of a repeated one the last. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What became of one answer. */
export type MoveOutcome =
  /**
   * Its body is where it belongs, with its sum of the kind that the head had, if it had one. `tail`:
   * what came behind it.
   */
  | {
      readonly kind: 'moved';
      readonly head: AnswerHead;
      readonly sum?: ObjectChecksum;
      readonly tail?: string;
    }
  /** It is no answer that brings the range: an error, or another length. */
  | { readonly kind: 'answered'; readonly head: AnswerHead; readonly body: string }
  /** The connection failed; what came before stays, up to `keptBytes` of the whole range. */
  | { readonly kind: 'broken'; readonly systemCode: string; readonly keptBytes: number }
  /** Nothing that a data plane understands: chunked, compressed, not HTTP/1.1. */
  | { readonly kind: 'unfit'; readonly why: string };

/** Receives ranges without the core, or a store, ever seeing their bytes. */
export interface RangeMover {
  /**
   * Asks for `[start, length)` of the range and puts the body where it belongs.
   * @throws cache_io, cancelled
   */
  move(
    request: DirectRequest,
    start: number,
    watch: AnswerWatch,
    signal: AbortSignal,
  ): Promise<MoveOutcome>;
  /** CRC32C of the whole range, once all of it was moved. */
  crc32c(): number;
}

/** Routes a path to the store of the mount that contains it. */
export interface UnderStores {
  /** @throws path_not_mounted naming the path and the configured mounts. */
  storeOf(path: string): UnderStore;
  /** Prefixes of the configured mounts, canonical, without trailing slash. */
  readonly mounts: readonly string[];
}
