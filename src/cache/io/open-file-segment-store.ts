/** Checks the configuration of a file store, builds its parts and recovers what is on disk. */
import { resolve } from 'node:path';

import type { ChangeMarks } from '../../base/change-marks.ts';
import type { Clock } from '../../base/clock.ts';
import { RingloadError, toRingloadError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { ChunkPool } from '../chunk-pool.ts';
import type { Crc32c } from '../crc32c.ts';
import { hashSegmentKey, type HashKey } from '../key-hash.ts';
import {
  LARGE_ALIGNMENT_BYTES,
  REGION_COUNT_MIN,
  REGION_SIZE_DEFAULT_BYTES,
  REGION_SIZE_MAX_BYTES,
  REGION_SIZE_MIN_BYTES,
} from '../layout.ts';
import { ReadRoom } from '../read-room.ts';
import { RecordCache } from '../record-cache.ts';
import { RegionSet } from '../region-set.ts';
import { Region } from '../region.ts';
import { REGION_SLOT_MAX } from '../segment-index.ts';
import { SegmentTable } from '../segment-table.ts';
import { CacheDirectory } from './cache-directory.ts';
import { ChangeSignal } from './change-signal.ts';
import { nodeDisk, type Disk } from './disk.ts';
import { FilePool } from './file-pool.ts';
import { FileSegmentStore } from './file-segment-store.ts';
import { LeaseNotes } from './lease-notes.ts';
import { nativeCrc32c } from './native-crc32c.ts';
import { recoverDirectory } from './recover-directory.ts';
import { resolveDuplicates, type Duplicate } from './recovery-duplicates.ts';
import { RegionFiles } from './region-files.ts';
import { RetentionInForce } from './retention-in-force.ts';

export interface FileSegmentStoreOptions {
  /** Each on a disk of its own; the capacity is cut down to whole regions, at least two. */
  readonly directories: readonly { readonly path: string; readonly capacityBytes: number }[];
  /** A multiple of 4096 between 64 KiB and 1 GiB. Default 256 MiB. No segment may be larger. */
  readonly regionSizeBytes?: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Errors within a minute that take a directory out of service. Default 5. */
  readonly errorMaxCount?: number;
  /** How long `reserve` waits for readers and writers to leave a region. Default 10 s. */
  readonly roomWaitMs?: number;
  /** Region files kept open. Default 256. */
  readonly openFileMaxCount?: number;
  /** Nothing is evicted before `setRetention` was called once. Default false. */
  readonly awaitsRetention?: boolean;
  /** Fills that readers wait for: what is loaded ahead lets them go first. */
  readonly demands?: { readonly value: number };
  /** Memory for records of segments that are read often. Default 16 MiB. */
  readonly recordCacheMaxBytes?: number;
  /** Replaced by tests: the files, the checksum, the hash of keys. */
  readonly disk?: Disk;
  readonly crc32c?: Crc32c;
  readonly hashKey?: HashKey;
  /** Raised for each segment that leaves its place: threads that read it by themselves look there. */
  readonly marks?: ChangeMarks;
}

/**
 * Opens the cache and recovers what it held. A directory that cannot be used is reported as failed
 * and the others serve. Leases of the jobs that loaded segments are in force again: call
 * `releaseLease` for those of `leaseHolders()` that are gone.
 * @throws config_invalid
 */
export async function openFileSegmentStore(
  options: FileSegmentStoreOptions,
): Promise<FileSegmentStore> {
  const regionSizeBytes = options.regionSizeBytes ?? REGION_SIZE_DEFAULT_BYTES;
  checkOptions(options, regionSizeBytes);
  const disk = options.disk ?? nodeDisk;
  const crc32c = options.crc32c ?? nativeCrc32c;
  const pool = new FilePool(disk, options.openFileMaxCount ?? 256);
  const table = new SegmentTable(options.marks);
  const changes = new ChangeSignal();
  const regions: Region[] = [];
  const directories = options.directories.map(({ path, capacityBytes }, index) => {
    const own = newRegions(regions.length, index, { capacityBytes, regionSizeBytes });
    regions.push(...own);
    return new CacheDirectory({
      index,
      set: new RegionSet(own),
      files: new RegionFiles({ directoryPath: resolve(path), disk, pool, crc32c }),
      table,
      clock: options.clock,
      logger: options.logger.child({ directory: path }),
      errorMaxCount: options.errorMaxCount ?? 5,
      demands: options.demands,
      onChange: () => {
        changes.notify();
      },
    });
  });
  await recoverAll({ directories, regions, table, crc32c });
  const retention = new RetentionInForce(options.awaitsRetention ?? false);
  return new FileSegmentStore({
    retention,
    parts: {
      table,
      crc32c,
      counters: { evicted: 0, corrupt: 0 },
      records: new RecordCache(options.recordCacheMaxBytes ?? 16 * 1024 * 1024),
      leaseNotes: new LeaseNotes(crc32c),
      readRoom: new ReadRoom(),
      chunks: new ChunkPool(),
      listeners: { onDamaged: () => undefined },
      retention,
      marks: options.marks,
      regions,
      directories,
    },
    pool,
    changes,
    clock: options.clock,
    roomWaitMs: options.roomWaitMs ?? 10_000,
    regionSizeBytes,
    hashKey: options.hashKey ?? hashSegmentKey,
  });
}

async function recoverAll(store: {
  directories: readonly CacheDirectory[];
  regions: readonly Region[];
  table: SegmentTable;
  crc32c: Crc32c;
}): Promise<void> {
  const duplicates: Duplicate[] = [];
  const recoverOrFail = async (directory: CacheDirectory): Promise<void> => {
    try {
      const report = await recoverDirectory(directory, store.crc32c, duplicates);
      directory.logger.info('recovered a cache directory', { ...report });
    } catch (error) {
      directory.fail(toRingloadError(error).message);
    }
  };
  await Promise.all(store.directories.map(recoverOrFail));
  const directoryOf = (slot: number) => store.directories[store.regions[slot]?.directoryIndex ?? 0];
  const served = duplicates.filter(({ segment }) => directoryOf(segment.slot)?.state === 'ok');
  resolveDuplicates(store.table, served, (slot) => directoryOf(slot)?.index ?? 0);
}

function newRegions(
  firstSlot: number,
  directoryIndex: number,
  size: { capacityBytes: number; regionSizeBytes: number },
): Region[] {
  const count = Math.floor(size.capacityBytes / size.regionSizeBytes);
  return Array.from(
    { length: count },
    (_, id) =>
      new Region({ slot: firstSlot + id, directoryIndex, id, sizeBytes: size.regionSizeBytes }),
  );
}

function checkOptions(options: FileSegmentStoreOptions, regionSizeBytes: number): void {
  const isRegionSize =
    Number.isSafeInteger(regionSizeBytes) &&
    regionSizeBytes >= REGION_SIZE_MIN_BYTES &&
    regionSizeBytes <= REGION_SIZE_MAX_BYTES &&
    regionSizeBytes % LARGE_ALIGNMENT_BYTES === 0;
  if (!isRegionSize) {
    throw invalid(
      `use regions of ${regionSizeBytes} bytes: a multiple of ${LARGE_ALIGNMENT_BYTES} between ` +
        `${REGION_SIZE_MIN_BYTES} and ${REGION_SIZE_MAX_BYTES} is needed`,
    );
  }
  if (options.directories.length === 0) throw invalid('open a cache without directories');
  const paths = new Set(options.directories.map(({ path }) => resolve(path)));
  if (paths.size < options.directories.length) throw invalid('use a cache directory twice');
  let regionCount = 0;
  for (const { path, capacityBytes } of options.directories) {
    const count = Math.floor(capacityBytes / regionSizeBytes);
    if (!(count >= REGION_COUNT_MIN)) {
      throw invalid(
        `use ${capacityBytes} bytes of ${path}: ${REGION_COUNT_MIN} regions of ` +
          `${regionSizeBytes} bytes are the least`,
      );
    }
    regionCount += count;
  }
  if (!(regionCount <= REGION_SLOT_MAX)) {
    throw invalid(`use ${regionCount} regions: ${REGION_SLOT_MAX} are the most`);
  }
}

function invalid(message: string): RingloadError {
  return new RingloadError('config_invalid', message);
}
