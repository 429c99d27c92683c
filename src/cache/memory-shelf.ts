/** What lies in a memory store, and the space that it takes. */
import type { JobId } from '../base/ids.ts';
import { spaceOf } from './layout.ts';
import { segmentName, type SegmentChecksums, type SegmentKey } from './segment-store.ts';

export interface HeldSegment {
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

/** Bytes written so far into an open reservation. */
export interface OpenReservation {
  readonly lengthBytes: number;
  readonly path: string;
  bytes: Uint8Array | undefined;
}

export class MemoryShelf {
  readonly capacityBytes: number;
  /** Oldest first. */
  readonly segments = new Map<string, HeldSegment>();
  /** By offset. */
  readonly reserved = new Map<number, OpenReservation>();
  /** Space of resident segments, of open reservations, and of what is gone but still read. */
  takenBytes = 0;

  constructor(capacityBytes: number) {
    this.capacityBytes = capacityBytes;
  }

  find(key: SegmentKey): HeldSegment | undefined {
    return this.segments.get(segmentName(key));
  }

  isResident(held: HeldSegment): boolean {
    return this.find(held.key) === held;
  }

  remove(held: HeldSegment): void {
    this.segments.delete(segmentName(held.key));
    if (held.readerCount === 0) this.takenBytes -= spaceOf(held.lengthBytes);
  }
}
