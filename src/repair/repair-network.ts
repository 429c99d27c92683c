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
  /** Makes `peer` a home of these files; a newer record that it has wins. */
  handOver(peer: PeerId, records: readonly FileRecord[]): Promise<void>;
}

export interface RepairPlacement {
  readonly epoch: Epoch;
  ownersOf(
    segment: { path: string; index: number; segmented: boolean },
    count: number,
  ): readonly PeerId[];
  /** Owners before the last change of the ring: where a moved segment lies. */
  formerOwnersOf(
    segment: { path: string; index: number; segmented: boolean },
    count: number,
  ): readonly PeerId[];
  isReachable(peer: PeerId): boolean;
}
