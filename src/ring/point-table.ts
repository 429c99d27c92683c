/**
 * The sorted points of a ring in two typed arrays (6 bytes a point), and the walk along them.
 *
 * Owns the order of points: by value, ties by member index. Members are numbered by the order of
 * their ids, so the table does not depend on the order in which members were given.
 */
import { POINT_COUNT } from './hash-points.ts';

/** Most members of a ring: an owner is stored in 16 bits. */
export const MEMBER_MAX_COUNT = 65_535;

const OWNER_BASE = 65_536;

/** Longest list of owners that is searched one by one. */
const SCAN_MAX_COUNT = 32;

export interface PointTable {
  /** Ascending. */
  readonly values: Uint32Array;
  /** `owners[i]` is the index of the member that `values[i]` belongs to. */
  readonly owners: Uint16Array;
}

/** Points and owner in one double (48 bits used), whose numeric order is the table's order. */
export function packedPoint(value: number, owner: number): number {
  return value * OWNER_BASE + owner;
}

/** The union of two ascending lists of packed points. */
export function mergePacked(left: Float64Array, right: Float64Array): PointTable {
  const count = left.length + right.length;
  const values = new Uint32Array(count);
  const owners = new Uint16Array(count);
  let leftIndex = 0;
  let rightIndex = 0;
  for (let index = 0; index < count; index++) {
    const fromLeft = left[leftIndex] ?? Number.POSITIVE_INFINITY;
    const fromRight = right[rightIndex] ?? Number.POSITIVE_INFINITY;
    const packed = fromLeft < fromRight ? fromLeft : fromRight;
    if (fromLeft < fromRight) leftIndex++;
    else rightIndex++;
    const value = Math.floor(packed / OWNER_BASE);
    values[index] = value;
    owners[index] = packed - value * OWNER_BASE;
  }
  return { values, owners };
}

/**
 * The points of a table that stay, packed. `renumbered[old]` is a member's new index, or -1 when
 * it goes; it has to be ascending over those that stay.
 */
export function keptPoints(table: PointTable, renumbered: Int32Array): Float64Array {
  const kept = new Float64Array(table.values.length);
  let count = 0;
  for (let index = 0; index < table.values.length; index++) {
    const owner = renumbered[table.owners[index] ?? 0] ?? -1;
    if (owner >= 0) kept[count++] = packedPoint(table.values[index] ?? 0, owner);
  }
  return kept.subarray(0, count);
}

/** Index of the first point at or after `point`, going round: 0 when there is none. */
export function firstIndexAt(table: PointTable, point: number): number {
  const { values } = table;
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] ?? POINT_COUNT) < point) low = middle + 1;
    else high = middle;
  }
  return low === values.length ? 0 : low;
}

/**
 * Writes the first distinct owners from position `start` on, going round, into `into` and returns
 * how many. `into` must not be longer than the number of members of the table.
 */
export function collectOwners(table: PointTable, start: number, into: Int32Array): number {
  const { owners } = table;
  const total = owners.length;
  // Why two ways: for the usual few replicas a scan of what was found beats any set.
  const seen = into.length > SCAN_MAX_COUNT ? new Set<number>() : undefined;
  let found = 0;
  for (let step = 0, index = start; step < total && found < into.length; step++) {
    const owner = owners[index] ?? 0;
    if (!(seen ? seen.has(owner) : includes(into, found, owner))) {
      into[found++] = owner;
      seen?.add(owner);
    }
    if (++index === total) index = 0;
  }
  return found;
}

function includes(list: Int32Array, count: number, value: number): boolean {
  for (let index = 0; index < count; index++) if (list[index] === value) return true;
  return false;
}
