/** One segment of a file, or a part of it: what a range is stitched from. */
import type { FileRecord } from '../cache/file-catalog.ts';
import { segmentKeyOf, type SegmentKey } from '../cache/segment-store.ts';

export interface SegmentSlice {
  readonly record: FileRecord;
  readonly index: number;
  /** Relative to the segment. */
  readonly offset: number;
  readonly length: number;
}

export function keyOf({ record, index }: SegmentSlice): SegmentKey {
  return segmentKeyOf(record, index);
}

/** Length of the whole segment that the slice lies in. */
export function segmentLengthOf({ record, index }: SegmentSlice): number {
  return Math.min(record.segmentSizeBytes, record.sizeBytes - index * record.segmentSizeBytes);
}

/** The whole of a segment. */
export function wholeSegment(record: FileRecord, index: number): SegmentSlice {
  return {
    record,
    index,
    offset: 0,
    length: segmentLengthOf({ record, index, offset: 0, length: 0 }),
  };
}

export function* slicesOf(
  record: FileRecord,
  offset: number,
  length: number,
): Generator<SegmentSlice> {
  const end = offset + length;
  for (let at = offset; at < end;) {
    const index = Math.floor(at / record.segmentSizeBytes);
    const start = index * record.segmentSizeBytes;
    const until = Math.min(end, start + record.segmentSizeBytes);
    yield { record, index, offset: at - start, length: until - at };
    at = until;
  }
}
