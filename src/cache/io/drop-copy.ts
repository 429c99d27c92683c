/** Forgets one copy of a segment, in memory at once and on disk with the next group. */
import { NO_ENTRY } from '../segment-index.ts';
import type { SegmentKey } from '../segment-store.ts';
import { encodeDropRecord } from '../sidecar-format.ts';
import { isShortOfFiles } from './cache-io-error.ts';
import { recordName, type SegmentCopy, type StoreParts } from './store-parts.ts';

/** Writes down that the record at that place no longer counts. @throws cache_io */
export async function recordDrop(
  store: StoreParts,
  copy: Pick<SegmentCopy, 'region' | 'directory'>,
  recordOffset: number,
): Promise<void> {
  const { region, directory } = copy;
  store.records.delete(recordName(region, recordOffset));
  await directory.commits.commit({
    region,
    isAboutNewData: false,
    encode: () => encodeDropRecord(recordOffset, { salt: region.salt, crc32c: store.crc32c }),
  });
}

/**
 * Drops and counts a damaged copy, if it is still the one that is resident.
 * @param key told to whoever listens; absent: somebody else sees to it, or it is not known.
 */
export function dropDamaged(store: StoreParts, copy: SegmentCopy, key?: SegmentKey): void {
  const { slot, recordOffset } = copy.location;
  const id = store.table.findAt(copy.hash, slot, recordOffset);
  if (id === NO_ENTRY) return;
  store.table.kill(id);
  store.counters.corrupt++;
  copy.directory.logger.warn('dropped a damaged segment', {
    region: copy.region.id,
    offset: copy.location.offset,
  });
  recordDrop(store, copy, recordOffset).catch(() => undefined);
  if (key) store.listeners.onDamaged(key);
}

/** What the disk does not give back is as lost as what it gives back wrong. */
export function dropUnreadable(
  store: StoreParts,
  copy: SegmentCopy,
  error: unknown,
  key?: SegmentKey,
): void {
  // Why not then: it is all there, only nobody can look.
  if (!isShortOfFiles(error)) dropDamaged(store, copy, key);
}
