/** A part of a resident segment, as a thread is told to send it. */
import { CHECKSUM_BLOCK_BYTES, type PlacedSegment } from '../../../cache/segment-store.ts';
import type { ServedRange } from './serving-messages.ts';

/** `[from, from + length)` lies inside of the segment. */
export function servedRange(segment: PlacedSegment, from: number, length: number): ServedRange {
  const { lengthBytes: segmentBytes, crc32c } = segment;
  const { path, offset, blockCrc32c } = segment.place();
  const first = Math.floor(from / CHECKSUM_BLOCK_BYTES);
  const last = Math.ceil((from + length) / CHECKSUM_BLOCK_BYTES);
  const blocks = blockCrc32c.slice(first, last);
  return { path, offset, segmentBytes, crc32c, from, length, blocks };
}
