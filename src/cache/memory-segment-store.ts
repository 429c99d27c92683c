/**
 * The segment cache in memory: the twin of the file store for simulations and for tests of its
 * users. Same promises except durability; first in, first out by segment instead of by region.
 *
 * Bytes are kept only where somebody wrote them: a simulation that moves no bytes costs none, and
 * reads of such segments fail their checksums, as they should.
 */
import { RingloadError } from '../base/errors.ts';
import type { JobId } from '../base/ids.ts';
import { invariant } from '../base/invariant.ts';
import type { Crc32c } from './crc32c.ts';
import { addDigests, formatDigest, segmentDigest } from './digest.ts';
import { checkKey } from './key-hash.ts';
import { spaceOf } from './layout.ts';
import { HEAT_MAX, MemoryRoom } from './memory-room.ts';
import { MemoryShelf, type HeldSegment } from './memory-shelf.ts';
import { AGAIN_AFTER_SHARE, type Retention } from './retention.ts';
import {
  CHECKSUM_BLOCK_BYTES,
  segmentName,
  type Admission,
  type CacheUsage,
  type Extent,
  type Inventory,
  type Reservation,
  type ResidentSegment,
  type SegmentCheck,
  type SegmentChecksums,
  type SegmentKey,
  type SegmentReader,
  type SegmentStore,
} from './segment-store.ts';

const READ_CHUNK_BYTES = 1024 * 1024;

export interface MemorySegmentStoreOptions {
  readonly capacityBytes: number;
  /** Monotonic; for rules about time. Absent: it stands still. */
  readonly nowMs?: () => number;
  readonly crc32c: Crc32c;
}

export class MemorySegmentStore implements SegmentStore {
  readonly #crc32c: Crc32c;
  readonly #shelf: MemoryShelf;
  readonly #room: MemoryRoom;
  #nextOffset = 0;
  #writtenBytes = 0;
  #corruptCount = 0;
  #isClosed = false;

  constructor(options: MemorySegmentStoreOptions) {
    this.#crc32c = options.crc32c;
    this.#shelf = new MemoryShelf(options.capacityBytes);
    this.#room = new MemoryRoom(this.#shelf, options.nowMs ?? (() => 0));
  }

  lookup(key: SegmentKey): Promise<ResidentSegment | undefined> {
    const held = this.#shelf.find(key);
    return Promise.resolve(held && describe(held));
  }

  async reserve(
    key: SegmentKey,
    lengthBytes: number,
    loadedBy?: JobId,
    admission: Admission = 'wanted',
  ): Promise<Reservation> {
    await Promise.resolve();
    this.#checkOpen();
    checkKey(key);
    const space = spaceOf(lengthBytes);
    if (
      !Number.isSafeInteger(lengthBytes) ||
      lengthBytes < 0 ||
      space > this.#shelf.capacityBytes
    ) {
      throw new RingloadError('invalid_argument', `reserve ${lengthBytes} bytes for a segment`);
    }
    this.#room.makeQuotaRoom(key.path, lengthBytes);
    this.#room.makeRoom(space);
    this.#shelf.takenBytes += space;
    const offset = this.#nextOffset;
    this.#nextOffset += Math.max(1, space);
    const reserved = { lengthBytes, bytes: undefined, path: key.path };
    this.#shelf.reserved.set(offset, reserved);
    const extent: Extent = { directoryIndex: 0, regionId: 0, offset, lengthBytes };
    return {
      extent,
      commit: async (checksums) => {
        await Promise.resolve();
        this.#checkOpen();
        this.#commit({ key: { ...key }, offset, checksums, loadedBy, admission });
      },
      abort: () => {
        if (this.#shelf.reserved.delete(offset)) this.#shelf.takenBytes -= space;
      },
    };
  }

  /** Writes all of `bytes` at `position` of a reserved extent. @throws cache_io */
  async write(extent: Extent, position: number, bytes: Uint8Array): Promise<void> {
    await Promise.resolve();
    if (bytes.length === 0) return;
    const reserved = this.#shelf.reserved.get(extent.offset);
    if (reserved?.lengthBytes !== extent.lengthBytes) {
      throw new RingloadError(
        'cache_io',
        `write to extent ${extent.offset}, which is not reserved`,
      );
    }
    invariant(
      position >= 0 && position + bytes.length <= extent.lengthBytes,
      `${bytes.length} bytes at ${position} fit the extent of ${extent.lengthBytes}`,
    );
    reserved.bytes ??= new Uint8Array(extent.lengthBytes);
    reserved.bytes.set(bytes, position);
  }

  async open(key: SegmentKey): Promise<SegmentReader | undefined> {
    await Promise.resolve();
    this.#checkOpen();
    const held = this.#shelf.find(key);
    if (!held) return undefined;
    held.heat = Math.min(HEAT_MAX, held.heat + 1);
    const writtenSince = this.#writtenBytes - held.writtenBefore;
    if (writtenSince >= this.#shelf.capacityBytes * AGAIN_AFTER_SHARE) held.isOnTrial = false;
    held.readerCount++;
    let isClosed = false;
    return {
      ...describe(held),
      read: (offset, length) => this.#read(held, offset, length),
      close: () => {
        if (isClosed) return;
        isClosed = true;
        held.readerCount--;
        if (held.readerCount === 0 && !this.#shelf.isResident(held)) {
          this.#shelf.takenBytes -= spaceOf(held.lengthBytes);
        }
      },
    };
  }

  async check(key: SegmentKey): Promise<SegmentCheck> {
    await Promise.resolve();
    this.#checkOpen();
    const held = this.#shelf.find(key);
    if (!held) return { state: 'missing' };
    const { lengthBytes, checksums } = held;
    const { crc32c } = checksums;
    const bytes = held.bytes ?? new Uint8Array(lengthBytes);
    if (this.#crc32c(bytes) === crc32c) return { state: 'sound', lengthBytes, crc32c };
    this.#dropDamaged(held);
    return { state: 'damaged' };
  }

  async drop(key: SegmentKey): Promise<boolean> {
    await Promise.resolve();
    this.#checkOpen();
    const held = this.#shelf.find(key);
    if (held) this.#shelf.remove(held);
    return held !== undefined;
  }

  async free(key: SegmentKey): Promise<'freed' | 'leased' | 'missing'> {
    await Promise.resolve();
    this.#checkOpen();
    const held = this.#shelf.find(key);
    if (!held) return 'missing';
    if (held.leases.size > 0) return 'leased';
    this.#shelf.remove(held);
    return 'freed';
  }

  lease(key: SegmentKey, job: JobId): boolean {
    const held = this.#shelf.find(key);
    held?.leases.add(job);
    return held !== undefined;
  }

  releaseLease(job: JobId): void {
    for (const held of this.#shelf.segments.values()) held.leases.delete(job);
  }

  /** Jobs that hold leases here. */
  leaseHolders(): ReadonlySet<JobId> {
    const jobs = new Set<JobId>();
    for (const held of this.#shelf.segments.values()) for (const job of held.leases) jobs.add(job);
    return jobs;
  }

  inventory(job: JobId): Promise<Inventory> {
    let segmentCount = 0;
    let bytes = 0;
    let digest = 0n;
    for (const held of this.#shelf.segments.values()) {
      if (!held.leases.has(job)) continue;
      segmentCount++;
      bytes += held.lengthBytes;
      const own = segmentDigest(held.key, held.lengthBytes, held.checksums.crc32c);
      digest = addDigests(digest, own);
    }
    return Promise.resolve({ segmentCount, bytes, digest: formatDigest(digest) });
  }

  async *segments(): AsyncGenerator<ResidentSegment> {
    await Promise.resolve();
    for (const held of [...this.#shelf.segments.values()]) {
      if (this.#shelf.isResident(held)) yield describe(held);
    }
  }

  setRetention(rules: Retention): Promise<void> {
    this.#room.rules = rules;
    return Promise.resolve();
  }

  expire(): Promise<number> {
    return Promise.resolve(this.#room.expire());
  }

  usage(): CacheUsage {
    let usedBytes = 0;
    for (const { lengthBytes } of this.#shelf.segments.values()) usedBytes += spaceOf(lengthBytes);
    return {
      capacityBytes: this.#shelf.capacityBytes,
      usedBytes,
      segmentCount: this.#shelf.segments.size,
      leasedBytes: this.#room.leasedBytes,
      pinnedBytes: this.#room.pinnedBytes,
      evictedSegmentCount: this.#room.evictedCount,
      corruptSegmentCount: this.#corruptCount,
      directories: [{ path: 'memory', state: 'ok' }],
    };
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }

  /** Spoils one byte of a resident segment, as a disk might. False when there is none. */
  corrupt(key: SegmentKey, position: number): boolean {
    const bytes = this.#shelf.find(key)?.bytes;
    if (!bytes || position >= bytes.length) return false;
    bytes[position] = (bytes[position] ?? 0) ^ 1;
    return true;
  }

  #commit(segment: {
    key: SegmentKey;
    offset: number;
    checksums: SegmentChecksums;
    loadedBy: JobId | undefined;
    admission: Admission;
  }): void {
    const { key, offset, checksums, loadedBy, admission } = segment;
    const reserved = this.#shelf.reserved.get(offset);
    invariant(reserved, 'a reservation is committed once');
    invariant(
      checksums.blockCrc32c.length === Math.ceil(reserved.lengthBytes / CHECKSUM_BLOCK_BYTES),
      `block checksums are given for ${reserved.lengthBytes} bytes`,
    );
    this.#shelf.reserved.delete(offset);
    const name = segmentName(key);
    const older = this.#shelf.segments.get(name);
    if (older) this.#shelf.remove(older);
    const leases = new Set([
      ...(older?.leases ?? []),
      ...(loadedBy === undefined ? [] : [loadedBy]),
    ]);
    const { lengthBytes, bytes } = reserved;
    const fresh = { key, lengthBytes, checksums, loadedBy, leases, bytes };
    const isWanted = this.#room.takeGhost(name) || older !== undefined;
    this.#writtenBytes += spaceOf(lengthBytes);
    this.#shelf.segments.set(name, {
      ...{ ...fresh, readerCount: 0, heat: 0, stamp: this.#room.stamp },
      ...{ isOnTrial: admission === 'trial' && !isWanted, writtenBefore: this.#writtenBytes },
    });
  }

  async *#read(held: HeldSegment, offset: number, length: number): AsyncGenerator<Uint8Array> {
    await Promise.resolve();
    const end = offset + length;
    if (!(offset >= 0 && length >= 0 && end <= held.lengthBytes)) {
      throw new RingloadError(
        'range_not_satisfiable',
        `read ${length} bytes at ${offset} of a segment of ${held.lengthBytes}`,
      );
    }
    const bytes = held.bytes ?? new Uint8Array(held.lengthBytes);
    for (let position = offset; position < end;) {
      const start = position - (position % CHECKSUM_BLOCK_BYTES);
      const chunkEnd = Math.min(end, start + READ_CHUNK_BYTES);
      this.#checkBlocks(held, bytes, start, chunkEnd);
      yield bytes.slice(position, chunkEnd);
      position = chunkEnd;
    }
  }

  #checkBlocks(held: HeldSegment, bytes: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end; at += CHECKSUM_BLOCK_BYTES) {
      const expected = held.checksums.blockCrc32c[at / CHECKSUM_BLOCK_BYTES];
      if (this.#crc32c(bytes.subarray(at, at + CHECKSUM_BLOCK_BYTES)) === expected) continue;
      this.#dropDamaged(held);
      throw new RingloadError(
        'segment_corrupt',
        `read segment ${held.key.index} of ${held.key.path}: a checksum failed`,
      );
    }
  }

  #dropDamaged(held: HeldSegment): void {
    if (!this.#shelf.isResident(held)) return;
    this.#shelf.remove(held);
    this.#corruptCount++;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new RingloadError('cache_io', 'use the cache: it is closed');
  }
}

function describe(held: HeldSegment): ResidentSegment {
  return {
    key: held.key,
    lengthBytes: held.lengthBytes,
    crc32c: held.checksums.crc32c,
    ...(held.loadedBy === undefined ? {} : { loadedBy: held.loadedBy }),
  };
}
