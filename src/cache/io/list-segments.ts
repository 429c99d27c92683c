/**
 * Every resident segment, read from the sidecars window by window. Regions go in the order in
 * which they were filled: a segment that is moved meanwhile moves ahead, so it is met perhaps
 * twice but never missed. Nothing stays pinned while the caller thinks.
 */
import { NO_ENTRY, type EntryId } from '../segment-index.ts';
import type { Region } from '../region.ts';
import type { ResidentSegment } from '../segment-store.ts';
import { decodeBody, type SegmentRecord } from '../sidecar-format.ts';
import type { CacheDirectory } from './cache-directory.ts';
import { scanSidecar, type ScannedWindow } from './sidecar-scan.ts';
import type { StoreParts } from './store-parts.ts';

/** @throws cache_io */
export async function* listSegments(store: StoreParts): AsyncGenerator<ResidentSegment> {
  for await (const { record } of listEntries(store)) yield describe(record);
}

/** A record is valid until the next one is asked for. @throws cache_io */
export async function* listEntries(store: StoreParts): AsyncGenerator<ListedEntry> {
  for (const directory of store.directories) {
    let sequence = 0;
    for (;;) {
      const region = nextRegion(directory, sequence);
      if (!region || directory.state !== 'ok') break;
      sequence = region.sequence;
      yield* listRegion(store, directory, region);
    }
  }
}

interface ListedEntry {
  readonly id: EntryId;
  readonly record: SegmentRecord;
}

function nextRegion(directory: CacheDirectory, afterSequence: number): Region | undefined {
  let next: Region | undefined;
  for (const region of directory.set.regions) {
    if (region.sequence <= afterSequence || !isFilled(region)) continue;
    if (!next || region.sequence < next.sequence) next = region;
  }
  return next;
}

function isFilled(region: Region): boolean {
  return region.recordTail > 0 && region.state !== 'free' && region.state !== 'draining';
}

async function* listRegion(
  store: StoreParts,
  directory: CacheDirectory,
  region: Region,
): AsyncGenerator<ListedEntry> {
  const { sequence } = region;
  const seal = { salt: region.salt, crc32c: store.crc32c };
  const scan = scanSidecar(directory.files.sidecarSource(region), seal);
  for (;;) {
    const window = await nextWindow(directory, region, scan);
    if (!window || region.sequence !== sequence) return;
    for (const { record, recordOffset } of window.records) {
      if (record.kind !== 'segment') continue;
      const id = store.table.findAt(record.hash, region.slot, recordOffset);
      if (id !== NO_ENTRY) yield { id, record };
    }
  }
}

async function nextWindow(
  directory: CacheDirectory,
  region: Region,
  scan: AsyncGenerator<ScannedWindow>,
): Promise<ScannedWindow | undefined> {
  if (!isFilled(region)) return undefined;
  directory.pin(region);
  try {
    const step = await directory.attempt(`list region ${region.id}`, () => scan.next());
    return step.done ? undefined : step.value;
  } finally {
    directory.unpin(region);
  }
}

function describe(record: SegmentRecord): ResidentSegment {
  const { lengthBytes, crc32c, loadedBy } = record;
  const { key } = decodeBody(record);
  return { key, lengthBytes, crc32c, ...(loadedBy === undefined ? {} : { loadedBy }) };
}
