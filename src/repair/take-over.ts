/** What a home makes of records that another peer offers it. */
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';
import { isSameContent, mergeRecords, type JobOrder } from './record-order.ts';

export interface TakeOver {
  /** Records as they are stored now, where the offer was news. */
  readonly taken: readonly FileRecord[];
  /** Records that stand against what was offered: whoever offered is out of date. */
  readonly kept: readonly FileRecord[];
}

/** Stores what is newer than the catalogue's own, durably. */
export async function takeOver(
  catalog: FileCatalog,
  records: readonly FileRecord[],
  orderOf: JobOrder,
): Promise<TakeOver> {
  const taken: FileRecord[] = [];
  const kept: FileRecord[] = [];
  for (const offered of records) {
    const known = await catalog.get(offered.path);
    const merged = known ? mergeRecords(known, offered, orderOf) : offered;
    if (merged !== known) taken.push(merged);
    const isStale = !isSameContent(merged, offered) || merged.replicaCount !== offered.replicaCount;
    if (isStale) kept.push(merged);
  }
  if (taken.length > 0) await catalog.putAll(taken);
  return { taken, kept };
}
