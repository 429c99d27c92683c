/**
 * Rebuilds what one directory holds from its sidecars, oldest region first. Never refuses: what is damaged is dropped, and fetched again some day.
 */
import type { Region } from '../region.ts';
import { NO_ENTRY, type EntryId } from '../segment-index.ts';
import type { SegmentTable } from '../segment-table.ts';
import type { Crc32c } from '../crc32c.ts';
import { SMALL_ALIGNMENT_BYTES, spaceOf } from '../layout.ts';
import {
  SIDECAR_HEADER_BYTES,
  decodeHeader,
  type LeaseRecord,
  type SegmentRecord,
} from '../sidecar-format.ts';
import type { JobId } from '../../base/ids.ts';
import type { CacheDirectory } from './cache-directory.ts';
import type { Duplicate } from './recovery-duplicates.ts';
import { scanSidecar, type ScannedRecord } from './sidecar-scan.ts';

export interface RecoveryReport {
  /** Sound records of segments, also of those found dropped later. */
  recordCount: number;
  /** Damaged records stepped over, and regions whose header was damaged. */
  damagedCount: number;
}

/** @throws cache_io when the directory cannot be used at all. */
export async function recoverDirectory(
  directory: CacheDirectory,
  crc32c: Crc32c,
  duplicates: Duplicate[],
): Promise<RecoveryReport> {
  const report: RecoveryReport = { recordCount: 0, damagedCount: 0 };
  const { files, set } = directory;
  const present = await directory.attempt('prepare the files', () =>
    files.prepare(set.regions.length),
  );
  for (const region of set.regions) region.isAllocated = present.has(region.id);
  const named: Region[] = [];
  for (const region of set.regions) {
    if (present.has(region.id) && (await readHeader(directory, region, crc32c, report))) {
      named.push(region);
    }
  }
  named.sort((left, right) => left.sequence - right.sequence);
  const filled: Region[] = [];
  for (const region of named) {
    if (await new RegionRecovery({ directory, region, report, duplicates }).run(crc32c))
      filled.push(region);
  }
  set.adopt(filled);
  return report;
}

/** False when the region holds nothing that may be used; then it is empty on disk, too. */
async function readHeader(
  directory: CacheDirectory,
  region: Region,
  crc32c: Crc32c,
  report: RecoveryReport,
): Promise<boolean> {
  const { files } = directory;
  const bytes = new Uint8Array(SIDECAR_HEADER_BYTES);
  try {
    const length = await files.useSidecar(region, (file) => file.read(bytes, 0));
    if (length === 0) return false;
    const header = decodeHeader(bytes.subarray(0, length), crc32c);
    if (header?.regionId === region.id && header.regionSizeBytes === region.sizeBytes) {
      region.sequence = header.sequence;
      region.salt = header.salt;
      return true;
    }
    report.damagedCount++;
    await files.invalidate(region);
  } catch (error) {
    // Why not fatal: one unreadable file must not cost the others. Trying to fill it will tell.
    directory.logger.warn('cannot read a cache region', {
      region: region.id,
      reason: String(error),
    });
  }
  return false;
}

class RegionRecovery {
  readonly #directory: CacheDirectory;
  readonly #table: SegmentTable;
  readonly #region: Region;
  readonly #report: RecoveryReport;
  /** Entries of this region by record, made when a record refers to another. */
  #byRecordOffset: Map<number, EntryId> | undefined;
  readonly #duplicates: Duplicate[];
  readonly #ownDuplicates = new Map<number, Duplicate>();

  constructor(parts: {
    directory: CacheDirectory;
    region: Region;
    report: RecoveryReport;
    duplicates: Duplicate[];
  }) {
    this.#directory = parts.directory;
    this.#table = parts.directory.table;
    this.#region = parts.region;
    this.#report = parts.report;
    this.#duplicates = parts.duplicates;
  }

  /** False when the region turned out to hold no record. */
  async run(crc32c: Crc32c): Promise<boolean> {
    const { files, logger } = this.#directory;
    let recordTail = SIDECAR_HEADER_BYTES;
    let damagedCount = 0;
    const source = files.sidecarSource(this.#region);
    try {
      for await (const window of scanSidecar(source, { salt: this.#region.salt, crc32c })) {
        for (const scanned of window.records) this.#apply(scanned);
        ({ validEnd: recordTail, damagedCount } = window);
      }
      if ((await source.size()) > recordTail) {
        await files.useSidecar(this.#region, (file) => file.truncate(recordTail));
      }
      // Why: a record that the process before wrote and did not sync is read all the same, and must
      // not be gone after the next power cut. Its data was synced before it was written.
      if (recordTail > SIDECAR_HEADER_BYTES) {
        await files.useSidecar(this.#region, (file) => file.datasync());
      }
    } catch (error) {
      // Why: records that were not seen forbid to write here; what was seen can be read.
      this.#directory.abandon(this.#region);
      logger.warn('cannot read all of a cache region', {
        region: this.#region.id,
        reason: String(error),
      });
    }
    this.#report.damagedCount += damagedCount;
    if (damagedCount > 0) {
      logger.warn('dropped damaged records', { region: this.#region.id, damagedCount });
    }
    this.#region.recordTail = recordTail;
    return this.#region.state === 'free' && recordTail > SIDECAR_HEADER_BYTES;
  }

  #apply({ record, recordOffset }: ScannedRecord): void {
    switch (record.kind) {
      case 'segment':
        this.#addSegment(record, recordOffset);
        break;
      case 'drop':
        this.#drop(record.recordOffset);
        break;
      case 'lease':
        this.#lease(record);
        break;
    }
  }

  #addSegment(record: SegmentRecord, recordOffset: number): void {
    const { offset, lengthBytes } = record;
    const isInside = offset + spaceOf(lengthBytes) <= this.#region.sizeBytes;
    if (!isInside || offset % SMALL_ALIGNMENT_BYTES !== 0) return;
    this.#region.extendTail(offset, lengthBytes);
    this.#report.recordCount++;
    const { hash, digest, crc32c, loadedBy } = record;
    const { slot } = this.#region;
    const segment = { hash, digest, crc32c, loadedBy, offset, lengthBytes, slot, recordOffset };
    if (this.#table.index.find(hash) === NO_ENTRY) {
      this.#table.put(segment);
      this.#byRecordOffset?.set(recordOffset, this.#table.index.find(hash));
      return;
    }
    const leases = new Set<JobId>(loadedBy === undefined ? [] : [loadedBy]);
    const directoryIndex = this.#directory.index;
    const duplicate: Duplicate = { segment, directoryIndex, leases, isDropped: false };
    this.#duplicates.push(duplicate);
    this.#ownDuplicates.set(recordOffset, duplicate);
  }

  #drop(recordOffset: number): void {
    const duplicate = this.#ownDuplicates.get(recordOffset);
    if (duplicate) duplicate.isDropped = true;
    const id = this.#findRecord(recordOffset);
    if (id !== NO_ENTRY) this.#table.kill(id);
  }

  #lease(record: LeaseRecord): void {
    this.#region.noteBytes += record.recordOffsets.byteLength;
    for (const recordOffset of record.recordOffsets) {
      this.#ownDuplicates.get(recordOffset)?.leases.add(record.job);
      const id = this.#findRecord(recordOffset);
      if (id !== NO_ENTRY) this.#table.lease(id, record.job);
    }
  }

  #findRecord(recordOffset: number): EntryId {
    const { index } = this.#table;
    if (!this.#byRecordOffset) {
      const found = new Map<number, EntryId>();
      index.forEachInRegion(this.#region.slot, (id) => found.set(index.recordOffsetOf(id), id));
      this.#byRecordOffset = found;
    }
    const id = this.#byRecordOffset.get(recordOffset) ?? NO_ENTRY;
    return id !== NO_ENTRY && index.isLive(id) ? id : NO_ENTRY;
  }
}
