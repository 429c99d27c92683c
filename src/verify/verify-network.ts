/** How a verifying peer reaches the disks of all peers, its own included. */
import type { Epoch, PeerId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import type { SegmentCheck } from '../cache/segment-store.ts';

/** Segments of one file that lie on one peer. */
export interface SegmentList {
  readonly record: FileRecord;
  readonly indexes: readonly number[];
}

export interface RestoreOrder extends SegmentList {
  /** Peers whose copies were found sound, tried in order; the under store comes last. */
  readonly sources: readonly PeerId[];
}

export type Restored =
  | { readonly from: 'peer' | 'ufs'; readonly lengthBytes: number; readonly crc32c: number }
  | { readonly error: string };

export interface VerifyNetwork {
  /** Records at `root` and below, after `after`. @throws peer_unreachable, … */
  scan(
    peer: PeerId,
    request: { readonly root: string; readonly after?: string; readonly limit: number },
  ): Promise<readonly FileRecord[]>;
  /** Reads and checks; answers in the order asked. @throws as above */
  check(peer: PeerId, lists: readonly SegmentList[]): Promise<readonly SegmentCheck[]>;
  /** Answers in the order asked. @throws as above */
  restore(peer: PeerId, order: RestoreOrder): Promise<readonly Restored[]>;
  /** Makes `peer` know the record; false when it knows a newer one. @throws as above */
  restoreRecord(peer: PeerId, record: FileRecord): Promise<boolean>;
}

export interface VerifyPlacement {
  readonly epoch: Epoch;
  /** Peers whose catalogues together know every cached file. */
  readonly members: readonly PeerId[];
  readonly ownersOf: (
    segment: { path: string; index: number; segmented: boolean },
    count: number,
  ) => readonly PeerId[];
  readonly isOnRing: (peer: PeerId) => boolean;
  readonly isReachable: (peer: PeerId) => boolean;
}
