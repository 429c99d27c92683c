/** How a peer reaches the caches of all peers, its own included. */
import type { PeerId } from '../base/ids.ts';
import type { SegmentKey } from '../cache/segment-store.ts';
import type { CatalogueNetwork, CataloguePlacement } from '../verify/merged-catalogue.ts';
import type { FreedAmounts } from './report.ts';

export interface ResidenceNetwork extends CatalogueNetwork {
  /** In the order asked. @throws peer_unreachable, … */
  holds(peer: PeerId, keys: readonly SegmentKey[]): Promise<readonly boolean[]>;
  /** What the peer let go of for that free, once it has. @throws as above */
  freed(peer: PeerId, number: number, signal: AbortSignal): Promise<FreedAmounts>;
}

export interface ResidencePlacement extends CataloguePlacement {
  readonly members: readonly PeerId[];
  readonly isReachable: (peer: PeerId) => boolean;
}
