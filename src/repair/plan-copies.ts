/** Which owners lack which segments of a file, and who can give them. */
import type { PeerId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import { segmentKeyOf } from '../cache/segment-store.ts';
import type { CopyOrder, RepairNetwork, RepairPlacement } from './repair-network.ts';

/** Segments in one order: an order ends before another can be heard. */
const ORDER_MAX_COUNT = 8;
/** Peers past the owners that are asked too: after two changes of the ring data lies there. */
const NEIGHBOUR_COUNT = 2;

export interface CopyPlan {
  readonly orders: readonly (CopyOrder & { readonly to: PeerId })[];
  /** Segments that nobody who answered holds. */
  readonly missingCount: number;
  /** Somebody who matters did not answer: the file has to be looked at again. */
  readonly isWaiting: boolean;
}

interface Spot {
  readonly index: number;
  readonly owners: readonly PeerId[];
  /** Everybody who may hold the segment, owners first. */
  readonly candidates: readonly PeerId[];
}

/** Indexes that a peer holds of those it was asked about; absent: it did not answer. */
type Answers = Map<PeerId, ReadonlySet<number>>;

export function segmentCountOf(record: FileRecord): number {
  return Math.ceil(record.sizeBytes / record.segmentSizeBytes);
}

export function lengthOf({ sizeBytes, segmentSizeBytes }: FileRecord, index: number): number {
  return Math.min(segmentSizeBytes, sizeBytes - index * segmentSizeBytes);
}

/** Of the segments of an order. */
export function bytesOf({ record, indexes }: CopyOrder): number {
  return indexes.reduce((sum, index) => sum + lengthOf(record, index), 0);
}

export async function planCopies(
  record: FileRecord,
  indexes: readonly number[],
  placement: RepairPlacement,
  network: RepairNetwork,
): Promise<CopyPlan> {
  const spots = indexes.map((index) => spotOf(record, index, placement));
  const answers = await askAll(record, spots, placement, network);
  await askOthers(record, spots, answers, placement, network);
  const grouped = new Map<string, { to: PeerId; sources: readonly PeerId[]; indexes: number[] }>();
  let missingCount = 0;
  let isWaiting = false;
  for (const { index, owners, candidates } of spots) {
    const holders = [...new Set([...candidates, ...answers.keys()])].filter((peer) =>
      answers.get(peer)?.has(index),
    );
    const asked = holders.length === 0 ? candidates : owners;
    isWaiting ||= asked.some((peer) => !answers.has(peer));
    if (holders.length === 0) {
      missingCount += 1;
      continue;
    }
    for (const to of owners) {
      if (holders.includes(to) || !answers.has(to)) continue;
      const name = `${to} ${holders.join(' ')}`;
      const group = grouped.get(name) ?? { to, sources: holders, indexes: [] };
      group.indexes.push(index);
      grouped.set(name, group);
    }
  }
  const orders = [...grouped.values()].flatMap(({ to, sources, indexes: all }) =>
    chunks(all, ORDER_MAX_COUNT).map((part) => ({ to, record, sources, indexes: part })),
  );
  return { orders, missingCount, isWaiting };
}

function spotOf(record: FileRecord, index: number, placement: RepairPlacement): Spot {
  const { path, segmented, replicaCount } = record;
  const segment = { path, index, segmented };
  const near = placement.ownersOf(segment, replicaCount + NEIGHBOUR_COUNT);
  const former = placement.formerOwnersOf(segment, replicaCount);
  return {
    index,
    owners: near.slice(0, replicaCount),
    candidates: [...new Set([...near, ...former])],
  };
}

/**
 * Asks everybody else about what no candidate holds. After several changes of the ring at once
 * data lies far from its owners; the under store is not to be read for it.
 */
async function askOthers(
  record: FileRecord,
  spots: readonly Spot[],
  answers: Answers,
  placement: RepairPlacement,
  network: RepairNetwork,
): Promise<void> {
  const lost = spots.filter(
    ({ index, candidates }) => !candidates.some((peer) => answers.get(peer)?.has(index)),
  );
  if (lost.length === 0) return;
  const wider = lost.map(({ candidates, ...spot }) => ({
    ...spot,
    candidates: placement.members.filter((peer) => !candidates.includes(peer)),
  }));
  for (const [peer, held] of await askAll(record, wider, placement, network)) {
    answers.set(peer, new Set([...(answers.get(peer) ?? []), ...held]));
  }
}

/** Asks every reachable candidate once, about all of its segments. */
async function askAll(
  record: FileRecord,
  spots: readonly Spot[],
  placement: RepairPlacement,
  network: RepairNetwork,
): Promise<Answers> {
  const asked = new Map<PeerId, number[]>();
  for (const { index, candidates } of spots) {
    for (const peer of candidates) {
      const indexes = asked.get(peer) ?? [];
      indexes.push(index);
      asked.set(peer, indexes);
    }
  }
  const answers = new Map<PeerId, ReadonlySet<number>>();
  await Promise.all(
    [...asked].map(async ([peer, indexes]) => {
      if (!placement.isReachable(peer)) return;
      const keys = indexes.map((index) => segmentKeyOf(record, index));
      // Why not all or nothing: one peer that is slow to answer must not hold up the others.
      const held = await network.holds(peer, keys).catch(() => undefined);
      if (held) answers.set(peer, new Set(indexes.filter((_index, position) => held[position])));
    }),
  );
  return answers;
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < items.length; at += size) parts.push(items.slice(at, at + size));
  return parts;
}
