/**
 * What is hashed: the placement key of a file's metadata and of each of its segments.
 *
 * A file's first segment shares the key of its metadata, so that a file of one segment (most
 * files) lives with its metadata and costs one owner, not two. Changing a key moves data: it is a
 * change of format, and the golden tables pin it.
 */

/** Stands between path and index. No path holds it, so no two placements share a key. */
const SEPARATOR = '\0';

export interface Placement {
  readonly path: string;
  /** 0-based index of the segment. */
  readonly index: number;
  /** False: all segments of a file are placed with its metadata. */
  readonly segmented: boolean;
}

/** Key of a file's metadata: its home is the key's owners. */
export function fileKey(path: string): string {
  return path;
}

/** Key of one segment of a segmented file. */
export function segmentKey(path: string, index: number): string {
  return index === 0 ? fileKey(path) : `${path}${SEPARATOR}${index}`;
}

export function placementKey(placement: Placement): string {
  return placement.segmented
    ? segmentKey(placement.path, placement.index)
    : fileKey(placement.path);
}
