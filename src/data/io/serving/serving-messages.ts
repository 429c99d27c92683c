/**
 * What the main thread and the serving thread say to each other. Plain values: they are cloned.
 *
 * The thread asks what may be sent to whom, the main thread has the say: it looks at the token, finds
 * the segment, reads it through, and keeps it in its place until the thread has done with it.
 */
import type { Mark } from '../../../base/change-marks.ts';
import type { GateBounds } from '../../../base/descriptors.ts';
import type { ServedRange } from '../../served-range.ts';

export interface ServingOptions {
  readonly host: string;
  readonly port: number;
  readonly bounds: GateBounds;
  /** Files that stay open when nobody reads them. */
  readonly openFileMaxCount: number;
  /** A reader that takes nothing for so long is gone. */
  readonly writeStallMs: number;
  /** Of {@link ChangeMarks}; absent: the thread answers nothing by itself. */
  readonly marks?: SharedArrayBuffer;
}

/** A segment that this peer receives itself, to be given on as it comes. */
export interface FollowedFill {
  readonly path: string;
  /** Where the segment begins in the file. */
  readonly offset: number;
  readonly lengthBytes: number;
  /** Of {@link TrailMemory}. */
  readonly memory: SharedArrayBuffer;
}

export type ToServing =
  | {
      readonly kind: 'serve';
      readonly id: number;
      readonly range: ServedRange;
      /** Until then it lies there: the thread may give of it by itself. */
      readonly stands?: { readonly mark: Mark; readonly blocks: Uint32Array };
    }
  | { readonly kind: 'follow'; readonly id: number; readonly fill: FollowedFill }
  /** What was followed is good: CRC32C of the segment. */
  | { readonly kind: 'judged'; readonly id: number; readonly crc32c: number }
  | {
      readonly kind: 'refuse';
      readonly id: number;
      readonly status: number;
      /** JSON. */
      readonly body: string;
    };

export type FromServing =
  /** A connection that the gate did not let in. */
  | { readonly kind: 'turned-away' }
  | {
      readonly kind: 'ask';
      readonly id: number;
      readonly target: string;
      readonly authorization: string;
      /** What the request depends on has changed: it is to be refused, by whoever may say so. */
      readonly isStale: boolean;
    }
  /** What was given without a word to the main thread: a request for each segment. */
  | { readonly kind: 'read'; readonly targets: readonly string[] }
  /** A block does not match its checksum; one `refuse` follows. */
  | { readonly kind: 'damaged'; readonly id: number }
  /** The file could not be read; one `refuse` follows. */
  | {
      readonly kind: 'unread';
      readonly id: number;
      readonly systemCode: string;
      readonly message: string;
    }
  /** A fill was followed to its end: bytes that came from the ring, and those from the disk. */
  | {
      readonly kind: 'followed';
      readonly id: number;
      readonly ringBytes: number;
      readonly diskBytes: number;
    }
  /** Sent, or nobody waits for it any more. The last word about this request. */
  | { readonly kind: 'done'; readonly id: number };
