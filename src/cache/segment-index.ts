/**
 * The index of resident segments: dense entries of 15 words in typed arrays, found through linear
 * hashing with chains. It grows by one bucket per insertion, so no insertion ever stops the world,
 * and costs 60 bytes per entry plus 4 per bucket at 1.5 entries per bucket.
 *
 * It knows words, not meanings: who is leased and what is counted is the segment table's business.
 *
 * Invariant: a live entry hangs in exactly one chain; live or dead, it hangs in at most one
 * region's list, and its id is not reused before `free`.
 */
import { invariant } from '../base/invariant.ts';
import type { KeyHash } from './key-hash.ts';

/** Number of an entry, 1 or more. */
export type EntryId = number;
export const NO_ENTRY = 0;

export interface SegmentLocation {
  /** Number of the region among all regions of the store. */
  readonly slot: number;
  /** Byte offset in the region, a multiple of 64. */
  readonly offset: number;
  /** Byte offset of the segment's record in the region's sidecar. */
  readonly recordOffset: number;
}

const WORDS = 15;
const DIGEST_LOW = 4;
const DIGEST_HIGH = 5;
const CHAIN_NEXT = 6;
const REGION_NEXT = 7;
/** Region slot in the low 24 bits, flags above. */
const SLOT_FLAGS = 8;
const OFFSET = 9;
const LENGTH = 10;
const CRC = 11;
const RECORD_OFFSET = 12;
const TENURE = 13;
const STAMP = 14;

const SLOT_MASK = 0xff_ffff;
const HEAT_SHIFT = 24;
const HEAT_MASK = 3;
const LIVE = 1 << 26;
const ON_TRIAL = 1 << 27;

const CHUNK_BITS = 11;
const CHUNK_ENTRIES = 1 << CHUNK_BITS;
const BUCKET_CHUNK_BITS = 14;
const BUCKET_CHUNK = 1 << BUCKET_CHUNK_BITS;
const INITIAL_BUCKET_BITS = 10;
const ENTRIES_PER_BUCKET = 1.5;

export const REGION_SLOT_MAX = SLOT_MASK;
/** A segment read this often since it was written survives that many evictions unread. */
export const HEAT_MAX = HEAT_MASK;

export class SegmentIndex {
  readonly #chunks: Uint32Array[] = [];
  readonly #bucketChunks: Uint32Array[] = [new Uint32Array(BUCKET_CHUNK)];
  readonly #regionHeads: EntryId[] = [];
  #bucketBits = INITIAL_BUCKET_BITS;
  /** Buckets below it are already split for the next doubling. */
  #splitNext = 0;
  #freeHead: EntryId = NO_ENTRY;
  #highestId: EntryId = 0;
  #liveCount = 0;

  /** Live entries. */
  get size(): number {
    return this.#liveCount;
  }

  /** Ids in use lie in `[1, highestId]`. */
  get highestId(): EntryId {
    return this.#highestId;
  }

  /** Bytes of the typed arrays. */
  get allocatedBytes(): number {
    return (
      this.#chunks.length * CHUNK_ENTRIES * WORDS * 4 + this.#bucketChunks.length * BUCKET_CHUNK * 4
    );
  }

  find(hash: KeyHash): EntryId {
    let id = this.#head(this.#bucketOf(hash[0] ?? 0));
    while (id !== NO_ENTRY) {
      const chunk = this.#chunk(id);
      const base = this.#base(id);
      if (
        chunk[base] === hash[0] &&
        chunk[base + 1] === hash[1] &&
        chunk[base + 2] === hash[2] &&
        chunk[base + 3] === hash[3]
      ) {
        return id;
      }
      id = chunk[base + CHAIN_NEXT] ?? NO_ENTRY;
    }
    return NO_ENTRY;
  }

  /** The hash must not be present. */
  insert(
    hash: KeyHash,
    entry: SegmentLocation & {
      readonly lengthBytes: number;
      readonly crc32c: number;
      readonly digestLow: number;
      readonly digestHigh: number;
      readonly tenure: number;
      /** Seconds by the clock of the store. */
      readonly stamp: number;
      readonly isOnTrial: boolean;
    },
  ): EntryId {
    const id = this.#allocate();
    const chunk = this.#chunk(id);
    const base = this.#base(id);
    for (let word = 0; word < 4; word++) chunk[base + word] = hash[word] ?? 0;
    chunk[base + DIGEST_LOW] = entry.digestLow;
    chunk[base + DIGEST_HIGH] = entry.digestHigh;
    chunk[base + LENGTH] = entry.lengthBytes;
    chunk[base + CRC] = entry.crc32c;
    chunk[base + TENURE] = entry.tenure;
    chunk[base + STAMP] = entry.stamp;
    chunk[base + SLOT_FLAGS] = entry.isOnTrial ? LIVE | ON_TRIAL : LIVE;
    this.relocate(id, entry);
    const bucket = this.#bucketOf(hash[0] ?? 0);
    chunk[base + CHAIN_NEXT] = this.#head(bucket);
    this.#setHead(bucket, id);
    this.#liveCount++;
    if (this.#liveCount > this.#bucketCount * ENTRIES_PER_BUCKET) this.#splitBucket();
    return id;
  }

  /**
   * Sets where the segment lies and hangs it in that region's list; its heat starts anew from what
   * it was. Only for entries that hang in no list: new ones, and those taken out by `takeRegion`.
   */
  relocate(id: EntryId, location: SegmentLocation): void {
    invariant(location.slot <= SLOT_MASK, `region slot ${location.slot} fits the index`);
    const chunk = this.#chunk(id);
    const base = this.#base(id);
    const flags = (chunk[base + SLOT_FLAGS] ?? 0) & ~SLOT_MASK;
    chunk[base + SLOT_FLAGS] = (flags | location.slot) >>> 0;
    chunk[base + OFFSET] = location.offset;
    chunk[base + RECORD_OFFSET] = location.recordOffset;
    chunk[base + REGION_NEXT] = this.#regionHeads[location.slot] ?? NO_ENTRY;
    this.#regionHeads[location.slot] = id;
  }

  /** Makes the entry unfindable. It stays in its region's list until that is taken. */
  kill(id: EntryId): void {
    const chunk = this.#chunk(id);
    const base = this.#base(id);
    invariant(this.isLive(id), `entry ${id} is live`);
    const bucket = this.#bucketOf(chunk[base] ?? 0);
    const next = chunk[base + CHAIN_NEXT] ?? NO_ENTRY;
    let other = this.#head(bucket);
    if (other === id) {
      this.#setHead(bucket, next);
    } else {
      while (this.#word(other, CHAIN_NEXT) !== id) other = this.#word(other, CHAIN_NEXT);
      this.#setWord(other, CHAIN_NEXT, next);
    }
    chunk[base + SLOT_FLAGS] = ((chunk[base + SLOT_FLAGS] ?? 0) & ~LIVE) >>> 0;
    this.#liveCount--;
  }

  /** Returns a dead entry that hangs in no list to the pool. */
  free(id: EntryId): void {
    invariant(!this.isLive(id), `entry ${id} is dead`);
    this.#setWord(id, SLOT_FLAGS, 0);
    this.#setWord(id, CHAIN_NEXT, this.#freeHead);
    this.#freeHead = id;
  }

  /** Empties the region's list and returns its entries, dead ones too, oldest first. */
  takeRegion(slot: number): EntryId[] {
    const ids: EntryId[] = [];
    this.forEachInRegion(slot, (id) => ids.push(id));
    this.#regionHeads[slot] = NO_ENTRY;
    return ids.reverse();
  }

  /** Visits the region's entries, dead ones too, newest first. */
  forEachInRegion(slot: number, visit: (id: EntryId) => void): void {
    let id = this.#regionHeads[slot] ?? NO_ENTRY;
    while (id !== NO_ENTRY) {
      const next = this.#word(id, REGION_NEXT);
      visit(id);
      id = next;
    }
  }

  isLive(id: EntryId): boolean {
    return (this.#word(id, SLOT_FLAGS) & LIVE) !== 0;
  }
  hashOf(id: EntryId): KeyHash {
    return this.#chunk(id).slice(this.#base(id), this.#base(id) + 4);
  }
  slotOf(id: EntryId): number {
    return this.#word(id, SLOT_FLAGS) & SLOT_MASK;
  }
  offsetOf(id: EntryId): number {
    return this.#word(id, OFFSET);
  }
  lengthOf(id: EntryId): number {
    return this.#word(id, LENGTH);
  }
  crc32cOf(id: EntryId): number {
    return this.#word(id, CRC);
  }
  recordOffsetOf(id: EntryId): number {
    return this.#word(id, RECORD_OFFSET);
  }
  digestLowOf(id: EntryId): number {
    return this.#word(id, DIGEST_LOW);
  }
  digestHighOf(id: EntryId): number {
    return this.#word(id, DIGEST_HIGH);
  }
  tenureOf(id: EntryId): number {
    return this.#word(id, TENURE);
  }
  setTenure(id: EntryId, tenure: number): void {
    this.#setWord(id, TENURE, tenure);
  }
  stampOf(id: EntryId): number {
    return this.#word(id, STAMP);
  }
  isOnTrial(id: EntryId): boolean {
    return (this.#word(id, SLOT_FLAGS) & ON_TRIAL) !== 0;
  }
  endTrial(id: EntryId): void {
    this.#setWord(id, SLOT_FLAGS, (this.#word(id, SLOT_FLAGS) & ~ON_TRIAL) >>> 0);
  }
  heatOf(id: EntryId): number {
    return (this.#word(id, SLOT_FLAGS) >>> HEAT_SHIFT) & HEAT_MASK;
  }
  setHeat(id: EntryId, heat: number): void {
    const others = this.#word(id, SLOT_FLAGS) & ~(HEAT_MASK << HEAT_SHIFT);
    this.#setWord(id, SLOT_FLAGS, (others | (Math.min(heat, HEAT_MAX) << HEAT_SHIFT)) >>> 0);
  }

  get #bucketCount(): number {
    return 2 ** this.#bucketBits + this.#splitNext;
  }

  #bucketOf(hashWord: number): number {
    const low = (hashWord & (2 ** this.#bucketBits - 1)) >>> 0;
    return low < this.#splitNext ? (hashWord & (2 ** (this.#bucketBits + 1) - 1)) >>> 0 : low;
  }

  /** Adds one bucket and moves to it what now hashes there. */
  #splitBucket(): void {
    const source = this.#splitNext;
    const target = source + 2 ** this.#bucketBits;
    if (target >> BUCKET_CHUNK_BITS === this.#bucketChunks.length) {
      this.#bucketChunks.push(new Uint32Array(BUCKET_CHUNK));
    }
    this.#splitNext++;
    let id = this.#head(source);
    this.#setHead(source, NO_ENTRY);
    while (id !== NO_ENTRY) {
      const next = this.#word(id, CHAIN_NEXT);
      const bucket = this.#bucketOf(this.#word(id, 0));
      this.#setWord(id, CHAIN_NEXT, this.#head(bucket));
      this.#setHead(bucket, id);
      id = next;
    }
    if (this.#splitNext === 2 ** this.#bucketBits) {
      this.#bucketBits++;
      this.#splitNext = 0;
    }
    invariant(target < 2 ** 30, 'the index has fewer than 2^30 buckets');
  }

  #allocate(): EntryId {
    const reused = this.#freeHead;
    if (reused !== NO_ENTRY) {
      this.#freeHead = this.#word(reused, CHAIN_NEXT);
      return reused;
    }
    const id = ++this.#highestId;
    if (id >> CHUNK_BITS === this.#chunks.length) {
      this.#chunks.push(new Uint32Array(CHUNK_ENTRIES * WORDS));
    }
    return id;
  }

  #head(bucket: number): EntryId {
    return this.#bucketChunks[bucket >> BUCKET_CHUNK_BITS]?.[bucket & (BUCKET_CHUNK - 1)] ?? 0;
  }

  #setHead(bucket: number, id: EntryId): void {
    const chunk = this.#bucketChunks[bucket >> BUCKET_CHUNK_BITS];
    invariant(chunk, `bucket ${bucket} exists`);
    chunk[bucket & (BUCKET_CHUNK - 1)] = id;
  }

  #chunk(id: EntryId): Uint32Array {
    const chunk = this.#chunks[id >> CHUNK_BITS];
    if (!chunk) invariant(false, `entry ${id} exists`);
    return chunk;
  }

  #base(id: EntryId): number {
    return (id & (CHUNK_ENTRIES - 1)) * WORDS;
  }

  #word(id: EntryId, word: number): number {
    return this.#chunk(id)[this.#base(id) + word] ?? 0;
  }

  #setWord(id: EntryId, word: number, value: number): void {
    this.#chunk(id)[this.#base(id) + word] = value;
  }
}
