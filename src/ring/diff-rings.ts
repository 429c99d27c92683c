/**
 * What changes between two rings: the ranges of the hash space whose owner list differs, and how
 * much data that is. Re-replication walks what is resident, looks each key's point up in the diff
 * and copies to the owners gained; everything outside the ranges stays where it is.
 */
import type { PeerId } from '../base/ids.ts';
import { invariant } from '../base/invariant.ts';
import { POINT_COUNT } from './hash-points.ts';
import { collectOwners, type PointTable } from './point-table.ts';
import type { Ring } from './ring.ts';

/** One range of points under one change of owners. */
export interface RangeChange {
  /** First point of the range, inclusive. */
  readonly start: number;
  /** Last point of the range, inclusive; ranges never go round. */
  readonly end: number;
  /** Owners before, in order. */
  readonly from: readonly PeerId[];
  /** Owners after, in order. */
  readonly to: readonly PeerId[];
  /** Owners that need a copy: in `to`, not in `from`. */
  readonly gained: readonly PeerId[];
}

export interface RingDiff {
  /** Ascending, disjoint; neighbours with the same change are one range. */
  readonly ranges: readonly RangeChange[];
  /** Part of the hash space whose owner list differs, order included: 0 to 1. */
  readonly changedShare: number;
  /** Data to copy, in copies of the whole data set: 0 to the replica count. */
  readonly movedShare: number;
}

/** @param replicaCount owners of a key that count, 1 or more. */
export function diffRings(before: Ring, after: Ring, replicaCount: number): RingDiff {
  invariant(replicaCount >= 1, `a ring diff over ${replicaCount} replicas`);
  const from = new OwnerCursor(before, replicaCount);
  const to = new OwnerCursor(after, replicaCount);
  const indexBefore = new Map(before.members.map(({ id }, index) => [id, index]));
  const sameMember = Int32Array.from(after.members, ({ id }) => indexBefore.get(id) ?? -1);
  const ranges: RangeChange[] = [];
  for (let start = 0; start < POINT_COUNT;) {
    from.moveTo(start);
    to.moveTo(start);
    const end = Math.min(from.rangeEnd, to.rangeEnd);
    if (!sameOwners(from, to, sameMember)) append(ranges, start, end, from, to);
    start = end + 1;
  }
  return { ranges, ...sharesOf(ranges) };
}

/** The change that a key's point lies in; undefined when its owners stay. */
export function changeAt(diff: RingDiff, point: number): RangeChange | undefined {
  let low = 0;
  let high = diff.ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const range = diff.ranges[middle];
    if (range && range.end < point) low = middle + 1;
    else high = middle;
  }
  const found = diff.ranges[low];
  return found && found.start <= point ? found : undefined;
}

/** Walks a ring's points upwards and knows the owners of the range it stands in. */
class OwnerCursor {
  readonly #ring: Ring;
  readonly #table: PointTable;
  readonly #owners: Int32Array;
  #index = 0;
  #stale = true;
  count = 0;

  constructor(ring: Ring, replicaCount: number) {
    this.#ring = ring;
    this.#table = ring.table;
    this.#owners = new Int32Array(Math.min(replicaCount, ring.members.length));
  }

  /** `start` never goes back. */
  moveTo(start: number): void {
    const { values } = this.#table;
    while (this.#index < values.length && (values[this.#index] ?? 0) < start) {
      this.#index++;
      this.#stale = true;
    }
    if (!this.#stale) return;
    // Behind the last point the ring goes round to the first.
    const position = this.#index === values.length ? 0 : this.#index;
    this.count = collectOwners(this.#table, position, this.#owners);
    this.#stale = false;
  }

  /** Last point with the same owners as where the cursor stands. */
  get rangeEnd(): number {
    return this.#table.values[this.#index] ?? POINT_COUNT - 1;
  }

  /** Index of the owner in its ring's members, -1 past the last. */
  ownerAt(position: number): number {
    return position < this.count ? (this.#owners[position] ?? -1) : -1;
  }

  ids(): PeerId[] {
    const ids: PeerId[] = [];
    for (let position = 0; position < this.count; position++) {
      const member = this.#ring.members[this.ownerAt(position)];
      if (member) ids.push(member.id);
    }
    return ids;
  }
}

/** @param sameMember index before, or -1, of each member after. */
function sameOwners(from: OwnerCursor, to: OwnerCursor, sameMember: Int32Array): boolean {
  if (from.count !== to.count) return false;
  for (let position = 0; position < to.count; position++) {
    if (sameMember[to.ownerAt(position)] !== from.ownerAt(position)) return false;
  }
  return true;
}

function append(
  ranges: RangeChange[],
  start: number,
  end: number,
  fromCursor: OwnerCursor,
  toCursor: OwnerCursor,
): void {
  const from = fromCursor.ids();
  const to = toCursor.ids();
  const last = ranges.at(-1);
  if (last?.end === start - 1 && sameIds(last.from, from) && sameIds(last.to, to)) {
    ranges[ranges.length - 1] = { ...last, end };
    return;
  }
  ranges.push({ start, end, from, to, gained: to.filter((id) => !from.includes(id)) });
}

function sameIds(left: readonly PeerId[], right: readonly PeerId[]): boolean {
  return left.length === right.length && left.every((id, index) => id === right[index]);
}

function sharesOf(ranges: readonly RangeChange[]): { changedShare: number; movedShare: number } {
  let changed = 0;
  let moved = 0;
  for (const { start, end, gained } of ranges) {
    const width = end - start + 1;
    changed += width;
    moved += width * gained.length;
  }
  return { changedShare: changed / POINT_COUNT, movedShare: moved / POINT_COUNT };
}
