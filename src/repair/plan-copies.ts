/** Which owners lack which segments of a file, and who can give them. */
import type { PeerId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import type { SegmentKey } from '../cache/segment-store.ts';
import type { CopyOrder, RepairNetwork, RepairPlacement } from './repair-network.ts';

/** Segments in one order: an order ends before another can be heard. */
const ORDER_MAX_COUNT = 8;
/** Peers past the owners that are asked too: after two changes of the ring data lies there. */
const NEIGHBOUR_COUNT = 2;

export interface CopyPlan {
  readonly orders: readonly (CopyOrder & { readonly to: PeerId })[];
  /** Segments that nobody holds. */
  readonly missingCount: number;
}

export function segmentCountOf(record: FileRecord): number {
  return Math.ceil(record.sizeBytes / record.segmentSizeBytes);
}

export async function planCopies(
  record: FileRecord,
  indexes: readonly number[],
  placement: RepairPlacement,
  network: RepairNetwork,
): Promise<CopyPlan> {
  const { path, segmented, replicaCount } = record;
  const places = indexes.map((index) => {
    const segment = { path, index, segmented };
    const near = placement.ownersOf(segment, replicaCount + NEIGHBOUR_COUNT);
    const former = placement.formerOwnersOf(segment, replicaCount);
    const candidates = [...new Set([...near, ...former])].filter((peer) =>
      placement.isReachable(peer),
    );
    return { index, owners: near.slice(0, replicaCount), candidates };
  });
  const held = await askAll(record, places, network);
  const grouped = new Map<string, { to: PeerId; sources: readonly PeerId[]; indexes: number[] }>();
  let missingCount = 0;
  for (const { index, owners, candidates } of places) {
    const holders = candidates.filter((peer) => held.get(peer)?.has(index));
    if (holders.length === 0) {
      missingCount += 1;
      continue;
    }
    for (const to of owners) {
      if (holders.includes(to) || !placement.isReachable(to)) continue;
      const name = `${to} ${holders.join(' ')}`;
      const group = grouped.get(name) ?? { to, sources: holders, indexes: [] };
      group.indexes.push(index);
      grouped.set(name, group);
    }
  }
  const orders = [...grouped.values()].flatMap(({ to, sources, indexes: all }) =>
    chunks(all, ORDER_MAX_COUNT).map((part) => ({ to, record, sources, indexes: part })),
  );
  return { orders, missingCount };
}

/** Asks every candidate once, about all of its segments. */
async function askAll(
  record: FileRecord,
  places: readonly { readonly index: number; readonly candidates: readonly PeerId[] }[],
  network: RepairNetwork,
): Promise<Map<PeerId, Set<number>>> {
  const asked = new Map<PeerId, number[]>();
  for (const { index, candidates } of places) {
    for (const peer of candidates) asked.set(peer, [...(asked.get(peer) ?? []), index]);
  }
  const held = new Map<PeerId, Set<number>>();
  await Promise.all(
    [...asked].map(async ([peer, indexes]) => {
      const answers = await network.holds(
        peer,
        indexes.map((index) => keyOf(record, index)),
      );
      held.set(peer, new Set(indexes.filter((_index, position) => answers[position])));
    }),
  );
  return held;
}

export function keyOf({ path, version, segmentSizeBytes }: FileRecord, index: number): SegmentKey {
  return { path, version, segmentSizeBytes, index };
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < items.length; at += size) parts.push(items.slice(at, at + size));
  return parts;
}
