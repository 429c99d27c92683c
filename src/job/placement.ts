/** The cluster as the scheduler sees it: who owns what, and who can be talked to right now. */
import type { Epoch, PeerId } from '../base/ids.ts';

export interface Placement {
  readonly epoch: Epoch;
  /** What is resident lies with its owners; false while some of it may lie elsewhere. */
  readonly isInOrder: boolean;
  /** Peers on the ring. */
  readonly memberCount: number;
  /** Peers on the ring that are reachable. */
  readonly reachableCount: number;
  /** Bytes that all caches together can hold. */
  readonly capacityBytes: number;
  /** First `count` distinct owners of a segment, fewer on a smaller ring. */
  ownersOf(
    segment: { path: string; index: number; segmented: boolean },
    count: number,
  ): readonly PeerId[];
  /** Whether the peer owns keys, alive or suspect. */
  isOnRing(peer: PeerId): boolean;
  /**
   * Whether the peer, on the ring or draining, was heard lately. Why not whether its link is up this
   * instant: what it works on would be fetched a second time elsewhere for each link that breaks for
   * a moment.
   */
  isReachable(peer: PeerId): boolean;
}
