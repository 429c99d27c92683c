/** Whether this peer can do its work, and if not, why. */
import type { PeerId } from '../base/ids.ts';
import type { SegmentStore } from '../cache/segment-store.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import type { HealthService } from '../http/services.ts';

export interface HealthOptions {
  readonly self: PeerId;
  readonly state: () => ClusterState;
  readonly leader: () => PeerId | undefined;
  readonly store: SegmentStore;
  /** False while ports of clients are still to be opened. Absent: they are open. */
  readonly isOpen?: () => boolean;
}

export class NodeHealthService implements HealthService {
  readonly #options: HealthOptions;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  notReadyReasons(purpose: 'loads' | 'reads'): readonly string[] {
    const { self, state, leader, store, isOpen } = this.#options;
    const reasons: string[] = [];
    if (isOpen?.() === false) reasons.push('this peer is about to open its ports');
    if (!store.usage().directories.some((directory) => directory.state === 'ok')) {
      reasons.push('no cache directory is in service');
    }
    if (purpose === 'reads') return reasons;
    if (leader() === undefined) reasons.push('no leader is elected');
    const memberState = state().members.get(self)?.state;
    if (memberState === undefined) reasons.push('this peer is not a member yet');
    else if (memberState !== 'up') reasons.push(`this peer is ${memberState}`);
    return reasons;
  }
}
