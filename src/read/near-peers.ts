/** Which peers a segment may lie with, by the ring or by what they say. */
import { RingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { ReadNetwork, ReadPlacement } from './read-network.ts';
import { keyOf, type SegmentSlice } from './segment-slice.ts';

/** Peers beyond the owners that are asked: after a change of the ring the old owners are next. */
const FORMER_OWNER_COUNT = 2;

/** The owners, and those who were or will be if the ring changes by one. */
export function nearOf(
  { record, index }: SegmentSlice,
  placement: ReadPlacement,
): readonly PeerId[] {
  const place = { path: record.path, index, segmented: record.segmented };
  return placement.ownersOf(place, record.replicaCount + FORMER_OWNER_COUNT);
}

/** Another peer, that can be asked now. */
export function isOther(placement: ReadPlacement, peer: PeerId): boolean {
  return peer !== placement.self && placement.isReachable(peer);
}

/** The first that says so. @throws not_found when nobody does */
export async function firstHolder(
  network: ReadNetwork,
  peers: readonly PeerId[],
  slice: SegmentSlice,
): Promise<PeerId> {
  const answers = peers.map(async (peer) => {
    const [isHeld] = await network.holds(peer, [keyOf(slice)]);
    if (isHeld !== true) throw new RingloadError('not_found', `${peer} does not hold it`);
    return peer;
  });
  return Promise.any(answers).catch(() => {
    throw new RingloadError('not_found', 'no member holds the segment');
  });
}
