/**
 * How segments lie in a region file. Large ones own whole 4 KiB pages, so that a writer may use
 * direct I/O and pad its last page; small ones are packed.
 */

/** Segments of at least this size start and end on page boundaries. */
export const LARGE_SEGMENT_MIN_BYTES = 64 * 1024;
export const LARGE_ALIGNMENT_BYTES = 4096;
export const SMALL_ALIGNMENT_BYTES = 64;

/** Smallest legal region: a handful of segments, for tests. */
export const REGION_SIZE_MIN_BYTES = 64 * 1024;
/** Offsets and lengths in a region fit 31 bits. */
export const REGION_SIZE_MAX_BYTES = 1024 * 1024 * 1024;
/** 256 MiB: a thousandth of a small disk, and one reset per 256 MiB written costs nothing. */
export const REGION_SIZE_DEFAULT_BYTES = 256 * 1024 * 1024;
/** One region filled, one kept empty to compact into. */
export const REGION_COUNT_MIN = 2;

function alignmentOf(lengthBytes: number): number {
  return lengthBytes >= LARGE_SEGMENT_MIN_BYTES ? LARGE_ALIGNMENT_BYTES : SMALL_ALIGNMENT_BYTES;
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** Bytes of a region that a segment occupies, padding included. */
export function spaceOf(lengthBytes: number): number {
  return roundUp(lengthBytes, alignmentOf(lengthBytes));
}

/** First offset at or after `tail` where a segment may start. */
export function placeAfter(tail: number, lengthBytes: number): number {
  return roundUp(tail, alignmentOf(lengthBytes));
}
