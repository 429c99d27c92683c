/**
 * A segment opened for reading. Pins its region until it is closed, so its bytes stay where they
 * are while the segment itself may be evicted, replaced or dropped.
 */
import type { Mark } from '../../base/change-marks.ts';
import { RingloadError } from '../../base/errors.ts';
import { failpoint } from '../../base/failpoint.ts';
import type { JobId } from '../../base/ids.ts';
import {
  CHECKSUM_BLOCK_BYTES,
  type PlacedSegment,
  type SegmentCheck,
  type SegmentKey,
  type SegmentReader,
} from '../segment-store.ts';
import type { SegmentBody } from '../sidecar-format.ts';
import { dropDamaged, dropUnreadable } from './drop-copy.ts';
import { readBlocks, type StoredSegment } from './segment-blocks.ts';
import type { SegmentCopy, StoreParts } from './store-parts.ts';

export class FileSegmentReader implements SegmentReader, PlacedSegment {
  readonly key: SegmentKey;
  readonly lengthBytes: number;
  readonly crc32c: number;
  readonly loadedBy?: JobId;
  readonly copy: SegmentCopy;
  readonly stands?: { readonly key: SegmentKey; readonly mark: Mark };
  readonly #store: StoreParts;
  readonly #stored: StoredSegment;
  readonly #isCheck: boolean;
  #isClosed = false;
  #activeReadCount = 0;

  /** Takes over the caller's pin of the region. */
  constructor(parts: {
    store: StoreParts;
    copy: SegmentCopy;
    body: SegmentBody;
    lengthBytes: number;
    crc32c: number;
    loadedBy: JobId | undefined;
    /** Whoever checks is told of damage by the outcome. */
    isCheck: boolean;
    mark: Mark | undefined;
  }) {
    const { copy, body } = parts;
    this.key = body.key;
    this.lengthBytes = parts.lengthBytes;
    this.crc32c = parts.crc32c;
    if (parts.loadedBy !== undefined) this.loadedBy = parts.loadedBy;
    this.#store = parts.store;
    this.#isCheck = parts.isCheck;
    this.copy = copy;
    if (parts.mark) this.stands = { key: body.key, mark: parts.mark };
    this.#stored = {
      directory: copy.directory,
      region: copy.region,
      offset: copy.location.offset,
      lengthBytes: parts.lengthBytes,
      blockCrc32c: body.blockCrc32c,
    };
  }

  async *read(offset: number, length: number): AsyncGenerator<Uint8Array> {
    const end = offset + length;
    const isInside =
      Number.isSafeInteger(offset) &&
      Number.isSafeInteger(length) &&
      offset >= 0 &&
      length >= 0 &&
      end <= this.lengthBytes;
    if (!isInside) {
      throw new RingloadError(
        'range_not_satisfiable',
        `read ${length} bytes at ${offset} of a segment of ${this.lengthBytes}`,
      );
    }
    const { readRoom } = this.#store;
    let position = offset;
    while (position < end) {
      const start = position - (position % CHECKSUM_BLOCK_BYTES);
      const chunkEnd = Math.min(end, start + readRoom.chunkBytes);
      const heldBytes = chunkEnd - start;
      readRoom.take(heldBytes);
      try {
        const blocks = await this.#readBlocks(start, chunkEnd);
        this.#handsOut();
        yield blocks.subarray(position - start, chunkEnd - start);
      } finally {
        readRoom.giveBack(heldBytes);
      }
      position = chunkEnd;
    }
  }

  /** Reads all of it, block by block, and closes it. @throws segment_corrupt, cache_io */
  async check(): Promise<SegmentCheck> {
    const { lengthBytes, crc32c } = this;
    try {
      let crc = 0;
      for await (const chunk of this.read(0, lengthBytes)) crc = this.#store.crc32c(chunk, crc);
      if (crc === crc32c) return { state: 'sound', lengthBytes, crc32c };
    } finally {
      this.close();
    }
    this.dropDamaged();
    return { state: 'damaged' };
  }

  get placed(): PlacedSegment {
    return this;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unpinWhenDone();
  }

  /** Where its bytes lie, for whoever reads them in another thread and checks them there. */
  place(): { path: string; offset: number; blockCrc32c: Uint32Array } {
    const { directory, region, offset, blockCrc32c } = this.#stored;
    this.#handsOut();
    return { path: directory.files.dataPath(region), offset, blockCrc32c };
  }

  /** A block was read that does not match its checksum. @returns what the reader is told. */
  damaged(): RingloadError {
    this.dropDamaged();
    return new RingloadError(
      'segment_corrupt',
      `read segment ${this.key.index} of ${this.key.path}: a checksum failed, the copy is dropped`,
    );
  }

  /** Another thread could not read the file. @returns what the reader is told. */
  unread(systemCode: string, message: string): RingloadError {
    const { directory, region } = this.copy;
    const cause = Object.assign(new Error(message), { code: systemCode });
    const error = directory.noteFailure(`read region ${region.id}`, cause);
    dropUnreadable(this.#store, this.copy, error, this.#toldKey);
    return error;
  }

  /** Drops and counts the segment. */
  dropDamaged(): void {
    dropDamaged(this.#store, this.copy, this.#toldKey);
  }

  get #toldKey(): SegmentKey | undefined {
    return this.#isCheck ? undefined : this.key;
  }

  /** Bytes are about to leave, by either way. */
  #handsOut(): void {
    failpoint('cache.read.block');
  }

  async #readBlocks(start: number, end: number): Promise<Uint8Array> {
    if (this.#isClosed) throw new RingloadError('cancelled', 'read a segment after closing it');
    this.#activeReadCount++;
    try {
      const blocks = await readBlocks(this.#stored, start, end, this.#store);
      if (blocks) return blocks;
    } catch (error) {
      dropUnreadable(this.#store, this.copy, error, this.#toldKey);
      throw error;
    } finally {
      this.#activeReadCount--;
      this.#unpinWhenDone();
    }
    throw this.damaged();
  }

  #unpinWhenDone(): void {
    if (!this.#isClosed || this.#activeReadCount > 0) return;
    this.copy.directory.unpin(this.copy.region);
  }
}
