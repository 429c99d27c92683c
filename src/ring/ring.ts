/**
 * Placement: which peers own a key. An immutable value per epoch, the same on every peer.
 *
 * A ring is a pure function of its members; the epoch only names it. It owns no data and does not
 * know who is alive: the cluster state decides which members are given to it. Owners of a key are
 * the first distinct members from the key's point, so a longer list always starts with the shorter
 * one. Zones do not influence placement; they ride along for whoever chooses a source.
 *
 * Invariant: owners are distinct members, and there are min(count, members) of them.
 */
import type { Epoch, PeerId } from '../base/ids.ts';
import { invariant } from '../base/invariant.ts';
import { memberPoints, POINT_COUNT, pointOf, WEIGHT_MAX, WEIGHT_MIN } from './hash-points.ts';
import {
  collectOwners,
  firstIndexAt,
  keptPoints,
  MEMBER_MAX_COUNT,
  mergePacked,
  packedPoint,
  type PointTable,
} from './point-table.ts';

export interface RingMember {
  readonly id: PeerId;
  /** Relative capacity, 0.01 to 100; usually 1. */
  readonly weight: number;
  /** Failure domain, empty when unknown. */
  readonly zone: string;
}

export interface RingSpec {
  readonly epoch: Epoch;
  /** In any order, without duplicates, at most 65,535. */
  readonly members: readonly RingMember[];
}

export class Ring {
  readonly epoch: Epoch;
  /** In order of their ids (by UTF-16 code units). */
  readonly members: readonly RingMember[];
  readonly #table: PointTable;
  readonly #byId: ReadonlyMap<PeerId, RingMember>;
  readonly #scratch: Int32Array;
  #shares: ReadonlyMap<PeerId, number> | undefined;

  private constructor(epoch: Epoch, members: readonly RingMember[], table: PointTable) {
    this.epoch = epoch;
    this.members = members;
    this.#table = table;
    this.#byId = new Map(members.map((member) => [member.id, member]));
    this.#scratch = new Int32Array(members.length);
  }

  /**
   * @param previous any other ring: points of members that both have under the same weight are
   *   taken over, which makes a change of one member cheap in a large cluster. The result is the
   *   same with and without.
   * @throws InvariantError on a duplicate id or a weight out of bounds: the cluster state checks
   *   both before it admits a member.
   */
  static from(spec: RingSpec, previous?: Ring): Ring {
    const members = Object.freeze(
      spec.members.map((member) => Object.freeze({ ...member })).sort(byId),
    );
    checkMembers(members);
    const renumbered = previous ? renumber(previous.members, members) : new Int32Array(0);
    const kept = previous ? keptPoints(previous.#table, renumbered) : new Float64Array(0);
    const isKept = new Uint8Array(members.length);
    for (const index of renumbered) if (index >= 0) isKept[index] = 1;
    const added = sortedPoints(members, isKept);
    return new Ring(spec.epoch, members, mergePacked(kept, added));
  }

  /** The first `count` (an integer >= 0) owners of a key; fewer when there are fewer members. */
  ownersOf(key: string, count: number): PeerId[] {
    return this.ownersAt(pointOf(key), count);
  }

  /** As {@link ownersOf}, for a point that is known already (see `pointOf`). */
  ownersAt(point: number, count: number): PeerId[] {
    const wanted = Math.min(count, this.members.length);
    const into = this.#scratch.subarray(0, Math.max(0, wanted));
    const found = collectOwners(this.#table, firstIndexAt(this.#table, point), into);
    const owners: PeerId[] = [];
    for (let index = 0; index < found; index++) owners.push(this.#memberAt(into[index] ?? 0).id);
    return owners;
  }

  /** True when `id` is among the first `count` owners of the key. */
  isOwner(id: PeerId, key: string, count: number): boolean {
    return this.ownersOf(key, count).includes(id);
  }

  has(id: PeerId): boolean {
    return this.#byId.has(id);
  }

  /** Undefined when `id` is not on the ring. */
  memberOf(id: PeerId): RingMember | undefined {
    return this.#byId.get(id);
  }

  /** Each member's exact share of the ring as first owner; the shares sum to 1. */
  shares(): ReadonlyMap<PeerId, number> {
    return (this.#shares ??= this.#measureShares());
  }

  #measureShares(): ReadonlyMap<PeerId, number> {
    const { values, owners } = this.#table;
    const widths = new Float64Array(this.members.length);
    // The first point also owns what lies behind the last one.
    let before = (values[values.length - 1] ?? 0) - POINT_COUNT;
    for (let index = 0; index < values.length; index++) {
      const value = values[index] ?? 0;
      const owner = owners[index] ?? 0;
      widths[owner] = (widths[owner] ?? 0) + (value - before);
      before = value;
    }
    return new Map(
      this.members.map((member, index) => [member.id, (widths[index] ?? 0) / POINT_COUNT]),
    );
  }

  /** The points themselves, for {@link diffRings} and tests; never to be written to. */
  get table(): PointTable {
    return this.#table;
  }

  #memberAt(index: number): RingMember {
    const member = this.members[index];
    invariant(member, `ring point of member ${index} of ${this.members.length}`);
    return member;
  }
}

function byId(left: RingMember, right: RingMember): number {
  if (left.id === right.id) return 0;
  return left.id < right.id ? -1 : 1;
}

function checkMembers(members: readonly RingMember[]): void {
  invariant(members.length <= MEMBER_MAX_COUNT, `a ring of ${members.length} members`);
  members.forEach(({ id, weight }, index) => {
    invariant(members[index - 1]?.id !== id, `member '${id}' is on the ring twice`);
    invariant(
      weight >= WEIGHT_MIN && weight <= WEIGHT_MAX,
      `weight ${weight} of member '${id}' is not within ${WEIGHT_MIN} and ${WEIGHT_MAX}`,
    );
  });
}

/** For each old member its new index, or -1 when it is gone or has another weight. */
function renumber(before: readonly RingMember[], after: readonly RingMember[]): Int32Array {
  const indexes = new Map(after.map((member, index) => [member.id, index]));
  return Int32Array.from(before, ({ id, weight }) => {
    const index = indexes.get(id) ?? -1;
    return after[index]?.weight === weight ? index : -1;
  });
}

/** Packed points of every member not marked in `isKept`, ascending. */
function sortedPoints(members: readonly RingMember[], isKept: Uint8Array): Float64Array {
  const packed: number[] = [];
  members.forEach(({ id, weight }, owner) => {
    if (isKept[owner] === 1) return;
    for (const value of memberPoints(id, weight)) packed.push(packedPoint(value, owner));
  });
  return Float64Array.from(packed).sort();
}
