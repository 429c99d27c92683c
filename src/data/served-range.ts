/** A part of a resident segment, as a thread is told to send it. Plain, so that it may be cloned. */
import { CHECKSUM_BLOCK_BYTES, type PlacedSegment } from '../cache/segment-store.ts';

/** Blocks of a segment that cover the range, and where they lie. */
export interface ServedRange {
  readonly path: string;
  /** Where the segment begins in the file. */
  readonly offset: number;
  readonly segmentBytes: number;
  /** Of the whole segment. */
  readonly crc32c: number;
  /** The range, relative to the segment. */
  readonly from: number;
  readonly length: number;
  /** CRC32C of the blocks from the one that `from` lies in. */
  readonly blocks: Uint32Array;
}

/** `[from, from + length)` lies inside of the segment. */
export function servedRange(segment: PlacedSegment, from: number, length: number): ServedRange {
  const { lengthBytes: segmentBytes, crc32c } = segment;
  const { path, offset, blockCrc32c } = segment.place();
  const first = Math.floor(from / CHECKSUM_BLOCK_BYTES);
  const last = Math.ceil((from + length) / CHECKSUM_BLOCK_BYTES);
  const blocks = blockCrc32c.slice(first, last);
  return { path, offset, segmentBytes, crc32c, from, length, blocks };
}
