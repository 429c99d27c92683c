/**
 * One region of a cache directory as bookkeeping: how far it is filled, which holes aborted
 * reservations and alignment left, and how many users forbid to reclaim it. No I/O.
 *
 * Invariant: extents handed out never overlap, except that one that was given back may be handed
 * out again.
 */
import { invariant } from '../base/invariant.ts';
import { placeAfter, spaceOf } from './layout.ts';

/**
 * `free`: holds nothing; `open`: being filled; `sealed`: full; `draining`: emptied, but still read;
 * `abandoned`: a sync failed, so it is only read until the next start.
 */
export type RegionState = 'free' | 'open' | 'sealed' | 'draining' | 'abandoned';

/** Holes remembered per region; beyond it the space waits for the region to be reclaimed. */
const HOLE_MAX_COUNT = 1024;

/** Where a new segment goes. */
export interface Place {
  readonly region: Region;
  readonly offset: number;
}

interface Hole {
  offset: number;
  space: number;
}

export class Region {
  /** Number among all regions of the store. */
  readonly slot: number;
  readonly directoryIndex: number;
  /** Number in its directory, also in the names of its files. */
  readonly id: number;
  readonly sizeBytes: number;
  state: RegionState = 'free';
  /** Position in the order in which the directory's regions were filled. */
  sequence = 0;
  /** Seed of its records' checksums, new with every reset. */
  salt = 0;
  /** Length of the valid part of the sidecar. */
  recordTail = 0;
  /** Whether its data file has its full size on the disk. */
  isAllocated = false;
  /** Part of the sidecar taken by notes about leases. */
  noteBytes = 0;
  /** Readers, reservations, flushes and scans that need the region as it is. */
  pinCount = 0;
  /** By rank, what of the region is to be kept by who evicts up to it, and when that was counted. */
  readonly keptSpace: { bytes: number; atReleaseCount: number }[] = [];
  #tail = 0;
  #holes: Hole[] = [];

  constructor(place: { slot: number; directoryIndex: number; id: number; sizeBytes: number }) {
    this.slot = place.slot;
    this.directoryIndex = place.directoryIndex;
    this.id = place.id;
    this.sizeBytes = place.sizeBytes;
  }

  /** Bytes after the last extent. */
  get tailSpace(): number {
    return this.sizeBytes - this.#tail;
  }

  /** A place for a segment, or undefined when there is none. */
  allocate(lengthBytes: number): number | undefined {
    const space = spaceOf(lengthBytes);
    const fromHole = this.#takeHole(lengthBytes, space);
    if (fromHole !== undefined) return fromHole;
    const offset = placeAfter(this.#tail, lengthBytes);
    if (offset + space > this.sizeBytes) return undefined;
    this.#addHole({ offset: this.#tail, space: offset - this.#tail });
    this.#tail = offset + space;
    return offset;
  }

  /** Takes back what a reservation did not use. */
  giveBack(offset: number, lengthBytes: number): void {
    const space = spaceOf(lengthBytes);
    invariant(offset + space <= this.#tail, `extent at ${offset} was handed out`);
    if (space === 0) return;
    if (offset + space === this.#tail) {
      this.#tail = offset;
      this.#mergeTail();
    } else {
      this.#addHole({ offset, space });
    }
  }

  /** Marks everything before the end of that extent as used. */
  extendTail(offset: number, lengthBytes: number): void {
    this.#tail = Math.max(this.#tail, offset + spaceOf(lengthBytes));
  }

  /** Empties the bookkeeping. */
  clear(): void {
    invariant(this.pinCount === 0, `region ${this.id} has no users when it is cleared`);
    this.#tail = 0;
    this.#holes = [];
    this.recordTail = 0;
    this.noteBytes = 0;
    this.keptSpace.length = 0;
  }

  #takeHole(lengthBytes: number, space: number): number | undefined {
    for (const [position, hole] of this.#holes.entries()) {
      const offset = placeAfter(hole.offset, lengthBytes);
      const end = offset + space;
      if (end > hole.offset + hole.space || space === 0) continue;
      const before = { offset: hole.offset, space: offset - hole.offset };
      const after = { offset: end, space: hole.offset + hole.space - end };
      const rest = [before, after].filter((part) => part.space > 0);
      this.#holes.splice(position, 1, ...rest);
      return offset;
    }
    return undefined;
  }

  #addHole(hole: Hole): void {
    if (hole.space > 0 && this.#holes.length < HOLE_MAX_COUNT) this.#holes.push(hole);
  }

  /** A hole that touches the tail joins it. */
  #mergeTail(): void {
    for (;;) {
      const position = this.#holes.findIndex((hole) => hole.offset + hole.space === this.#tail);
      const hole = this.#holes[position];
      if (!hole) return;
      this.#tail = hole.offset;
      this.#holes.splice(position, 1);
    }
  }
}
