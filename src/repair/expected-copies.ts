/** What a change of the ring makes a file's first home copy, by the rings alone. */
import type { PeerId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import { lengthOf, segmentCountOf } from './plan-copies.ts';
import type { RepairPlacement } from './repair-network.ts';
import { NOTHING, plus, type Amount } from './repair-progress.ts';

/** Segments of one file that are looked at; of a larger one the rest is taken to be like them. */
const SAMPLE_MAX_COUNT = 256;

/** Copies that owners of the new ring need which were none before it. */
export function expectedCopies(
  record: FileRecord,
  placement: RepairPlacement,
  self: PeerId,
): Amount {
  const { path, replicaCount } = record;
  const homes = placement.ownersOf({ path, index: 0, segmented: true }, replicaCount);
  if (homes.find((home) => home === self || placement.isReachable(home)) !== self) return NOTHING;
  const count = segmentCountOf(record);
  const sampleCount = Math.min(count, SAMPLE_MAX_COUNT);
  let sum = NOTHING;
  for (let index = 0; index < sampleCount; index += 1) {
    const gained = gainedCount(record, index, placement);
    sum = plus(sum, { segments: gained, bytes: gained * lengthOf(record, index) });
  }
  if (sampleCount === count) return sum;
  const factor = count / sampleCount;
  return { segments: Math.round(sum.segments * factor), bytes: Math.round(sum.bytes * factor) };
}

function gainedCount(record: FileRecord, index: number, placement: RepairPlacement): number {
  const { path, segmented, replicaCount } = record;
  const segment = { path, index, segmented };
  const before = placement.ownersBefore(segment, replicaCount);
  if (before === undefined) return 0;
  return placement.ownersOf(segment, replicaCount).filter((owner) => !before.includes(owner))
    .length;
}
