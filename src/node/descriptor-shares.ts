/**
 * Who may have how many of the process's descriptors. Each part is bounded by itself, so that all
 * of them together leave room for links, logs and whatever else must never wait; clients get what
 * is left, by the number of the descriptor that a connection comes with.
 */
import type { GateBounds } from '../base/descriptors.ts';

/** What an idle peer has open, and what starts and ends: children, folders that are synced. */
const OWN_COUNT = 48;
/** What the serving thread has open beside connections: its loop, and files that it reads. */
const SERVING_COUNT = 12;

export interface DescriptorShares {
  /** Connections of lanes, of all threads together. */
  readonly lanes: number;
  /** Sockets of one mount that are no lanes. */
  readonly underStore: number;
  /** Sockets to data endpoints that are no lanes. */
  readonly readers: number;
  /** Region files that are kept open, and as many that lanes write into. */
  readonly regionFiles: number;
  /** Of them, those that the serving thread keeps open besides. */
  readonly servedFiles: number;
  /** Of the REST port. */
  readonly clientGate: GateBounds;
  /** Of the data endpoint: what peers ask for goes before what clients do. */
  readonly peerGate: GateBounds;
}

/** @param limit 256 or more; Infinity: there is none. */
export function descriptorShares(limit: number): DescriptorShares {
  const shared = limit - OWN_COUNT;
  const part = (share: number): number => Math.floor(shared * share);
  return {
    lanes: part(1 / 4) - SERVING_COUNT,
    underStore: part(1 / 8),
    readers: part(1 / 8),
    regionFiles: Math.min(256, part(1 / 16)),
    servedFiles: Math.min(256, part(1 / 32)),
    // Why lower by twice as much: what is refused needs a descriptor while it is told so.
    clientGate: {
      limit,
      refuseFrom: limit - part(1 / 4) - 2 * SERVING_COUNT,
      dropFrom: limit - part(1 / 8),
    },
    peerGate: { limit, refuseFrom: limit - part(1 / 8), dropFrom: limit - part(1 / 16) },
  };
}
