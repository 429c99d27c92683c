/**
 * Moves one segment to another region of its directory, checking every block on the way. The old
 * place counts until the new one is durable; a damaged segment is dropped instead.
 */
import { failpoint } from '../../base/failpoint.ts';
import { isSameHash } from '../key-hash.ts';
import { READ_CHUNK_BYTES } from '../read-room.ts';
import type { Place } from '../region.ts';
import type { EntryId } from '../segment-index.ts';
import { decodeBody, encodeSegmentRecord, type SegmentRecord } from '../sidecar-format.ts';
import type { CacheDirectory } from './cache-directory.ts';
import { dropDamaged, recordDrop } from './drop-copy.ts';
import { readBlocks } from './segment-blocks.ts';
import type { SegmentCopy, StoreParts } from './store-parts.ts';

interface Move {
  readonly id: EntryId;
  readonly place: Place;
  readonly directory: CacheDirectory;
  readonly store: StoreParts;
  /** Entries still in the region that is emptied; a moved one leaves the set. */
  readonly remaining: Set<EntryId>;
}

/** @throws cache_io when the new place cannot be written. */
export async function moveSegment(move: Move): Promise<void> {
  const { id, place, directory, store } = move;
  const location = store.table.locationOf(id);
  const region = store.regions[location.slot];
  if (!region || !store.table.index.isLive(id)) return;
  const hash = store.table.index.hashOf(id);
  const copy: SegmentCopy = { hash, location, region, directory };
  const record = await readSource(copy);
  if (!record || !(await copyBlocks(move, copy, record))) {
    place.region.giveBack(place.offset, store.table.index.lengthOf(id));
    dropDamaged(store, copy, record && decodeBody(record).key);
    return;
  }
  failpoint('cache.segment.copied');
  await commitMove(move, record);
}

/** Undefined when the record is damaged, of another segment, or cannot be read. */
async function readSource(copy: SegmentCopy): Promise<SegmentRecord | undefined> {
  const { directory, region, location } = copy;
  try {
    const record = await directory.attempt(`read a record of region ${region.id}`, () =>
      directory.files.readRecord(region, location.recordOffset),
    );
    const isOurs = record?.offset === location.offset && isSameHash(record.hash, copy.hash);
    return isOurs ? record : undefined;
  } catch {
    return undefined;
  }
}

/** False when the source is damaged or cannot be read. */
async function copyBlocks(move: Move, copy: SegmentCopy, record: SegmentRecord): Promise<boolean> {
  const { place, directory, store } = move;
  const { blockCrc32c } = decodeBody(record);
  const { region, location } = copy;
  const source = { ...record, offset: location.offset, directory, region, blockCrc32c };
  for (let start = 0; start < record.lengthBytes; start += READ_CHUNK_BYTES) {
    const end = Math.min(record.lengthBytes, start + READ_CHUNK_BYTES);
    const bytes = await readBlocks(source, start, end, store).catch(() => undefined);
    if (!bytes) return false;
    await directory.attempt(`write region ${place.region.id}`, () =>
      directory.files.writeData(place.region, bytes, place.offset + start),
    );
    store.chunks.giveBack(bytes);
  }
  return true;
}

async function commitMove(move: Move, record: SegmentRecord): Promise<void> {
  const { id, place, directory, store, remaining } = move;
  const { region, offset } = place;
  const { table } = store;
  await directory.commits.commit({
    region,
    isAboutNewData: true,
    encode: () =>
      encodeSegmentRecord(
        { ...record, ...decodeBody(record), offset },
        { salt: region.salt, crc32c: store.crc32c },
      ),
    apply: (recordOffset) => {
      if (!table.index.isLive(id)) {
        // Dropped while it was being moved: the new copy must not come back after a restart.
        recordDrop(store, { region, directory }, recordOffset).catch(() => undefined);
        return;
      }
      table.move(id, { slot: region.slot, offset, recordOffset });
      remaining.delete(id);
      for (const job of table.leasesOf(id)) {
        if (job === record.loadedBy) continue;
        store.leaseNotes.note({ directory, region, recordOffset, job });
      }
    },
  });
}
