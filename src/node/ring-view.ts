/** The ring of the current epoch, as schedulers and readers want it, with who is reachable. */
import type { PeerId } from '../base/ids.ts';
import { isOnRing, isPresent } from '../cluster/member.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import type { Placement } from '../job/placement.ts';
import type { ReadPlacement } from '../read/read-network.ts';
import type { RepairPlacement } from '../repair/repair-network.ts';
import { placementKey } from '../ring/keys.ts';
import { Ring } from '../ring/ring.ts';

/** What links tell about other peers. */
export interface LinkView {
  isConnected(peer: PeerId): boolean;
  /** Connected now, or until a moment ago. */
  wasHeardLately(peer: PeerId): boolean;
}

export class RingView {
  readonly #self: PeerId;
  readonly #state: () => ClusterState;
  readonly #links: LinkView;
  #ring: Ring | undefined;
  #formerRing: Ring | undefined;

  constructor(self: PeerId, state: () => ClusterState, links: LinkView) {
    this.#self = self;
    this.#state = state;
    this.#links = links;
  }

  /** The ring of the state's epoch; rebuilt only when the epoch changed. */
  ring(): Ring {
    const { epoch, members } = this.#state();
    if (this.#ring?.epoch !== epoch) {
      const owners = [...members.values()].filter(isOnRing);
      const spec = {
        epoch,
        members: owners.map(({ id, weight, zone }) => ({ id, weight, zone })),
      };
      this.#formerRing = this.#ring;
      this.#ring = Ring.from(spec, this.#ring);
    }
    return this.#ring;
  }

  /** A value of its own for each change: a scheduler compares epochs and asks who is reachable. */
  placement(isInOrder: boolean): Placement {
    const ring = this.ring();
    const owners = [...this.#state().members.values()].filter(isOnRing);
    const ids = new Set(owners.map(({ id }) => id));
    const reachable = new Set(
      [...ids, ...this.#draining()].filter(
        (id) => id === this.#self || this.#links.wasHeardLately(id),
      ),
    );
    return {
      epoch: ring.epoch,
      isInOrder,
      memberCount: owners.length,
      reachableCount: [...ids].filter((id) => reachable.has(id)).length,
      capacityBytes: owners.reduce((sum, { capacityBytes }) => sum + capacityBytes, 0),
      ownersOf: (segment, count) => ring.ownersOf(placementKey(segment), count),
      isOnRing: (peer) => ids.has(peer),
      isReachable: (peer) => reachable.has(peer),
    };
  }

  repairPlacement(): RepairPlacement {
    const ring = this.ring();
    const former = this.#formerRing;
    const draining = this.#draining();
    const isReachable = (peer: PeerId): boolean =>
      peer === this.#self || this.#links.isConnected(peer);
    const isExpected = (peer: PeerId): boolean => isReachable(peer) || ring.has(peer);
    return {
      epoch: ring.epoch,
      members: this.#present(),
      ownersOf: (segment, count) => ring.ownersOf(placementKey(segment), count),
      ownersBefore: (segment, count) => former?.ownersOf(placementKey(segment), count),
      formerOwnersOf: (segment, count) => [
        ...(former?.ownersOf(placementKey(segment), count) ?? []).filter(isExpected),
        ...draining,
      ],
      isReachable,
    };
  }

  /** Members that hand over their data and can be reached. */
  drainingPeers(): PeerId[] {
    return this.#draining().filter((peer) => peer !== this.#self && this.#links.isConnected(peer));
  }

  #present(): PeerId[] {
    return [...this.#state().members.values()].filter(isPresent).map(({ id }) => id);
  }

  #draining(): PeerId[] {
    const members = [...this.#state().members.values()];
    return members.filter(({ state }) => state === 'draining').map(({ id }) => id);
  }

  readPlacement(): ReadPlacement {
    const ring = this.ring();
    return {
      self: this.#self,
      members: this.#present(),
      ownersOf: (segment, count) => ring.ownersOf(placementKey(segment), count),
      isReachable: (peer) => peer === this.#self || this.#links.isConnected(peer),
    };
  }
}
