/** How a reader reaches the other peers; the node implements it over links and data endpoints. */
import type { PeerId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import type { SegmentKey } from '../cache/segment-store.ts';
import type { Piece, PieceWatch } from '../data/pieces.ts';

export interface ToldRecord {
  readonly record: FileRecord;
  /** As it is given back to that peer; absent: it does not tell. */
  readonly stands?: string;
}

export interface ReadNetwork {
  /** The record of a file at one of its homes. @throws peer_unreachable, deadline_exceeded */
  recordAt(peer: PeerId, path: string): Promise<FileRecord | undefined>;
  /** As `recordAt`, and by which mark of its own the peer would say the same again. */
  tellingRecordAt?(peer: PeerId, path: string): Promise<ToldRecord | undefined>;
  listAt(
    peer: PeerId,
    request: { root: string; after?: string; limit: number },
  ): Promise<readonly FileRecord[]>;
  /** Whether the peer is bringing that segment in. @throws peer_unreachable, deadline_exceeded */
  isLoading(peer: PeerId, key: SegmentKey): Promise<boolean>;
  /** Which of the segments the peer holds, in the order asked. */
  holds(peer: PeerId, keys: readonly SegmentKey[]): Promise<readonly boolean[]>;
  /**
   * Bytes `[offset, offset + length)` of a segment from that peer; with `fill` the peer reads it
   * through first. Resolves when the peer has begun to answer; with `via` the bytes themselves stay
   * in the thread that will send them. @throws not_found, peer_unreachable, ufs_*
   */
  openSegment(
    peer: PeerId,
    request: {
      readonly key: SegmentKey;
      readonly offset: number;
      readonly length: number;
      readonly fill?: { readonly lengthBytes: number; readonly fileSizeBytes: number };
    },
    signal: AbortSignal,
    watch?: PieceWatch,
  ): Promise<Piece>;
}

/** The ring as readers see it. */
export interface ReadPlacement {
  readonly self: PeerId;
  /** Members whose catalogues together list every cached file. */
  readonly members: readonly PeerId[];
  readonly ownersOf: (
    segment: { path: string; index: number; segmented: boolean },
    count: number,
  ) => readonly PeerId[];
  readonly isReachable: (peer: PeerId) => boolean;
}
