/**
 * Files of the whole cluster, from any peer: metadata, listings, placement, and byte ranges that
 * are stitched together from segments.
 *
 * A range belongs to exactly one version. What was loaded is served as it was loaded, without the
 * under store and without a quorum; what was never loaded is looked up and read through. Paths with
 * other rules of freshness are looked up as often as their rule says, and not served when the under
 * store cannot be asked: a bound on staleness is kept.
 */
import { hashOfText, type Mark } from '../base/change-marks.ts';
import { withTimeout } from '../base/clock.ts';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { ObjectAttributes } from '../base/object-attributes.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import {
  beginPiece,
  type HeldReads,
  type Piece,
  type PieceFlow,
  type Pieces,
} from '../data/pieces.ts';
import { comparePaths } from '../ufs/path.ts';
import type { UfsObject } from '../ufs/under-store.ts';
import type { FileReaderOptions } from './file-reader-options.ts';
import type { FilePage, FilePlacement } from './file-page.ts';
import { HeadCache } from './head-cache.ts';
import { isHome, recordAtHomes, type TellingHome } from './home-records.ts';
import { RangeBody, RangePieces } from './range-body.ts';
import { AheadBudget } from './read-ahead.ts';
import { keyOf, wholeSegment } from './segment-slice.ts';
import { SharedStat } from './shared-stat.ts';
import { stitch, type StitchOptions } from './stitch.ts';

export type { FileReaderOptions };

export interface FoundFile extends FileRecord {
  /** Present where the under store has just been asked, or lately. */
  readonly attributes?: ObjectAttributes;
  readonly source: 'catalog' | 'ufs';
}

export interface MarkedFile extends FoundFile {
  /** Present where it is found so again, without asking anybody, as long as this mark stands. */
  readonly mark?: Mark;
  /** Besides, this home of the file has to say that its own mark stands. */
  readonly home?: TellingHome;
}

/** What is found so again as long as the mark stands here, and at the home, if one is named. */
type Stands = Required<Pick<MarkedFile, 'mark'>> & Pick<MarkedFile, 'home'>;

export interface OpenRange {
  readonly record: FileRecord;
  readonly offset: number;
  readonly length: number;
  /** The bytes, read and checked here. */
  readonly body: AsyncIterable<Uint8Array>;
  /** The same for a thread that reads and sends by itself; either of both is used, and closed. */
  readonly pieces: PieceFlow;
}

export type { FilePage, FilePlacement };

/** Files of one page: what a peer answers at most, so that no page hides what follows it. */
const LIST_MAX_COUNT = 1000;
/** Files of which it is remembered that their cached version cannot be completed. */
const INCOMPLETE_MAX_COUNT = 10_000;
/** Segments that `placement` describes; a larger file is cut off there. */
const PLACEMENT_MAX_COUNT = 10_000;

export class FileReader {
  readonly #options: FileReaderOptions;
  /** By path, the version of which some bytes are cached no more, and have another one at the store. */
  readonly #incomplete = new Map<string, string>();

  readonly #heads: HeadCache;
  readonly #stats = new SharedStat<UfsObject>();
  readonly #ahead = new AheadBudget();

  constructor(options: FileReaderOptions) {
    this.#options = options;
    this.#heads = new HeadCache(options.clock, (path) => this.#statAtStore(path));
  }

  /** @throws path_not_mounted, ufs_not_found, ufs_* */
  async stat(path: string): Promise<FoundFile> {
    const { mark: _mark, home: _home, ...found } = await this.find(path);
    return found;
  }

  /** As `stat`, and tells whether it stays so. */
  async find(path: string): Promise<MarkedFile> {
    // Why first: what lies outside of the mounts is refused, whatever is cached.
    this.#options.stores.storeOf(path);
    const said = this.#options.freshnessOf?.(path);
    if (said === 'skip') return this.#fromStore(await this.#heads.get(path, 0));
    // Why before the look: what changes from here on raises it.
    const mark = this.#options.marks?.now(hashOfText(path));
    const { record, isOwn, home } = await this.#cachedRecord(path);
    const written = this.#options.written?.stateOf(path);
    if (written === 'open') return this.#validate(path, record, 0);
    if (typeof said === 'object') return this.#validate(path, record, said.revalidateAfterMs);
    if (written) return this.#validate(path, record, this.#options.metadataMaxAgeMs ?? 0);
    // Where users say that nothing changes, the first answer of the store is good for ever.
    const maxAgeMs = said === 'immutable' ? Infinity : (this.#options.metadataMaxAgeMs ?? 0);
    const stands = mark && (isOwn || home) ? { mark, ...(home && { home }) } : undefined;
    return this.#statImmutable(path, record, { maxAgeMs, stands });
  }

  /** What is remembered of the file's version is no longer true: somebody wrote it. */
  forget(path: string): void {
    this.#options.marks?.raise(hashOfText(path));
    this.#heads.forget(path);
  }

  /** The same of all files at or below it: they were freed. */
  forgetBelow(root: string): void {
    this.#heads.forgetBelow(root);
  }

  /** @param maxAgeMs of what is remembered of a file that was never loaded */
  async #statImmutable(
    path: string,
    record: FileRecord | undefined,
    { maxAgeMs, stands }: { readonly maxAgeMs: number; readonly stands: Stands | undefined },
  ): Promise<MarkedFile> {
    const cached: FoundFile | undefined = record && { ...record, source: 'catalog' };
    const isWhole = record?.version !== this.#incomplete.get(path);
    if (cached && isWhole) return { ...cached, ...stands };
    try {
      const absentMaxAgeMs = this.#options.metadataMaxAgeMs ?? 0;
      return this.#fromStore(await this.#heads.get(path, cached ? 0 : maxAgeMs, absentMaxAgeMs));
    } catch (thrown) {
      // What is cached of it can still be read when the store cannot.
      if (cached) return cached;
      throw thrown;
    }
  }

  async #validate(
    path: string,
    record: FileRecord | undefined,
    maxAgeMs: number,
  ): Promise<FoundFile> {
    const object = await this.#heads.get(path, maxAgeMs);
    if (record?.version === object.version && record.sizeBytes === object.sizeBytes)
      return { ...record, ...attributesIn(object), source: 'catalog' };
    return this.#fromStore(object);
  }

  #fromStore(found: UfsObject): FoundFile {
    const { path, sizeBytes, version, mtimeMs } = found;
    const { segmentSizeBytes } = this.#options;
    const object = { path, sizeBytes, version, mtimeMs, ...attributesIn(found) };
    return { ...object, segmentSizeBytes, segmented: true, replicaCount: 1, source: 'ufs' };
  }

  /**
   * Opens a range; resolves once its first piece is at hand, so that an error is an answer.
   * @param via for a client whose bytes are sent by another thread.
   * @throws range_not_satisfiable, and as `stat`.
   */
  async read(
    path: string,
    range?: { readonly offset: number; readonly length?: number },
    via?: HeldReads,
  ): Promise<OpenRange> {
    const found = await this.find(path);
    try {
      return await this.open(found, range, via);
    } catch (thrown) {
      const error = toRingloadError(thrown);
      if (error.code !== 'ufs_changed') throw error;
      // What was loaded is gone from the caches, or what was known of the file is old by now.
      const object = await this.#heads.get(path, 0);
      if (object.version === found.version) throw error;
      return this.open({ ...found, ...object }, range, via);
    }
  }

  /**
   * As `read`, of the very version that `stat` found, so that both cost one look at the store.
   * @throws ufs_changed when it is another one by now; range_not_satisfiable
   */
  open(
    { source: _source, attributes: _attributes, mark: _mark, home: _home, ...record }: MarkedFile,
    range?: { readonly offset: number; readonly length?: number },
    via?: HeldReads,
  ): Promise<OpenRange> {
    return this.#open(record, range, via);
  }

  /** So many ranges of a segment were served by a thread that had all that it takes. */
  noteRead(read: {
    readonly record: FileRecord;
    readonly index: number;
    readonly from: 'local' | 'peer';
    readonly count: number;
    readonly bytes: number;
  }): void {
    const { record, index, from, count, bytes: length } = read;
    void this.#options.sources.noteRead({ record, index, offset: 0, length }, from, count);
  }

  /** A chunk of a body, or a part of it, is not needed any more: its memory may be used again. */
  recycle(chunk: Uint8Array): void {
    this.#options.recycle?.(chunk);
  }

  /** Cached files of the cluster at or below `root`, in order of UTF-8 bytes, 1,000 at most. */
  async list(asked: { root: string; after?: string; limit: number }): Promise<FilePage> {
    const { network, catalog } = this.#options;
    const placement = this.#options.placement();
    const { members, self } = placement;
    const limit = Math.min(LIST_MAX_COUNT, asked.limit);
    const request = { ...asked, limit };
    const asks = (peer: PeerId): boolean => peer === self || placement.isReachable(peer);
    const unanswered = members.filter((peer) => !asks(peer));
    const pages = await Promise.all(
      members
        .filter(asks)
        .map((peer) => (peer === self ? catalog.scan(request) : network.listAt(peer, request))),
    );
    const byPath = new Map<string, FileRecord>();
    for (const record of pages.flat())
      if (this.#unlessFreed(record)) byPath.set(record.path, record);
    const merged = [...byPath.values()].sort((a, b) => comparePaths(a.path, b.path));
    const files = merged.slice(0, limit);
    const last = files.at(-1);
    const more = merged.length > files.length || pages.some((page) => page.length >= limit);
    return {
      files,
      ...(more && last && { next: last.path }),
      ...(unanswered.length > 0 && { unanswered }),
    };
  }

  /** Where each segment should be, and where it is. */
  async placement(path: string): Promise<FilePlacement> {
    const { source: _, ...record } = await this.stat(path);
    const placement = this.#options.placement();
    const count = Math.min(
      PLACEMENT_MAX_COUNT,
      Math.ceil(record.sizeBytes / record.segmentSizeBytes),
    );
    const slices = Array.from({ length: count }, (_unused, index) => wholeSegment(record, index));
    const keys = slices.map(keyOf);
    const { members } = placement;
    const held = new Map<PeerId, readonly boolean[]>();
    await Promise.all(
      members.map(async (peer) => {
        if (peer !== placement.self && !placement.isReachable(peer)) return;
        const answer = await this.#options.network.holds(peer, keys).catch(() => undefined);
        if (answer) held.set(peer, answer);
      }),
    );
    const segments = slices.map((slice, position) => ({
      index: slice.index,
      lengthBytes: slice.length,
      owners: placement.ownersOf(
        { path, index: slice.index, segmented: record.segmented },
        record.replicaCount,
      ),
      residentOn: members.filter((peer) => held.get(peer)?.[position] === true),
    }));
    return { record, segments, unanswered: members.filter((peer) => !held.has(peer)) };
  }

  #statAtStore(path: string): Promise<UfsObject> {
    const { stores, clock, statTimeoutMs } = this.#options;
    return this.#stats.run(path, () =>
      withTimeout(clock, statTimeoutMs, (signal) => stores.storeOf(path).stat(path, signal)),
    );
  }

  /** `isOwn`: this peer is a home of the file, and hears of every change. */
  async #cachedRecord(
    path: string,
  ): Promise<{ record?: FileRecord; isOwn?: true; home?: MarkedFile['home'] }> {
    const { catalog, network } = this.#options;
    const here = this.#unlessFreed(await catalog.get(path));
    const placement = this.#options.placement();
    // Why not always: who is no home any more does not hear of later loads.
    if (here && isHome(placement, here, placement.self)) return { record: here, isOwn: true };
    const isFreed = (record: FileRecord): boolean => !this.#unlessFreed(record);
    const there = await recordAtHomes({ network, placement, isFreed }, path);
    return there ?? (here ? { record: here } : {});
  }

  #unlessFreed(record: FileRecord | undefined): FileRecord | undefined {
    return record && this.#options.isFreed?.(record) === true ? undefined : record;
  }

  async #open(
    record: FileRecord,
    range?: { readonly offset: number; readonly length?: number },
    via?: HeldReads,
  ): Promise<OpenRange> {
    const offset = range?.offset ?? 0;
    const length = Math.min(range?.length ?? Infinity, record.sizeBytes - offset);
    if (offset > record.sizeBytes || (range && length <= 0)) {
      throw new RingloadError(
        'range_not_satisfiable',
        `the file has ${String(record.sizeBytes)} bytes`,
        {
          details: { sizeBytes: record.sizeBytes },
        },
      );
    }
    const controller = new AbortController();
    const isSkipped = this.#options.freshnessOf?.(record.path) === 'skip';
    const given = isSkipped
      ? this.#passThrough(record, offset, length, controller)
      : this.#stitch({ record, offset, length, ...(via && { via }) }, controller);
    const pieces = new RangePieces(await given.next(), given, controller);
    return { record, offset, length, body: new RangeBody(pieces), pieces };
  }

  /** From the under store, past all caches. */
  async *#passThrough(
    record: FileRecord,
    offset: number,
    length: number,
    { signal }: AbortController,
  ): Pieces {
    if (length === 0) return;
    const { path, version, sizeBytes } = record;
    const range = { path, version, sizeBytes, offset, length };
    const { stores } = this.#options;
    let piece: Piece | undefined;
    try {
      piece = await beginPiece(length, stores.storeOf(path).readRange(range, signal));
      const { failure } = yield piece;
      if (failure) throw failure;
    } catch (thrown) {
      if (toRingloadError(thrown).code === 'ufs_changed') this.#heads.forget(path);
      throw thrown;
    } finally {
      piece?.close();
    }
  }

  async *#stitch(
    range: Pick<StitchOptions, 'record' | 'offset' | 'length' | 'via'>,
    controller: AbortController,
  ): Pieces {
    const { sources } = this.#options;
    try {
      yield* stitch({ ...range, sources, budget: this.#ahead }, controller);
    } catch (thrown) {
      if (toRingloadError(thrown).code === 'ufs_changed') this.#noteIncomplete(range.record);
      throw thrown;
    }
  }

  /**
   * A load that was stopped leaves a part of a version; when the object changes then, a range that
   * began with what is cached has to be cut. The next one gets the version of the store.
   */
  #noteIncomplete({ path, version }: FileRecord): void {
    this.#heads.forget(path);
    this.#options.marks?.raise(hashOfText(path));
    this.#incomplete.delete(path);
    this.#incomplete.set(path, version);
    const oldest = this.#incomplete.keys().next().value;
    if (this.#incomplete.size > INCOMPLETE_MAX_COUNT && oldest !== undefined)
      this.#incomplete.delete(oldest);
  }
}

function attributesIn({ attributes }: UfsObject): Pick<FoundFile, 'attributes'> {
  return attributes === undefined ? {} : { attributes };
}
