/** Records of files at their homes: the peers that own what a file begins with. */
import type { PeerId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import type { ReadNetwork, ReadPlacement, ToldRecord } from './read-network.ts';

/** A home that says, when it is asked with this text, whether its record is still the same. */
export interface TellingHome {
  readonly peer: PeerId;
  readonly stands: string;
}

export interface HomeSearch {
  readonly network: Pick<ReadNetwork, 'recordAt' | 'tellingRecordAt'>;
  readonly placement: ReadPlacement;
  readonly isFreed: (record: FileRecord) => boolean;
}

/** Homes that are asked for a record: the most replicas that are usual, and former owners. */
const HOME_MAX_COUNT = 5;

/** Of the first other home that can be reached and knows the file. */
export async function recordAtHomes(
  { network, placement, isFreed }: HomeSearch,
  path: string,
): Promise<{ readonly record: FileRecord; readonly home?: TellingHome } | undefined> {
  const homes = placement
    .ownersOf({ path, index: 0, segmented: true }, HOME_MAX_COUNT)
    .filter((peer) => peer !== placement.self);
  for (const peer of homes) {
    if (!placement.isReachable(peer)) continue;
    const found = await recordAt(network, peer, path).catch(() => undefined);
    if (!found || isFreed(found.record)) continue;
    const { record, stands } = found;
    // Why the first only: who is asked before this one may know of another record by then.
    const isFirst = peer === homes[0] && isHome(placement, record, peer);
    return { record, ...(isFirst && stands !== undefined && { home: { peer, stands } }) };
  }
  return undefined;
}

/** Homes hear of every change of the record. */
export function isHome(
  placement: ReadPlacement,
  { path, replicaCount }: FileRecord,
  peer: PeerId,
): boolean {
  return placement.ownersOf({ path, index: 0, segmented: true }, replicaCount).includes(peer);
}

async function recordAt(
  network: HomeSearch['network'],
  peer: PeerId,
  path: string,
): Promise<ToldRecord | undefined> {
  if (network.tellingRecordAt) return network.tellingRecordAt(peer, path);
  const record = await network.recordAt(peer, path);
  return record && { record };
}
