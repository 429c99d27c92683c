/**
 * The files of one cache directory: a data file and a sidecar per region, named by number. Knows
 * bytes and positions; which of them mean something is decided elsewhere.
 */
import { join } from 'node:path';

import { failpoint } from '../../base/failpoint.ts';
import type { Crc32c } from '../crc32c.ts';
import type { Region } from '../region.ts';
import {
  RECORD_MAX_BYTES,
  SIDECAR_HEADER_BYTES,
  claimedLength,
  decodeRecord,
  encodeHeader,
  type SegmentRecord,
} from '../sidecar-format.ts';
import type { Disk, DiskFile } from './disk.ts';
import type { FilePool } from './file-pool.ts';
import type { SidecarSource } from './sidecar-scan.ts';

/** Enough for a record with a path of ordinary length and the checksums of 8 MiB. */
const RECORD_READ_BYTES = 2048;
const FILE_NAME = /^region-(\d{5,})\.(dat|idx)$/;

export class RegionFiles {
  readonly directoryPath: string;
  readonly #disk: Disk;
  readonly #pool: FilePool;
  readonly #crc32c: Crc32c;

  constructor(parts: { directoryPath: string; disk: Disk; pool: FilePool; crc32c: Crc32c }) {
    this.directoryPath = parts.directoryPath;
    this.#disk = parts.disk;
    this.#pool = parts.pool;
    this.#crc32c = parts.crc32c;
  }

  dataPath(region: { readonly id: number }): string {
    return join(this.directoryPath, `region-${numberOf(region.id)}.dat`);
  }

  sidecarPath(region: { readonly id: number }): string {
    return join(this.directoryPath, `region-${numberOf(region.id)}.idx`);
  }

  /**
   * Creates the directory, removes region files that do not belong, and returns the numbers of
   * the regions that have both files.
   */
  async prepare(regionCount: number): Promise<ReadonlySet<number>> {
    await this.#disk.prepareDirectory(this.directoryPath);
    const names = new Set(await this.#disk.list(this.directoryPath));
    const present = new Set<number>();
    for (const name of names) {
      const match = FILE_NAME.exec(name);
      if (!match) continue;
      const id = Number(match[1]);
      const isSidecar = match[2] === 'idx';
      const isOrphan = isSidecar && !names.has(`region-${numberOf(id)}.dat`);
      if (id >= regionCount || isOrphan) {
        await this.#disk.remove(join(this.directoryPath, name));
      } else if (isSidecar) {
        present.add(id);
      }
    }
    return present;
  }

  /** Makes sure that both files exist, the data file at its full size. */
  async create(region: Region): Promise<void> {
    const data = await this.#disk.open(this.dataPath(region), { create: true });
    const sizeBytes = await data.size().finally(() => data.close());
    region.isAllocated = sizeBytes === region.sizeBytes;
    if (!region.isAllocated) {
      await this.#disk.preallocate(this.dataPath(region), region.sizeBytes);
      await this.#pool.use(this.dataPath(region), (file) => file.datasync());
      region.isAllocated = true;
    }
    const sidecar = await this.#disk.open(this.sidecarPath(region), { create: true });
    await sidecar.close();
    await this.#disk.syncDirectory(this.directoryPath);
  }

  /**
   * Starts the sidecar of a new generation. Not synced: the sync of the first record covers it,
   * and without a record the region is empty either way.
   */
  async writeHeader(region: Region): Promise<void> {
    const header = encodeHeader(
      {
        regionId: region.id,
        regionSizeBytes: region.sizeBytes,
        sequence: region.sequence,
        salt: region.salt,
      },
      this.#crc32c,
    );
    await this.useSidecar(region, (file) => file.write(header, 0));
    region.recordTail = SIDECAR_HEADER_BYTES;
  }

  /** Durably forgets every record of the region: only then may its data be overwritten. */
  async invalidate(region: { readonly id: number }): Promise<void> {
    await this.useSidecar(region, async (file) => {
      await file.truncate(0);
      failpoint('cache.region.truncated');
      await file.datasync();
    });
  }

  useSidecar<T>(region: { readonly id: number }, work: (file: DiskFile) => Promise<T>): Promise<T> {
    return this.#pool.use(this.sidecarPath(region), work);
  }

  /** The sidecar for reading, opened anew for each call: nothing is held between them. */
  sidecarSource(region: { readonly id: number }): SidecarSource {
    return {
      size: () => this.useSidecar(region, (file) => file.size()),
      read: (target, position) => this.useSidecar(region, (file) => file.read(target, position)),
    };
  }

  /** Reads into all of `target`; false when the file ends before. */
  async readData(region: Region, target: Uint8Array, position: number): Promise<boolean> {
    const read = (file: DiskFile): Promise<number> => file.read(target, position);
    return (await this.#pool.use(this.dataPath(region), read)) === target.length;
  }

  async writeData(region: Region, bytes: Uint8Array, position: number): Promise<void> {
    await this.#pool.use(this.dataPath(region), (file) => file.write(bytes, position));
    this.noteWritten();
  }

  /** Data was written into a region, by us or by others. */
  noteWritten(): void {
    failpoint('cache.data.written');
  }

  async syncData(region: Region): Promise<void> {
    await this.#pool.use(this.dataPath(region), (file) => file.datasync());
  }

  /**
   * Writes records behind the sidecar's valid part. They count from `keepRecords` on; when the
   * write fails, what came to the disk of them is written over by the next ones.
   */
  async writeRecords(region: Region, bytes: Uint8Array): Promise<void> {
    await this.useSidecar(region, (file) => file.write(bytes, region.recordTail));
  }

  /** Makes the records just written durable. */
  async keepRecords(region: Region, bytes: Uint8Array): Promise<void> {
    await this.useSidecar(region, (file) => file.datasync());
    region.recordTail += bytes.length;
  }

  /** The segment record at that place; undefined when it is damaged. */
  async readRecord(region: Region, recordOffset: number): Promise<SegmentRecord | undefined> {
    return this.useSidecar(region, async (file) => {
      let bytes = new Uint8Array(RECORD_READ_BYTES);
      let readBytes = await file.read(bytes, recordOffset);
      const length = claimedLength(bytes.subarray(0, readBytes), 0);
      if (length === undefined || length > RECORD_MAX_BYTES) return undefined;
      if (length > readBytes) {
        bytes = new Uint8Array(length);
        readBytes = await file.read(bytes, recordOffset);
        if (readBytes < length) return undefined;
      }
      const seal = { salt: region.salt, crc32c: this.#crc32c };
      const record = decodeRecord(bytes.subarray(0, length), seal);
      return record?.kind === 'segment' ? record : undefined;
    });
  }
}

function numberOf(id: number): string {
  return String(id).padStart(5, '0');
}
