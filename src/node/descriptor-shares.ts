/**
 * Who may have how many of the process's descriptors. Each part is bounded by itself, so that all
 * of them together leave room for links, logs and whatever else must never wait; clients get what
 * is left.
 */
import type { GateBounds } from '../base/descriptors.ts';

/** What an idle peer has open, and what starts and ends: children, folders that are synced. */
const OWN_COUNT = 48;
/** What both serving threads have open beside connections: their loops, and files that they read. */
const SERVING_COUNT = 24;

export interface DescriptorShares {
  /** Connections of lanes, of all threads together. */
  readonly lanes: number;
  /** Sockets of one mount that are no lanes. */
  readonly underStore: number;
  /** Sockets to data endpoints that are no lanes: of this thread and the one for S3, half each. */
  readonly readers: number;
  /** Region files that are kept open, and as many that lanes write into. */
  readonly regionFiles: number;
  /** Those that the serving threads keep open besides, half each. */
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
  const lanes = part(1 / 4) - SERVING_COUNT;
  const readers = part(1 / 8);
  const regionFiles = Math.min(256, part(1 / 16));
  const peers = part(1 / 16);
  // What is refused has a descriptor while it is told so.
  const refused = part(1 / 8);
  const kept = OWN_COUNT + SERVING_COUNT + lanes + readers + 2 * regionFiles + peers + refused;
  return {
    lanes,
    underStore: part(1 / 8),
    readers,
    regionFiles,
    servedFiles: Math.min(256, part(1 / 32)),
    clientGate: {
      limit,
      refuseFrom: limit - part(1 / 4),
      dropFrom: limit - part(1 / 8),
      maxCount: limit === Infinity ? Infinity : limit - kept,
    },
    peerGate: { limit, refuseFrom: limit - part(1 / 8), dropFrom: limit - part(1 / 16) },
  };
}
