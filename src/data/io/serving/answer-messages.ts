/**
 * What the main thread and a thread that answers clients say to each other. Plain values: they are
 * cloned.
 *
 * The thread speaks HTTP, reads, checks and sends; the main thread says what is answered. A body is
 * given in pieces, one after another, and the thread tells how each ended. Heads wait in the thread
 * for the first bytes, so that until then another answer may take their place.
 */
import type { GateBounds } from '../../../base/descriptors.ts';
import type { WireError } from '../../../base/errors.ts';
import type { OwnRead, Standing } from '../../own-answers.ts';
import type { SegmentRequest } from '../../segment-request.ts';
import type { ServedRange } from '../../served-range.ts';

export interface AnswerOptions {
  readonly host: string;
  readonly port: number;
  readonly bounds: GateBounds;
  readonly openFileMaxCount: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** A client that takes nothing for so long is gone. */
  readonly writeStallMs: number;
  /** What connections beyond the bounds are answered. */
  readonly tooMany: PlainAnswer;
  readonly peers: PeerReadBounds;
}

/** How this thread reads from other peers. */
export interface PeerReadBounds {
  readonly socketMaxCount: number;
  readonly headTimeoutMs: number;
  readonly stallTimeoutMs: number;
  /** A short range that takes longer is left to the main thread. Default 300 ms. */
  readonly shortMaxMs?: number;
}

export interface PlainAnswer {
  readonly status: number;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly body?: Uint8Array;
}

/** Part of a body. */
export type SentPiece =
  /** Of a resident segment: to be read from its file and checked. */
  | { readonly kind: 'place'; readonly range: ServedRange }
  /** What another peer answers to `open` with this id. */
  | { readonly kind: 'held'; readonly heldId: number }
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array };

export type ToAnswering =
  | { readonly kind: 'answer'; readonly id: number; readonly answer: PlainAnswer }
  /** `head`: comes with the first piece, and says how long the body is. */
  | {
      readonly kind: 'piece';
      readonly id: number;
      readonly piece: SentPiece;
      readonly head?: PlainAnswer & { readonly length: number };
    }
  /** What was sent cannot be completed. */
  | { readonly kind: 'cut'; readonly id: number }
  /** So many bytes of the request's body were taken. The first one: it is wanted at all. */
  | { readonly kind: 'taken'; readonly id: number; readonly bytes: number }
  | {
      readonly kind: 'open';
      readonly heldId: number;
      readonly endpoint: string;
      readonly request: SegmentRequest;
      readonly token?: string;
      /** How long the body may stand still while it is wanted. */
      readonly bodyPatienceMs?: number;
    }
  /** What the thread may answer by itself from now on. */
  | { readonly kind: 'standing'; readonly standing: Standing }
  /** Nobody wants it any more. */
  | { readonly kind: 'drop'; readonly heldId: number }
  /** Take nothing new, and end when everything under way has ended. */
  | { readonly kind: 'close' };

export type FromAnswering =
  | { readonly kind: 'turned-away' }
  | {
      readonly kind: 'request';
      readonly id: number;
      readonly method: string;
      readonly target: string;
      /** Names and values in turn, as received. */
      readonly headers: readonly string[];
      readonly hasBody: boolean;
    }
  | { readonly kind: 'body'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: 'body-end'; readonly id: number; readonly isWhole: boolean }
  /** A piece has ended. */
  | { readonly kind: 'ended'; readonly id: number; readonly end: PieceEnd }
  /** Answered, or nobody waits for it any more. The last word about this request. */
  | { readonly kind: 'over'; readonly id: number }
  /** The request goes out: until then it waited for a connection. */
  | { readonly kind: 'asked'; readonly heldId: number }
  | { readonly kind: 'opened'; readonly heldId: number; readonly lengthBytes: number }
  | { readonly kind: 'refused'; readonly heldId: number; readonly error: WireError }
  /** What was answered without a word to the main thread. */
  | { readonly kind: 'read'; readonly reads: readonly OwnRead[] }
  | { readonly kind: 'closed' };

export interface PieceEnd {
  readonly sentBytes: number;
  /** Absent: all of it was sent. */
  readonly fault?:
    | { readonly kind: 'damaged' }
    | { readonly kind: 'unread'; readonly systemCode: string; readonly message: string }
    | { readonly kind: 'broken'; readonly error: WireError };
}
