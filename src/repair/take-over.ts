/** What a home makes of records that another peer offers it. */
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';
import { isSameContent, mergeRecords, type JobOrder } from './record-order.ts';

export interface TakeOver {
  /** Records as they are stored now, where the offer was news. */
  readonly taken: readonly FileRecord[];
  /** Records that stand against what was offered: whoever offered is out of date. */
  readonly kept: readonly FileRecord[];
}

/**
 * Stores what is newer than the catalogue's own, durably.
 * @param isFreed a free came after the record: it is neither taken nor stands against another.
 */
export async function takeOver(
  catalog: FileCatalog,
  records: readonly FileRecord[],
  orderOf: JobOrder,
  isFreed: (record: FileRecord) => boolean = () => false,
): Promise<TakeOver> {
  const taken: FileRecord[] = [];
  const kept: FileRecord[] = [];
  for (const offered of records) {
    if (isFreed(offered)) continue;
    const found = await catalog.get(offered.path);
    const known = found && isFreed(found) ? undefined : found;
    const merged = known ? mergeRecords(known, offered, orderOf) : offered;
    if (merged !== known) taken.push(merged);
    const isStale =
      !isSameContent(merged, offered) ||
      merged.replicaCount !== offered.replicaCount ||
      merged.afterFree !== offered.afterFree;
    if (isStale) kept.push(merged);
  }
  if (taken.length > 0) await catalog.putAll(taken);
  // The free may have come meanwhile, and have looked for records before these were there.
  const late = taken.filter(isFreed).map(({ path }) => path);
  if (late.length > 0) await catalog.deleteAll(late);
  return { taken, kept };
}
