/** What the main thread and a lane thread say to each other. Plain values: they are cloned. */
import type { CombinableSum } from '../../../base/crc-combine.ts';
import type {
  AnswerHead,
  AnswerWatch,
  DirectRequest,
  ObjectChecksum,
} from '../../../ufs/under-store.ts';
import type { BucketShare } from '../../bandwidth-buckets.ts';

/** Fetch one answer into a piece of a file. */
export interface LaneOrder {
  readonly id: number;
  readonly request: DirectRequest;
  readonly watch: AnswerWatch;
  /** Where the body goes: `[offset, offset + length)` of a file that exists. */
  readonly target: LaneTarget;
  /** Bytes of the target that are there already, a multiple of the checksum block. */
  readonly start: number;
  /** A second checksum wanted of the body, beside CRC32C. */
  readonly sum?: CombinableSum;
  /** For a job that loads ahead: its body rests while readers wait. */
  readonly isPrefetch: boolean;
  /** Tell when a part of the body has come, for failpoints. */
  readonly tellsMiddle?: boolean;
  /** Tell when a body as it was promised begins: others may follow it. */
  readonly tellsBegin?: boolean;
  /** Of {@link TrailMemory}: others follow already. */
  readonly trail?: SharedArrayBuffer;
  /** What the body is charged to, and rests for. */
  readonly buckets?: BucketShare;
}

/** As it is asked for: its number and urgency are given by the threads. */
export type UnnumberedOrder = Omit<LaneOrder, 'id' | 'isPrefetch'>;

export interface LaneTarget {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
  /** Whether whole pages around the target are its own: then it is no small piece. */
  readonly ownsPages: boolean;
  /** Whether it may be written around the page cache, with its last page padded. */
  readonly isDirect: boolean;
}

export type LaneRequest =
  | { readonly kind: 'order'; readonly order: LaneOrder }
  | { readonly kind: 'cancel'; readonly id: number }
  /** A reader waits for it now. */
  | { readonly kind: 'hurry'; readonly id: number }
  /** Others follow it from now on; of {@link TrailMemory}. */
  | { readonly kind: 'follow'; readonly id: number; readonly trail: SharedArrayBuffer };

interface Received {
  readonly id: number;
  /** Bytes of bodies that came, kept or not. */
  readonly receivedBytes: number;
}

/** CRC32C of consecutive blocks of the target, from block `first` on. */
export interface BlockRun {
  readonly first: number;
  readonly crc32c: Uint32Array;
}

/** Exactly one for each order; after it no write to its target is under way. */
export type LaneReport =
  | (Received & {
      readonly kind: 'moved';
      readonly head: AnswerHead;
      readonly blocks: BlockRun;
      readonly sum?: ObjectChecksum;
      readonly tail?: string;
    })
  | (Received & { readonly kind: 'answered'; readonly head: AnswerHead; readonly body: string })
  | (Received & {
      readonly kind: 'broken';
      readonly systemCode: string;
      readonly keptBytes: number;
      readonly blocks: BlockRun;
    })
  | (Received & { readonly kind: 'unfit'; readonly why: string })
  | (Received & {
      readonly kind: 'unwritten';
      readonly systemCode: string;
      readonly message: string;
    })
  | (Received & { readonly kind: 'cancelled' });

/** What comes before the report. */
export type LaneNews =
  /** A body as it was promised begins. */
  | { readonly kind: 'begun'; readonly id: number }
  /** A part of the body has come. */
  | { readonly kind: 'middle'; readonly id: number };

export type FromLanes =
  | LaneReport
  | LaneNews
  /** In place of a report: a reader waits for it, and it had not begun. */
  | { readonly kind: 'recalled'; readonly id: number };

/** Who a thread works for: what loads ahead never has the one that readers wait for. */
export type LaneCrew = 'readers' | 'loads';

export interface LaneThreadOptions {
  /** Of {@link DemandCount}. */
  readonly demands: SharedArrayBuffer;
  /** Of {@link BandwidthBuckets}. */
  readonly bandwidth: SharedArrayBuffer;
  readonly directIo: 'auto' | 'off';
  /** Most connections to one endpoint, of each crew. */
  readonly laneMaxCount: number;
  /** Files that stay open when nobody writes to them. */
  readonly openFileMaxCount: number;
  /** Writes under way at once of what is loaded ahead. */
  readonly writeMaxCount: number;
  /** Most connections to all endpoints together. */
  readonly socketMaxCount: number;
}
