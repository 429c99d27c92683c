/** How a repairing peer reaches the others, and the rings that it compares. */
import type { Epoch, PeerId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import type { SegmentKey } from '../cache/segment-store.ts';

/** Asks an owner to copy segments of one file from peers that hold them. */
export interface CopyOrder {
  readonly record: FileRecord;
  readonly indexes: readonly number[];
  /** Tried in order, for each segment. */
  readonly sources: readonly PeerId[];
}

export interface RepairNetwork {
  holds(peer: PeerId, keys: readonly SegmentKey[]): Promise<readonly boolean[]>;
  /** Resolves with how many of the segments are there now. @throws peer_unreachable, … */
  copy(peer: PeerId, order: CopyOrder): Promise<number>;
  /**
   * Makes `peer` a home of these files; resolves with the records that it has instead, because
   * they are newer.
   */
  handOver(peer: PeerId, records: readonly FileRecord[]): Promise<readonly FileRecord[]>;
}

interface Place {
  readonly path: string;
  readonly index: number;
  readonly segmented: boolean;
}

export interface RepairPlacement {
  readonly epoch: Epoch;
  /** Everybody who may hold anything, reachable or not. */
  readonly members: readonly PeerId[];
  ownersOf(segment: Place, count: number): readonly PeerId[];
  /** Its owners before the last change of the ring; undefined when no other ring is known. */
  ownersBefore(segment: Place, count: number): readonly PeerId[] | undefined;
  /**
   * Where else a segment may lie: its owners before the last change of the ring, and members that
   * drain. Only peers that are reachable or expected back.
   */
  formerOwnersOf(segment: Place, count: number): readonly PeerId[];
  isReachable(peer: PeerId): boolean;
}
