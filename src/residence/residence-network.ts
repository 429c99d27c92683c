/** How a peer reaches the caches of all peers, its own included. */
import type { PeerId } from '../base/ids.ts';
import type { SegmentKey } from '../cache/segment-store.ts';
import type { CatalogueNetwork, CataloguePlacement } from '../verify/merged-catalogue.ts';
import type { FreedAmounts } from './report.ts';

export interface FreeOrder {
  readonly path: string;
  /** Also what rules pin. */
  readonly evenPinned: boolean;
  /** `records`: forget that the files are cached; `segments`: let go of their bytes, too. */
  readonly what: 'records' | 'segments';
}

export interface ResidenceNetwork extends CatalogueNetwork {
  /** In the order asked. @throws peer_unreachable, … */
  holds(peer: PeerId, keys: readonly SegmentKey[]): Promise<readonly boolean[]>;
  /** @throws as above */
  free(peer: PeerId, order: FreeOrder, signal: AbortSignal): Promise<FreedAmounts>;
}

export interface ResidencePlacement extends CataloguePlacement {
  readonly members: readonly PeerId[];
  readonly isReachable: (peer: PeerId) => boolean;
}
