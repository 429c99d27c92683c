/**
 * Second copies of a segment met while recovering. Which copy counts is known only at the end: a
 * later record may say that the first one was dropped, and directories are read side by side.
 *
 * Invariant: a key is resident afterwards if at least one of its copies was not dropped.
 */
import type { JobId } from '../../base/ids.ts';
import { NO_ENTRY } from '../segment-index.ts';
import type { NewSegment, SegmentTable } from '../segment-table.ts';

export interface Duplicate {
  readonly segment: NewSegment;
  readonly directoryIndex: number;
  readonly leases: Set<JobId>;
  isDropped: boolean;
}

/** Makes the copy that counts resident, with the leases of all of them. */
export function resolveDuplicates(
  table: SegmentTable,
  duplicates: readonly Duplicate[],
  directoryIndexOf: (slot: number) => number,
): void {
  for (const { segment, directoryIndex, leases, isDropped } of duplicates) {
    if (isDropped) continue;
    const resident = table.index.find(segment.hash);
    const isLater =
      resident === NO_ENTRY || directoryIndexOf(table.index.slotOf(resident)) === directoryIndex;
    // Why later: within a directory the records were met in the order of their regions.
    if (isLater) table.put(segment);
    const id = table.index.find(segment.hash);
    for (const job of leases) table.lease(id, job);
  }
}
