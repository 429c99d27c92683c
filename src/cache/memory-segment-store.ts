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
import {
  AGAIN_AFTER_SHARE,
  evictionSteps,
  NO_RETENTION,
  quotaFull,
  RANK_COUNT,
  RANK_LOW,
  RANK_MEDIUM,
  RANK_ON_TRIAL,
  RANK_PINNED,
  type GroupPolicy,
  type Rank,
  type Retention,
} from './retention.ts';
import {
  CHECKSUM_BLOCK_BYTES,
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
const HEAT_MAX = 3;

interface HeldSegment {
  readonly key: SegmentKey;
  readonly lengthBytes: number;
  readonly checksums: SegmentChecksums;
  readonly loadedBy: JobId | undefined;
  readonly leases: Set<JobId>;
  readonly bytes: Uint8Array | undefined;
  /** Seconds by the clock of the store, and bytes written up to it. */
  readonly stamp: number;
  readonly writtenBefore: number;
  readerCount: number;
  heat: number;
  isOnTrial: boolean;
}

export interface MemorySegmentStoreOptions {
  readonly capacityBytes: number;
  /** Monotonic; for rules about time. Absent: it stands still. */
  readonly nowMs?: () => number;
  readonly crc32c: Crc32c;
}

export class MemorySegmentStore implements SegmentStore {
  readonly #capacityBytes: number;
  readonly #crc32c: Crc32c;
  /** Oldest first. */
  readonly #segments = new Map<string, HeldSegment>();
  /** Bytes written so far into open reservations, by offset. */
  readonly #reserved = new Map<
    number,
    { lengthBytes: number; bytes: Uint8Array | undefined; path: string }
  >();
  #nextOffset = 0;
  /** Space of resident segments, of open reservations, and of what is gone but still read. */
  #takenBytes = 0;
  #writtenBytes = 0;
  #retention: Retention = NO_RETENTION;
  readonly #nowMs: () => number;
  readonly #ghosts = new Set<string>();
  #evictedCount = 0;
  #corruptCount = 0;
  #isClosed = false;

  constructor(options: MemorySegmentStoreOptions) {
    this.#capacityBytes = options.capacityBytes;
    this.#crc32c = options.crc32c;
    this.#nowMs = options.nowMs ?? (() => 0);
  }

  lookup(key: SegmentKey): Promise<ResidentSegment | undefined> {
    const held = this.#segments.get(nameOf(key));
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
    if (!Number.isSafeInteger(lengthBytes) || lengthBytes < 0 || space > this.#capacityBytes) {
      throw new RingloadError('invalid_argument', `reserve ${lengthBytes} bytes for a segment`);
    }
    this.#makeQuotaRoom(key.path, lengthBytes);
    this.#makeRoom(space);
    this.#takenBytes += space;
    const offset = this.#nextOffset;
    this.#nextOffset += Math.max(1, space);
    const reserved = { lengthBytes, bytes: undefined, path: key.path };
    this.#reserved.set(offset, reserved);
    const extent: Extent = { directoryIndex: 0, regionId: 0, offset, lengthBytes };
    return {
      extent,
      commit: async (checksums) => {
        await Promise.resolve();
        this.#checkOpen();
        this.#commit({ key: { ...key }, offset, checksums, loadedBy, admission });
      },
      abort: () => {
        if (this.#reserved.delete(offset)) this.#takenBytes -= space;
      },
    };
  }

  /** Writes all of `bytes` at `position` of a reserved extent. @throws cache_io */
  async write(extent: Extent, position: number, bytes: Uint8Array): Promise<void> {
    await Promise.resolve();
    if (bytes.length === 0) return;
    const reserved = this.#reserved.get(extent.offset);
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
    const held = this.#segments.get(nameOf(key));
    if (!held) return undefined;
    held.heat = Math.min(HEAT_MAX, held.heat + 1);
    const writtenSince = this.#writtenBytes - held.writtenBefore;
    if (writtenSince >= this.#capacityBytes * AGAIN_AFTER_SHARE) held.isOnTrial = false;
    held.readerCount++;
    let isClosed = false;
    return {
      ...describe(held),
      read: (offset, length) => this.#read(held, offset, length),
      close: () => {
        if (isClosed) return;
        isClosed = true;
        held.readerCount--;
        if (held.readerCount === 0 && !this.#isResident(held)) {
          this.#takenBytes -= spaceOf(held.lengthBytes);
        }
      },
    };
  }

  async check(key: SegmentKey): Promise<SegmentCheck> {
    await Promise.resolve();
    this.#checkOpen();
    const held = this.#segments.get(nameOf(key));
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
    const held = this.#segments.get(nameOf(key));
    if (held) this.#remove(held);
    return held !== undefined;
  }

  async free(key: SegmentKey): Promise<'freed' | 'leased' | 'missing'> {
    await Promise.resolve();
    this.#checkOpen();
    const held = this.#segments.get(nameOf(key));
    if (!held) return 'missing';
    if (held.leases.size > 0) return 'leased';
    this.#remove(held);
    return 'freed';
  }

  lease(key: SegmentKey, job: JobId): boolean {
    const held = this.#segments.get(nameOf(key));
    held?.leases.add(job);
    return held !== undefined;
  }

  releaseLease(job: JobId): void {
    for (const held of this.#segments.values()) held.leases.delete(job);
  }

  /** Jobs that hold leases here. */
  leaseHolders(): ReadonlySet<JobId> {
    const jobs = new Set<JobId>();
    for (const held of this.#segments.values()) for (const job of held.leases) jobs.add(job);
    return jobs;
  }

  inventory(job: JobId): Promise<Inventory> {
    let segmentCount = 0;
    let bytes = 0;
    let digest = 0n;
    for (const held of this.#segments.values()) {
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
    for (const held of [...this.#segments.values()]) {
      if (this.#isResident(held)) yield describe(held);
    }
  }

  usage(): CacheUsage {
    let usedBytes = 0;
    let leasedBytes = 0;
    for (const held of this.#segments.values()) {
      usedBytes += spaceOf(held.lengthBytes);
      if (held.leases.size > 0) leasedBytes += spaceOf(held.lengthBytes);
    }
    return {
      capacityBytes: this.#capacityBytes,
      usedBytes,
      segmentCount: this.#segments.size,
      leasedBytes,
      pinnedBytes: this.#spaceAtRank()[RANK_PINNED] ?? 0,
      evictedSegmentCount: this.#evictedCount,
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
    const bytes = this.#segments.get(nameOf(key))?.bytes;
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
    const reserved = this.#reserved.get(offset);
    invariant(reserved, 'a reservation is committed once');
    invariant(
      checksums.blockCrc32c.length === Math.ceil(reserved.lengthBytes / CHECKSUM_BLOCK_BYTES),
      `block checksums are given for ${reserved.lengthBytes} bytes`,
    );
    this.#reserved.delete(offset);
    const name = nameOf(key);
    const older = this.#segments.get(name);
    if (older) this.#remove(older);
    const leases = new Set([
      ...(older?.leases ?? []),
      ...(loadedBy === undefined ? [] : [loadedBy]),
    ]);
    const { lengthBytes, bytes } = reserved;
    const fresh = { key, lengthBytes, checksums, loadedBy, leases, bytes };
    const isWanted = this.#ghosts.delete(name) || older !== undefined;
    this.#writtenBytes += spaceOf(lengthBytes);
    this.#segments.set(name, {
      ...{ ...fresh, readerCount: 0, heat: 0, stamp: Math.floor(this.#nowMs() / 1000) },
      ...{ isOnTrial: admission === 'trial' && !isWanted, writtenBefore: this.#writtenBytes },
    });
  }

  setRetention(rules: Retention): Promise<void> {
    this.#retention = rules;
    return Promise.resolve();
  }

  expire(): Promise<number> {
    let count = 0;
    for (const held of [...this.#segments.values()]) {
      const { ttlMs } = this.#policyOf(held);
      const ageMs = 1000 * (Math.floor(this.#nowMs() / 1000) - held.stamp);
      if (ttlMs === undefined || ageMs < ttlMs || this.#mustStay(held)) continue;
      this.#evict(held);
      count++;
    }
    return Promise.resolve(count);
  }

  #policyOf(held: HeldSegment): GroupPolicy {
    return this.#retention.policyOf(this.#retention.groupOf(held.key.path));
  }

  #rankOf(held: HeldSegment): Rank {
    const { rank } = this.#policyOf(held);
    return rank === RANK_MEDIUM && held.isOnTrial ? RANK_ON_TRIAL : rank;
  }

  #mustStay(held: HeldSegment): boolean {
    return held.leases.size > 0 || this.#rankOf(held) === RANK_PINNED;
  }

  #evict(held: HeldSegment): void {
    if (held.isOnTrial) this.#ghosts.add(nameOf(held.key));
    this.#remove(held);
    this.#evictedCount++;
  }

  #spaceAtRank(): number[] {
    const sums = Array.from({ length: RANK_COUNT }, () => 0);
    for (const held of this.#segments.values()) {
      const rank = this.#rankOf(held);
      sums[rank] = (sums[rank] ?? 0) + spaceOf(held.lengthBytes);
    }
    return sums;
  }

  /** @throws cache_full */
  #makeQuotaRoom(path: string, lengthBytes: number): void {
    const space = spaceOf(lengthBytes);
    const { quotas } = this.#retention.policyOf(this.#retention.groupOf(path));
    for (const quota of quotas) {
      const isInside = (other: string): boolean =>
        this.#retention
          .policyOf(this.#retention.groupOf(other))
          .quotas.some((each) => each.path === quota.path);
      const inside = [...this.#segments.values()].filter(({ key }) => isInside(key.path));
      let used = space;
      for (const held of inside) used += spaceOf(held.lengthBytes);
      for (const reserved of this.#reserved.values())
        if (isInside(reserved.path)) used += spaceOf(reserved.lengthBytes);
      const order = (held: HeldSegment): number => this.#rankOf(held) * 2 ** 32 + held.stamp;
      const movable = inside.filter((held) => !this.#mustStay(held));
      movable.sort((a, b) => order(a) - order(b));
      const most = movable.reduce((sum, held) => sum + spaceOf(held.lengthBytes), 0);
      if (used - most > quota.bytes) {
        throw quotaFull(path, lengthBytes, quota);
      }
      for (const held of movable) {
        if (used <= quota.bytes) break;
        used -= spaceOf(held.lengthBytes);
        this.#evict(held);
      }
    }
  }

  /** Ranks go one after the other; among what has no other rank, what was read goes later. */
  #makeRoom(space: number): void {
    const hasRoom = (): boolean => this.#takenBytes + space <= this.#capacityBytes;
    for (const rank of evictionSteps(this.#spaceAtRank(), this.#capacityBytes)) {
      if (hasRoom()) return;
      if (rank === RANK_MEDIUM) this.#evictOldest(space);
      else
        for (const held of [...this.#segments.values()])
          if (!hasRoom() && this.#mayGo(held, rank)) this.#evict(held);
    }
    if (hasRoom()) return;
    const { leasedBytes, pinnedBytes, capacityBytes } = this.usage();
    throw new RingloadError(
      'cache_full',
      `find room for ${space} bytes: of ${capacityBytes}, running loads have leased ` +
        `${leasedBytes} and rules pin ${pinnedBytes}`,
      { details: { lengthBytes: space, capacityBytes, leasedBytes, pinnedBytes } },
    );
  }

  #mayGo(held: HeldSegment, rank: Rank): boolean {
    return held.leases.size === 0 && held.readerCount === 0 && this.#rankOf(held) <= rank;
  }

  /** Evicts from the oldest on; what was read goes to the end of the line instead. */
  #evictOldest(space: number): void {
    // Why this bound: each visit uses up one read, so the line is walked at most HEAT_MAX times.
    let visitCount = this.#segments.size * (HEAT_MAX + 1);
    while (this.#takenBytes + space > this.#capacityBytes && visitCount-- > 0) {
      const [oldest] = this.#segments.values();
      if (!oldest) break;
      const isHot = oldest.heat > 0 && this.#rankOf(oldest) > RANK_LOW;
      if (!this.#mayGo(oldest, RANK_MEDIUM) || isHot) {
        oldest.heat = Math.max(0, oldest.heat - 1);
        this.#segments.delete(nameOf(oldest.key));
        this.#segments.set(nameOf(oldest.key), oldest);
      } else {
        this.#evict(oldest);
      }
    }
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
    if (!this.#isResident(held)) return;
    this.#remove(held);
    this.#corruptCount++;
  }

  #remove(held: HeldSegment): void {
    this.#segments.delete(nameOf(held.key));
    if (held.readerCount === 0) this.#takenBytes -= spaceOf(held.lengthBytes);
  }

  #isResident(held: HeldSegment): boolean {
    return this.#segments.get(nameOf(held.key)) === held;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new RingloadError('cache_io', 'use the cache: it is closed');
  }
}

function nameOf(key: SegmentKey): string {
  return JSON.stringify([key.path, key.version, key.segmentSizeBytes, key.index]);
}

function describe(held: HeldSegment): ResidentSegment {
  return {
    key: held.key,
    lengthBytes: held.lengthBytes,
    crc32c: held.checksums.crc32c,
    ...(held.loadedBy === undefined ? {} : { loadedBy: held.loadedBy }),
  };
}
