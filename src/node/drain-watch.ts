/** When a member that drains may go: once every peer has brought placement in order without it. */
import type { PeerId } from '../base/ids.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import type { Member } from '../cluster/member.ts';
import type { OrderWatch } from './order-watch.ts';

export interface DrainWatchOptions {
  readonly self: PeerId;
  readonly order: OrderWatch;
  readonly state: () => ClusterState;
  /** Silence after which a member that drains is not waited for: what it alone has is lost. */
  readonly lostAfterMs: number;
}

export class DrainWatch {
  readonly #options: DrainWatchOptions;

  constructor(options: DrainWatchOptions) {
    this.#options = options;
  }

  /** Members to remove now; never this peer itself, which hands leadership over first. */
  async leavers(silenceMs: (member: Member) => number): Promise<readonly PeerId[]> {
    const { self, order, state, lostAfterMs } = this.#options;
    const { members } = state();
    const draining = [...members.values()].filter((member) => member.state === 'draining');
    if (draining.length === 0) return [];
    const lost = draining.filter((member) => silenceMs(member) >= lostAfterMs);
    if (lost.length > 0) return lost.map(({ id }) => id);
    if (!(await order.look())) return [];
    return draining.map(({ id }) => id).filter((id) => id !== self);
  }
}
