/** A peer that the cluster has admitted, as every peer knows it. */
import type { PeerId, RaftId } from '../base/ids.ts';

/**
 * `joining`: admitted, not yet announced. `suspect` keeps its place on the ring; `down` does not.
 * `draining` hands its data over before it leaves; `left` never comes back under that id.
 */
export type MemberState = 'joining' | 'up' | 'suspect' | 'down' | 'draining' | 'left';

export interface Member {
  readonly id: PeerId;
  readonly raftId: RaftId;
  /** `host:port` of the REST port, which also takes peer links. */
  readonly address: string;
  /** `http://host:port` of the data endpoint; empty before the first announcement. */
  readonly dataEndpoint: string;
  /** Share of the ring relative to the others, above 0. */
  readonly weight: number;
  readonly zone: string;
  /** Bytes that the peer's cache can hold. */
  readonly capacityBytes: number;
  /** Start generation of the process that announced itself last. */
  readonly generation: number;
  readonly state: MemberState;
  /** Wall-clock milliseconds of the last change of `state`: for display only. */
  readonly stateSinceMs: number;
}

/** What a peer tells about itself. */
export interface Announcement {
  readonly id: PeerId;
  readonly address: string;
  readonly dataEndpoint: string;
  readonly weight: number;
  readonly zone: string;
  readonly capacityBytes: number;
  readonly generation: number;
}

/** Whether the ring gives the member keys to own. */
export function isOnRing(member: Member): boolean {
  return member.state === 'up' || member.state === 'suspect';
}

/** Whether the member still belongs to the cluster, alive or not. */
export function isPresent(member: Member): boolean {
  return member.state !== 'left';
}
