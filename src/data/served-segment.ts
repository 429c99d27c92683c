/** A segment that is kept in its place while another thread reads it from its file. */
import type { RingloadError } from '../base/errors.ts';

export interface ServedSegment {
  readonly lengthBytes: number;
  /** Of the whole segment. */
  readonly crc32c: number;
  /** Where its bytes lie, and the checksums of its blocks. */
  place(): {
    readonly path: string;
    readonly offset: number;
    readonly blockCrc32c: Uint32Array;
  };
  /** A block did not match: drops and counts the copy. @returns what to answer. */
  damaged(): RingloadError;
  /** The file could not be read: counted against its directory. @returns what to answer. */
  unread(systemCode: string, message: string): RingloadError;
  /** It may be moved or overwritten now. */
  close(): void;
}
