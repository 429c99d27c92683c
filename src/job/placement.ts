/** The cluster as the scheduler sees it: who owns what, and who can be talked to right now. */
import type { Epoch, PeerId } from '../base/ids.ts';

export interface Placement {
  readonly epoch: Epoch;
  /** Peers on the ring. */
  readonly memberCount: number;
  /** Bytes that all caches together can hold. */
  readonly capacityBytes: number;
  /** First `count` distinct owners of a segment, fewer on a smaller ring. */
  ownersOf(
    segment: { path: string; index: number; segmented: boolean },
    count: number,
  ): readonly PeerId[];
  /** Whether the peer owns keys, alive or suspect. */
  isOnRing(peer: PeerId): boolean;
  /** Whether a link to the peer is up. */
  isReachable(peer: PeerId): boolean;
}
