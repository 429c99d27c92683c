/**
 * The segment cache on disk: several directories of region files behind one index in memory. This
 * file owns what a lookup, a lease and a reservation mean; where a segment goes is `room-finder.ts`.
 *
 * Invariant: what `lookup` reports was durable, data and record, before it was reported.
 */
import type { Clock } from '../../base/clock.ts';
import { RingloadError } from '../../base/errors.ts';
import type { JobId } from '../../base/ids.ts';
import { checkKey, isSameHash, isSameKey, type HashKey } from '../key-hash.ts';
import { spaceOf } from '../layout.ts';
import { AGAIN_AFTER_SHARE, quotaFull, RANK_PINNED, type Retention } from '../retention.ts';
import { NO_ENTRY, type EntryId } from '../segment-index.ts';
import { markOf } from '../segment-table.ts';
import type {
  Admission,
  CacheUsage,
  Extent,
  Inventory,
  Reservation,
  ResidentSegment,
  SegmentCheck,
  SegmentKey,
  SegmentStore,
} from '../segment-store.ts';
import { decodeBody, type SegmentBody } from '../sidecar-format.ts';
import type { ChangeSignal } from './change-signal.ts';
import { dropDamaged, dropUnreadable, recordDrop } from './drop-copy.ts';
import type { FilePool } from './file-pool.ts';
import { cacheIoError } from './cache-io-error.ts';
import { FileReservation, type ExtentPlace } from './file-reservation.ts';
import { FileSegmentReader } from './file-segment-reader.ts';
import { listSegments } from './list-segments.ts';
import type { RetentionInForce } from './retention-in-force.ts';
import { capacityOf, RoomFinder } from './room-finder.ts';
import { recordName, type SegmentCopy, type StoreParts } from './store-parts.ts';

export class FileSegmentStore implements SegmentStore {
  readonly #parts: StoreParts;
  readonly #retention: RetentionInForce;
  readonly #pool: FilePool;
  readonly #changes: ChangeSignal;
  readonly #regionSizeBytes: number;
  readonly #hashKey: HashKey;
  readonly #rooms: RoomFinder;
  readonly #reservations = new Map<string, FileReservation>();
  readonly #stamp: () => number;
  #isClosed = false;

  constructor(wiring: {
    parts: StoreParts;
    retention: RetentionInForce;
    pool: FilePool;
    changes: ChangeSignal;
    clock: Clock;
    roomWaitMs: number;
    regionSizeBytes: number;
    hashKey: HashKey;
  }) {
    this.#parts = wiring.parts;
    this.#retention = wiring.retention;
    this.#pool = wiring.pool;
    this.#changes = wiring.changes;
    this.#regionSizeBytes = wiring.regionSizeBytes;
    this.#hashKey = wiring.hashKey;
    const openedMs = wiring.clock.nowMs();
    // Why from 0: what was found at the start has been here since then, as far as anybody knows.
    this.#stamp = () => Math.floor((wiring.clock.nowMs() - openedMs) / 1000);
    this.#rooms = new RoomFinder({
      ...wiring,
      checkOpen: () => {
        this.#checkOpen();
      },
    });
  }

  /** Told of each copy that a read or a move found damaged and that is dropped now. */
  set onDamaged(listener: (key: SegmentKey) => void) {
    this.#parts.listeners.onDamaged = listener;
  }

  lookup(key: SegmentKey): Promise<ResidentSegment | undefined> {
    const id = this.#find(key);
    return Promise.resolve(id === NO_ENTRY ? undefined : this.#describe(id, key));
  }

  async reserve(
    key: SegmentKey,
    lengthBytes: number,
    loadedBy?: JobId,
    admission: Admission = 'wanted',
  ): Promise<Reservation> {
    this.#checkOpen();
    checkKey(key);
    if (!Number.isSafeInteger(lengthBytes) || lengthBytes < 0) {
      throw new RingloadError('invalid_argument', `reserve ${lengthBytes} bytes`);
    }
    if (spaceOf(lengthBytes) > this.#regionSizeBytes) {
      throw new RingloadError(
        'invalid_argument',
        `reserve ${lengthBytes} bytes for a segment: regions have ${this.#regionSizeBytes}`,
      );
    }
    const giveBack = this.#reserveQuota(key.path, lengthBytes);
    const { directory, place } = await this.#rooms.find(lengthBytes).catch((error: unknown) => {
      giveBack();
      throw error;
    });
    const name = `${directory.index}:${place.region.id}:${place.offset}`;
    const reservation: FileReservation = new FileReservation({
      store: this.#parts,
      directory,
      place,
      key: { ...key },
      hash: this.#hashKey(key),
      lengthBytes,
      loadedBy,
      isOnTrial: admission === 'trial',
      stamp: this.#stamp,
      onEnd: () => {
        giveBack();
        if (this.#reservations.get(name) === reservation) this.#reservations.delete(name);
      },
    });
    // Why not empty ones: they have nothing to write, and share their offset with the next extent.
    if (lengthBytes > 0) this.#reservations.set(name, reservation);
    return reservation;
  }

  /** Counts in the quotas of the path until the returned function is called. @throws cache_full */
  #reserveQuota(path: string, lengthBytes: number): () => void {
    const retention = this.#retention;
    const space = spaceOf(lengthBytes);
    const quota = retention.reserve(this.#parts, path, space);
    if (quota) throw quotaFull(path, lengthBytes, quota);
    const group = retention.groupOf(path);
    return () => {
      retention.giveBack(group, space);
    };
  }

  /**
   * Writes all of `bytes` at `position` of a reserved extent.
   * @throws cache_io, also when the reservation has ended.
   */
  async write(extent: Extent, position: number, bytes: Uint8Array): Promise<void> {
    if (bytes.length > 0) await this.#reservationOf(extent).write(position, bytes);
  }

  /** Where a reserved extent lies. @throws cache_io */
  place(extent: Extent): ExtentPlace {
    return this.#reservationOf(extent).place();
  }

  /** Somebody else wrote all of a reserved extent. */
  written(extent: Extent): void {
    this.#parts.directories[extent.directoryIndex]?.files.noteWritten();
  }

  /** A write of somebody else's to a reserved extent failed. */
  writeFailed(extent: Extent, systemCode: string, message: string): RingloadError {
    const error = Object.assign(new Error(message), { code: systemCode });
    const directory = this.#parts.directories[extent.directoryIndex];
    const action = `write region ${extent.regionId}`;
    return directory?.noteFailure(action, error) ?? cacheIoError(action, error);
  }

  #reservationOf(extent: Extent): FileReservation {
    this.#checkOpen();
    const name = `${extent.directoryIndex}:${extent.regionId}:${extent.offset}`;
    const reservation = this.#reservations.get(name);
    if (reservation?.extent.lengthBytes === extent.lengthBytes) return reservation;
    throw new RingloadError('cache_io', `write to extent ${name}, which is not reserved`);
  }

  async open(key: SegmentKey): Promise<FileSegmentReader | undefined> {
    this.#checkOpen();
    const id = this.#find(key);
    if (id === NO_ENTRY) return undefined;
    const opened = await this.#open(id, key);
    if (typeof opened === 'string') return undefined;
    const { hash, location } = opened.copy;
    const { table } = this.#parts;
    if (table.findAt(hash, location.slot, location.recordOffset) === id)
      table.touch(id, isAgain(opened.copy, opened.lengthBytes));
    return opened;
  }

  /** A chunk of a reader, or a part of it, is not needed any more: its memory is used again. */
  recycle(chunk: Uint8Array): void {
    this.#parts.chunks.giveBack(chunk);
  }

  async check(key: SegmentKey): Promise<SegmentCheck> {
    this.#checkOpen();
    const id = this.#find(key);
    if (id === NO_ENTRY) return { state: 'missing' };
    const { region, location } = this.#copyOf(id);
    // Why: what is remembered of the record would hide that its bytes are gone.
    this.#parts.records.delete(recordName(region, location.recordOffset));
    try {
      const opened = await this.#open(id, key, true);
      return typeof opened === 'string' ? { state: opened } : await opened.check();
    } catch (error) {
      // The copy has been dropped; only what is not about this segment goes on.
      const code = error instanceof RingloadError ? error.code : 'internal';
      if (code !== 'segment_corrupt' && code !== 'cache_io') throw error;
      return { state: 'damaged' };
    }
  }

  async drop(key: SegmentKey): Promise<boolean> {
    this.#checkOpen();
    const id = this.#find(key);
    if (id === NO_ENTRY) return false;
    const copy = this.#copyOf(id);
    this.#parts.table.kill(id);
    this.#changes.notify();
    try {
      await recordDrop(this.#parts, copy, copy.location.recordOffset);
    } catch {
      // The directory has noted the error. The segment is gone here; a restart may bring it back.
    }
    return true;
  }

  async free(key: SegmentKey): Promise<'freed' | 'leased' | 'missing'> {
    const id = this.#find(key);
    if (id !== NO_ENTRY && this.#parts.table.isLeased(id)) return 'leased';
    return (await this.drop(key)) ? 'freed' : 'missing';
  }

  lease(key: SegmentKey, job: JobId): boolean {
    const { table, leaseNotes } = this.#parts;
    const id = this.#find(key);
    if (id === NO_ENTRY) return false;
    if (table.isLeasedBy(id, job)) return true;
    table.lease(id, job);
    if (table.loadedByOf(id) !== job && !this.#isClosed) {
      const { directory, region, location } = this.#copyOf(id);
      leaseNotes.note({ directory, region, recordOffset: location.recordOffset, job });
    }
    return true;
  }

  releaseLease(job: JobId): void {
    this.#parts.table.releaseLease(job);
    this.#changes.notify();
  }

  async setRetention(rules: Retention): Promise<void> {
    const done = this.#retention.set(this.#parts, rules);
    this.#changes.notify();
    await done;
    this.#changes.notify();
  }

  async expire(): Promise<number> {
    const count = await this.#retention.expire(this.#parts, this.#stamp(), soon);
    if (count > 0) this.#changes.notify();
    return count;
  }

  /** Jobs that hold leases here; after a start, also those that ended while the peer was away. */
  leaseHolders(): ReadonlySet<JobId> {
    return this.#parts.table.leaseHolders();
  }

  inventory(job: JobId): Promise<Inventory> {
    return this.#parts.table.inventory(job, soon);
  }

  segments(): AsyncIterable<ResidentSegment> {
    return listSegments(this.#parts);
  }

  usage(): CacheUsage {
    const { table, counters, directories } = this.#parts;
    return {
      capacityBytes: capacityOf(this.#parts),
      usedBytes: table.usedBytes,
      segmentCount: table.index.size,
      leasedBytes: table.leasedBytes,
      pinnedBytes: table.spaceAtRank[RANK_PINNED] ?? 0,
      evictedSegmentCount: counters.evicted,
      corruptSegmentCount: counters.corrupt,
      directories: directories.map(({ files, state }) => ({
        path: files.directoryPath,
        state: state === 'failed' ? 'failed' : 'ok',
      })),
    };
  }

  /** Bytes of the index in memory. */
  get indexBytes(): number {
    return this.#parts.table.index.allocatedBytes;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#changes.notify();
    await this.#rooms.idle();
    await Promise.all(this.#parts.directories.map((directory) => directory.close()));
    await this.#pool.close();
  }

  /** A reader of the entry's segment, or why there is none. @throws cache_io */
  async #open(
    id: EntryId,
    key: SegmentKey,
    isCheck = false,
  ): Promise<FileSegmentReader | 'damaged' | 'missing'> {
    const toldKey = isCheck ? undefined : key;
    const copy = this.#copyOf(id);
    const { lengthBytes, crc32c, loadedBy } = this.#describe(id, key);
    // Why here: what leaves its place from now on raises it.
    const mark = this.#parts.marks?.now(markOf(copy.hash));
    copy.directory.pin(copy.region);
    let body: SegmentBody | undefined;
    try {
      body = await this.#loadBody(copy);
      if (!body) dropDamaged(this.#parts, copy, toldKey);
    } catch (error) {
      dropUnreadable(this.#parts, copy, error, toldKey);
      throw error;
    } finally {
      if (!body) copy.directory.unpin(copy.region);
    }
    if (!body) return 'damaged';
    if (!isSameKey(body.key, key)) {
      // Two keys of one hash: the other one is resident, so this one is a miss.
      copy.directory.unpin(copy.region);
      return 'missing';
    }
    return new FileSegmentReader({
      ...{ store: this.#parts, copy, body, lengthBytes, crc32c, loadedBy, isCheck, mark },
    });
  }

  /** Undefined when the record is damaged. @throws cache_io */
  async #loadBody(copy: SegmentCopy): Promise<SegmentBody | undefined> {
    const { region, directory, location, hash } = copy;
    const name = recordName(region, location.recordOffset);
    const known = this.#parts.records.get(name);
    if (known) return known;
    const record = await directory.attempt(`read a record of region ${region.id}`, () =>
      directory.files.readRecord(region, location.recordOffset),
    );
    if (record?.offset !== location.offset || !isSameHash(record.hash, hash)) return undefined;
    const body = decodeBody(record);
    this.#parts.records.set(name, body);
    return body;
  }

  #find(key: SegmentKey): EntryId {
    return this.#parts.table.index.find(this.#hashKey(key));
  }

  #describe(id: EntryId, key: SegmentKey): ResidentSegment {
    const { table } = this.#parts;
    const loadedBy = table.loadedByOf(id);
    return {
      key,
      lengthBytes: table.index.lengthOf(id),
      crc32c: table.index.crc32cOf(id),
      ...(loadedBy === undefined ? {} : { loadedBy }),
    };
  }

  #copyOf(id: EntryId): SegmentCopy {
    const { table, regions, directories } = this.#parts;
    const location = table.locationOf(id);
    const region = regions[location.slot];
    const directory = region && directories[region.directoryIndex];
    if (!directory) throw new RingloadError('internal', `find region slot ${location.slot}`);
    return { hash: table.index.hashOf(id), location, region, directory };
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new RingloadError('cache_io', 'use the cache: it is closed');
  }
}

function soon(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A share of the cache was written since the segment came. */
function isAgain({ region, directory, location }: SegmentCopy, lengthBytes: number): boolean {
  const { open } = directory.set;
  if (!open) return false;
  const writtenBytes =
    (open.sequence - region.sequence) * region.sizeBytes +
    (open.sizeBytes - open.tailSpace - location.offset - spaceOf(lengthBytes));
  return writtenBytes >= directory.capacityBytes * AGAIN_AFTER_SHARE;
}
