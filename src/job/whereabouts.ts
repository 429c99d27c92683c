/** Where units belong, where they may lie, and who can be reached, by the ring of the moment. */
import type { PeerId } from '../base/ids.ts';
import type { Placement } from './placement.ts';
import { taskFor, type Unit } from './unit.ts';

export class Whereabouts {
  readonly #shape: { readonly replicaCount: number; readonly segmented: boolean };
  #placement: Placement;
  /** Segments may lie at peers that are no owners: of an earlier ring, or an earlier run. */
  #askPeersFirst: boolean;

  constructor(options: {
    shape: { readonly replicaCount: number; readonly segmented: boolean };
    placement: Placement;
    askPeersFirst: boolean;
  }) {
    this.#shape = options.shape;
    this.#placement = options.placement;
    this.#askPeersFirst = options.askPeersFirst;
  }

  get placement(): Placement {
    return this.#placement;
  }

  move(placement: Placement): void {
    if (placement.epoch !== this.#placement.epoch) this.#askPeersFirst = true;
    this.#placement = placement;
  }

  /**
   * Whether copies may be made from there, now or later. Why not from everybody who holds it: who is
   * off the ring and out of reach may never come back, and to wait for it has no end.
   */
  isSource(peer: PeerId): boolean {
    return this.#placement.isOnRing(peer) || this.#placement.isReachable(peer);
  }

  ownersOf(unit: Unit): readonly PeerId[] {
    return this.#firstOf(unit, this.#shape.replicaCount);
  }

  /** Its owners, and those that follow on the ring: they were owners, or would be. */
  nearOf(unit: Unit): readonly PeerId[] {
    return this.#firstOf(unit, this.#shape.replicaCount + 2);
  }

  /** Owners that do not hold it and could begin now. */
  freeOwnersOf(unit: Unit): readonly PeerId[] {
    return unit.owners.filter(
      (owner) =>
        !unit.holders.includes(owner) &&
        !taskFor(unit, owner) &&
        this.#placement.isReachable(owner),
    );
  }

  /** Peers where a segment may already lie: who never answered, its owners, the next on the ring. */
  likelyHoldersOf(unit: Unit, except: PeerId): PeerId[] {
    if (!this.#askPeersFirst && unit.tried.length === 0) return [];
    const near = this.#askPeersFirst ? this.nearOf(unit) : [];
    return this.reachable(new Set([...unit.tried, ...near])).filter((peer) => peer !== except);
  }

  reachable(peers: Iterable<PeerId>): PeerId[] {
    return [...peers].filter((peer) => this.#placement.isReachable(peer));
  }

  #firstOf(unit: Unit, count: number): readonly PeerId[] {
    const { path } = unit.file.object;
    const { segmented } = this.#shape;
    return this.#placement.ownersOf({ path, index: Math.max(0, unit.index), segmented }, count);
  }
}
