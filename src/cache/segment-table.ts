/**
 * What is resident and who has a claim on it: the index and the tenures together, with the sums
 * that `usage` reports. Pure bookkeeping; regions, files and durability are others' business.
 *
 * Invariant: `usedBytes` and `leasedBytes` are the sums over live entries, padding included.
 */
import type { ChangeMarks } from '../base/change-marks.ts';
import type { JobId } from '../base/ids.ts';
import type { KeyHash } from './key-hash.ts';
import { DigestSum } from './digest-sum.ts';
import { spaceOf } from './layout.ts';
import {
  HEAT_MAX,
  NO_ENTRY,
  SegmentIndex,
  type EntryId,
  type SegmentLocation,
} from './segment-index.ts';
import type { Inventory } from './segment-store.ts';
import { GhostList } from './ghost-list.ts';
import {
  DEFAULT_POLICY,
  RANK_COUNT,
  RANK_MEDIUM,
  RANK_ON_TRIAL,
  type GroupPolicy,
  type Rank,
} from './retention.ts';
import { TenureTable } from './tenure-table.ts';

/** Entries examined between two pauses of a scan: well below a millisecond of work. */
const SCAN_SLICE_ENTRIES = 32 * 1024;

export interface NewSegment extends SegmentLocation {
  readonly hash: KeyHash;
  readonly lengthBytes: number;
  readonly crc32c: number;
  readonly digest: bigint;
  readonly loadedBy: JobId | undefined;
  /** Of paths that are treated alike. */
  readonly group?: string;
  /** Seconds by the clock of the store, when it came. */
  readonly stamp?: number;
  /** Read through: to be evicted early unless it is read again. */
  readonly isOnTrial?: boolean;
}

export class SegmentTable {
  readonly index = new SegmentIndex();
  readonly #tenures = new TenureTable();
  readonly #ghosts = new GhostList();
  readonly #spaceAtRank = Array.from({ length: RANK_COUNT }, () => 0);
  readonly #marks: ChangeMarks | undefined;
  #policyOf: (group: string) => GroupPolicy = () => DEFAULT_POLICY;
  #usedBytes = 0;
  #releaseCount = 0;
  #replacementCount = 0;

  /** @param marks raised for each segment that leaves its place, by its hash. */
  constructor(marks?: ChangeMarks) {
    this.#marks = marks;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }
  get leasedBytes(): number {
    return this.#tenures.leasedBytes;
  }
  /** Grows whenever a segment may have lost its last lease: what was kept may go now. */
  get releaseCount(): number {
    return this.#releaseCount;
  }

  /** Bytes by rank, padding included; leases are another matter. */
  get spaceAtRank(): readonly number[] {
    return this.#spaceAtRank;
  }

  /** Makes a segment visible, in the place of an older copy, whose leases it inherits. */
  put(segment: NewSegment): { readonly replaced: SegmentLocation | undefined } {
    const leases = new Set<JobId>(segment.loadedBy === undefined ? [] : [segment.loadedBy]);
    const older = this.index.find(segment.hash);
    let replaced: SegmentLocation | undefined;
    if (older !== NO_ENTRY) {
      for (const job of this.#tenures.leasesOf(this.index.tenureOf(older))) leases.add(job);
      replaced = this.locationOf(older);
      this.kill(older);
      this.#replacementCount++;
    }
    const tenure = this.#tenures.of(segment.loadedBy, leases, segment.group ?? '');
    const isWanted = this.#ghosts.take(segment.hash) || older !== NO_ENTRY;
    const space = spaceOf(segment.lengthBytes);
    this.#tenures.enter(tenure, space);
    this.#usedBytes += space;
    const id = this.index.insert(segment.hash, {
      slot: segment.slot,
      offset: segment.offset,
      recordOffset: segment.recordOffset,
      lengthBytes: segment.lengthBytes,
      crc32c: segment.crc32c,
      digestLow: Number(segment.digest & 0xffff_ffffn),
      digestHigh: Number(segment.digest >> 32n),
      tenure,
      stamp: segment.stamp ?? 0,
      isOnTrial: segment.isOnTrial === true && !isWanted,
    });
    this.#countRank(id, space);
    return { replaced };
  }

  /** Makes the segment invisible; its entry is freed with its region. */
  kill(id: EntryId): void {
    this.#marks?.raise(markOf(this.index.hashOf(id)));
    const tenure = this.index.tenureOf(id);
    const space = spaceOf(this.index.lengthOf(id));
    if (this.#tenures.isLeased(tenure)) this.#releaseCount++;
    this.#countRank(id, -space);
    this.#tenures.leave(tenure, space);
    this.#usedBytes -= space;
    this.index.kill(id);
  }

  /** As `kill`, of what had to make room. */
  evict(id: EntryId): void {
    if (this.index.isOnTrial(id)) this.#ghosts.add(this.index.hashOf(id));
    this.kill(id);
  }

  /** Forgets all that lies in the region; returns how many segments that were. */
  purgeRegion(slot: number): number {
    return this.purge(this.index.takeRegion(slot));
  }

  /** Forgets entries that hang in no region's list; returns how many were still resident. */
  purge(ids: Iterable<EntryId>): number {
    let liveCount = 0;
    for (const id of ids) {
      if (this.index.isLive(id)) {
        this.evict(id);
        liveCount++;
      }
      this.index.free(id);
    }
    return liveCount;
  }

  /** Undoes `takeRegion` for entries that stayed where they are. */
  putBack(ids: Iterable<EntryId>): void {
    for (const id of ids) {
      if (this.index.isLive(id)) this.index.relocate(id, this.locationOf(id));
      else this.index.free(id);
    }
  }

  /** Moves a resident segment whose entry hangs in no list; one read is used up by it. */
  move(id: EntryId, location: SegmentLocation): void {
    this.#marks?.raise(markOf(this.index.hashOf(id)));
    this.index.relocate(id, location);
    this.index.setHeat(id, Math.max(0, this.index.heatOf(id) - 1));
  }

  /** The resident entry at that place, if the place still holds one. */
  findAt(hash: KeyHash, slot: number, recordOffset: number): EntryId {
    const id = this.index.find(hash);
    return id !== NO_ENTRY &&
      this.index.slotOf(id) === slot &&
      this.index.recordOffsetOf(id) === recordOffset
      ? id
      : NO_ENTRY;
  }

  /** @param isAgain a good while after it came: it is wanted, not only passed over. */
  touch(id: EntryId, isAgain = false): void {
    if (isAgain && this.index.isOnTrial(id)) {
      const space = spaceOf(this.index.lengthOf(id));
      this.#countRank(id, -space);
      this.index.endTrial(id);
      this.#countRank(id, space);
    }
    const heat = this.index.heatOf(id);
    if (heat < HEAT_MAX) this.index.setHeat(id, heat + 1);
  }

  lease(id: EntryId, job: JobId): void {
    const from = this.index.tenureOf(id);
    const to = this.#tenures.withLease(from, job);
    if (to === from) return;
    const space = spaceOf(this.index.lengthOf(id));
    this.#tenures.enter(to, space);
    this.#tenures.leave(from, space);
    this.index.setTenure(id, to);
  }

  releaseLease(job: JobId): void {
    if (this.#tenures.release(job)) this.#releaseCount++;
  }

  /** What the groups are worth from now on. */
  setPolicy(policyOf: (group: string) => GroupPolicy): void {
    this.#policyOf = policyOf;
    this.#spaceAtRank.fill(0);
    for (let id = 1; id <= this.index.highestId; id += 1) {
      if (this.index.isLive(id)) this.#countRank(id, spaceOf(this.index.lengthOf(id)));
    }
    this.#releaseCount++;
  }

  /** Its path belongs to that group now. */
  regroup(id: EntryId, group: string): void {
    const from = this.index.tenureOf(id);
    const to = this.#tenures.inGroup(from, group);
    if (to === from) return;
    const space = spaceOf(this.index.lengthOf(id));
    this.#countRank(id, -space);
    this.#tenures.enter(to, space);
    this.#tenures.leave(from, space);
    this.index.setTenure(id, to);
    this.#countRank(id, space);
    this.#releaseCount++;
  }

  policyOf(id: EntryId): GroupPolicy {
    return this.#policyOf(this.groupOf(id));
  }
  groupOf(id: EntryId): string {
    return this.#tenures.groupOf(this.index.tenureOf(id));
  }
  spaceByGroup(): ReadonlyMap<string, number> {
    return this.#tenures.spaceByGroup();
  }

  /** A trial counts only for what no rule sets apart. */
  rankOf(id: EntryId): Rank {
    const { rank } = this.policyOf(id);
    return rank === RANK_MEDIUM && this.index.isOnTrial(id) ? RANK_ON_TRIAL : rank;
  }

  /** Not to be evicted by who evicts up to `rank`. */
  isKept(id: EntryId, rank: Rank): boolean {
    return this.isLeased(id) || this.rankOf(id) > rank;
  }

  #countRank(id: EntryId, space: number): void {
    const rank = this.rankOf(id);
    this.#spaceAtRank[rank] = (this.#spaceAtRank[rank] ?? 0) + space;
  }

  isLeased(id: EntryId): boolean {
    return this.#tenures.isLeased(this.index.tenureOf(id));
  }
  isLeasedBy(id: EntryId, job: JobId): boolean {
    return this.#tenures.isLeasedBy(this.index.tenureOf(id), job);
  }
  leasesOf(id: EntryId): ReadonlySet<JobId> {
    return this.#tenures.leasesOf(this.index.tenureOf(id));
  }
  loadedByOf(id: EntryId): JobId | undefined {
    return this.#tenures.loadedByOf(this.index.tenureOf(id));
  }
  leaseHolders(): ReadonlySet<JobId> {
    return this.#tenures.holders();
  }

  locationOf(id: EntryId): SegmentLocation {
    return {
      slot: this.index.slotOf(id),
      offset: this.index.offsetOf(id),
      recordOffset: this.index.recordOffsetOf(id),
    };
  }

  /** Bytes of the region that must not be evicted by who evicts up to `rank`. */
  keptSpaceOf(slot: number, rank: Rank): number {
    let space = 0;
    this.index.forEachInRegion(slot, (id) => {
      if (this.index.isLive(id) && this.isKept(id, rank)) space += spaceOf(this.index.lengthOf(id));
    });
    return space;
  }

  /**
   * What the job holds leased, by a scan of the index in slices between which `pause` lets others
   * work. A copy that replaced another meanwhile could be met twice, so such a scan is repeated,
   * the last time without pauses.
   */
  async inventory(job: JobId, pause: () => Promise<void>): Promise<Inventory> {
    for (let attempt = 0; attempt < 2; attempt++) {
      const before = this.#replacementCount;
      const sum = new InventorySum();
      for (let id = 1; id <= this.index.highestId; id += SCAN_SLICE_ENTRIES) {
        if (id > 1) await pause();
        this.#scan(job, sum, id, id + SCAN_SLICE_ENTRIES);
      }
      if (this.#replacementCount === before) return sum.result();
    }
    const sum = new InventorySum();
    this.#scan(job, sum, 1, this.index.highestId + 1);
    return sum.result();
  }

  #scan(job: JobId, sum: InventorySum, from: EntryId, until: EntryId): void {
    const index = this.index;
    const end = Math.min(until, index.highestId + 1);
    for (let id = from; id < end; id++) {
      if (!index.isLive(id) || !this.isLeasedBy(id, job)) continue;
      sum.add(index.lengthOf(id), index.digestLowOf(id), index.digestHighOf(id));
    }
  }
}

/** The number under which it is told that a segment has left its place. */
export function markOf(hash: KeyHash): number {
  return hash[0] ?? 0;
}

class InventorySum {
  #segmentCount = 0;
  #bytes = 0;
  readonly #digest = new DigestSum();

  add(lengthBytes: number, digestLow: number, digestHigh: number): void {
    this.#segmentCount++;
    this.#bytes += lengthBytes;
    this.#digest.addHalves(digestHigh, digestLow);
  }

  result(): Inventory {
    return {
      segmentCount: this.#segmentCount,
      bytes: this.#bytes,
      digest: this.#digest.toString(),
    };
  }
}
