/**
 * Which segments of a memory store stay, and which go when there is no room: rules, quotas, trials,
 * and first in, first out among what they leave alone.
 */
import { RingloadError } from '../base/errors.ts';
import { spaceOf } from './layout.ts';
import type { HeldSegment, MemoryShelf } from './memory-shelf.ts';
import {
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
import { segmentName } from './segment-store.ts';

/** Most reads that are remembered of a segment. */
export const HEAT_MAX = 3;

export class MemoryRoom {
  readonly #shelf: MemoryShelf;
  readonly #nowMs: () => number;
  readonly #ghosts = new Set<string>();
  #retention: Retention = NO_RETENTION;
  evictedCount = 0;

  constructor(shelf: MemoryShelf, nowMs: () => number) {
    this.#shelf = shelf;
    this.#nowMs = nowMs;
  }

  set rules(rules: Retention) {
    this.#retention = rules;
  }

  /** Seconds by the clock of the store. */
  get stamp(): number {
    return Math.floor(this.#nowMs() / 1000);
  }

  get pinnedBytes(): number {
    return this.#spaceAtRank()[RANK_PINNED] ?? 0;
  }

  get leasedBytes(): number {
    let bytes = 0;
    for (const held of this.#shelf.segments.values())
      if (held.leases.size > 0) bytes += spaceOf(held.lengthBytes);
    return bytes;
  }

  /** It was let go of on trial a short while ago; asked once. */
  takeGhost(name: string): boolean {
    return this.#ghosts.delete(name);
  }

  /** Lets go of what is older than its rule allows; returns how many that were. */
  expire(): number {
    let count = 0;
    for (const held of [...this.#shelf.segments.values()]) {
      const { ttlMs } = this.#policyOf(held);
      const ageMs = 1000 * (this.stamp - held.stamp);
      if (ttlMs === undefined || ageMs < ttlMs || this.#mustStay(held)) continue;
      this.#evict(held);
      count++;
    }
    return count;
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
    if (held.isOnTrial) this.#ghosts.add(segmentName(held.key));
    this.#shelf.remove(held);
    this.evictedCount++;
  }

  #spaceAtRank(): number[] {
    const sums = Array.from({ length: RANK_COUNT }, () => 0);
    for (const held of this.#shelf.segments.values()) {
      const rank = this.#rankOf(held);
      sums[rank] = (sums[rank] ?? 0) + spaceOf(held.lengthBytes);
    }
    return sums;
  }

  /** @throws cache_full */
  makeQuotaRoom(path: string, lengthBytes: number): void {
    const space = spaceOf(lengthBytes);
    const { quotas } = this.#retention.policyOf(this.#retention.groupOf(path));
    for (const quota of quotas) {
      const isInside = (other: string): boolean =>
        this.#retention
          .policyOf(this.#retention.groupOf(other))
          .quotas.some((each) => each.path === quota.path);
      const inside = [...this.#shelf.segments.values()].filter(({ key }) => isInside(key.path));
      let used = space;
      for (const held of inside) used += spaceOf(held.lengthBytes);
      for (const reserved of this.#shelf.reserved.values())
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
  makeRoom(space: number): void {
    const hasRoom = (): boolean => this.#shelf.takenBytes + space <= this.#shelf.capacityBytes;
    for (const rank of evictionSteps(this.#spaceAtRank(), this.#shelf.capacityBytes)) {
      if (hasRoom()) return;
      if (rank === RANK_MEDIUM) this.#evictOldest(space);
      else
        for (const held of [...this.#shelf.segments.values()])
          if (!hasRoom() && this.#mayGo(held, rank)) this.#evict(held);
    }
    if (hasRoom()) return;
    const { leasedBytes, pinnedBytes } = this;
    const { capacityBytes } = this.#shelf;
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
    let visitCount = this.#shelf.segments.size * (HEAT_MAX + 1);
    while (this.#shelf.takenBytes + space > this.#shelf.capacityBytes && visitCount-- > 0) {
      const [oldest] = this.#shelf.segments.values();
      if (!oldest) break;
      const isHot = oldest.heat > 0 && this.#rankOf(oldest) > RANK_LOW;
      if (!this.#mayGo(oldest, RANK_MEDIUM) || isHot) {
        oldest.heat = Math.max(0, oldest.heat - 1);
        this.#shelf.segments.delete(segmentName(oldest.key));
        this.#shelf.segments.set(segmentName(oldest.key), oldest);
      } else {
        this.#evict(oldest);
      }
    }
  }
}
