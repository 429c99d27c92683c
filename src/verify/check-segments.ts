/** Asks the owners of a window of segments to read and check them, all owners at once. */
import type { PeerId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import type { Spot } from './spot.ts';
import type { SegmentList, VerifyNetwork, VerifyPlacement } from './verify-network.ts';

/** One request is answered when all of it was read: it must not take minutes. */
const REQUEST_MAX_COUNT = 64;
const REQUEST_MAX_BYTES = 64 * 1024 * 1024;

export async function checkSegments(
  spots: readonly Spot[],
  network: VerifyNetwork,
  placement: VerifyPlacement,
): Promise<void> {
  const byOwner = new Map<PeerId, Spot[]>();
  for (const spot of spots) {
    for (const owner of spot.owners) {
      const asked = byOwner.get(owner) ?? [];
      asked.push(spot);
      byOwner.set(owner, asked);
    }
  }
  await Promise.all(
    [...byOwner].map(async ([owner, asked]) => {
      for (const part of partsOf(asked)) await checkPart(owner, part, network, placement);
    }),
  );
}

async function checkPart(
  owner: PeerId,
  part: readonly Spot[],
  network: VerifyNetwork,
  placement: VerifyPlacement,
): Promise<void> {
  if (!placement.isReachable(owner)) return;
  try {
    const checks = await network.check(owner, listsOf(part));
    part.forEach((spot, position) => {
      const check = checks[position];
      if (check) spot.checks.set(owner, check);
    });
  } catch {
    // Why nothing: a copy of which nothing was said counts as unreachable.
  }
}

function* partsOf(spots: readonly Spot[]): Generator<readonly Spot[]> {
  let part: Spot[] = [];
  let bytes = 0;
  for (const spot of spots) {
    part.push(spot);
    bytes += spot.lengthBytes;
    if (part.length < REQUEST_MAX_COUNT && bytes < REQUEST_MAX_BYTES) continue;
    yield part;
    part = [];
    bytes = 0;
  }
  if (part.length > 0) yield part;
}

/** Segments of one file that follow each other share its record. */
function listsOf(spots: readonly Spot[]): SegmentList[] {
  const lists: { readonly record: FileRecord; readonly indexes: number[] }[] = [];
  for (const { record, index } of spots) {
    const last = lists.at(-1);
    if (last?.record === record) last.indexes.push(index);
    else lists.push({ record, indexes: [index] });
  }
  return lists;
}
