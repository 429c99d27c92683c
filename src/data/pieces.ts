/**
 * A range as its sources give it: one piece after another, each opened by the source that has it.
 * A piece is sent by whoever asked for it, in the way that suits it, and how that ended is told
 * before the next one is given; so a source that breaks is replaced at the byte that was reached,
 * whichever thread does the sending.
 */
import type { RingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { PlacedSegment, SegmentKey } from '../cache/segment-store.ts';
import type { BodyWatch } from './peer-segments.ts';
import type { SegmentRequest } from './segment-request.ts';

export interface Piece {
  readonly length: number;
  /** The bytes, here: exactly `length`, or an error. To be called once, or another way is taken. */
  chunks(): AsyncIterable<Uint8Array>;
  /** It is a part of a resident segment, which another thread may read from its file and check. */
  readonly placed?: { readonly segment: PlacedSegment; readonly from: number };
  /** The bytes are on their way to a thread that was asked to read them. */
  readonly held?: {
    /** Under which the thread has them. */
    readonly id: number;
    readonly key: SegmentKey;
    readonly endpoint: string;
    readonly token: string | undefined;
  };
  /** Who gives them, where that is another peer. */
  readonly peer?: PeerId;
  close(): void;
}

/** How a piece ended. Without a failure and with bytes missing it ended early. */
export interface PieceReport {
  readonly sentBytes: number;
  readonly failure?: RingloadError;
}

/** The first call of `next` has nothing to tell. Every piece is closed by who gave it. */
export type Pieces = AsyncGenerator<Piece, void, PieceReport>;

/** Pieces in order; what became of one is told with the demand for the next. */
export interface PieceFlow {
  next(report?: PieceReport): Promise<IteratorResult<Piece, void>>;
  return(): Promise<void>;
}

/** Reads on behalf of one client whose bytes stay in the thread that serves it. */
export interface HeldReads {
  /** Resolves when the peer has begun to answer. @throws peer_unreachable, or what it answered. */
  open(
    endpoint: string,
    request: SegmentRequest,
    signal: AbortSignal,
    watch?: BodyWatch,
  ): Promise<Piece>;
}

/** How a piece of another peer is waited for. */
export interface PieceWatch extends BodyWatch {
  readonly via?: HeldReads;
}

/** A piece whose first bytes are at hand. @throws what comes in their place. */
export async function beginPiece(
  length: number,
  chunks: AsyncIterable<Uint8Array>,
): Promise<Piece> {
  const iterator = chunks[Symbol.asyncIterator]();
  const first = await iterator.next();
  return {
    length,
    chunks: () => withFirst(first, iterator),
    close: () => {
      // Why not awaited: a step under way may wait for the network, and has its own deadline.
      iterator.return?.().catch(() => undefined);
    },
  };
}

async function* withFirst(
  first: IteratorResult<Uint8Array>,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for (let step = first; !step.done; step = await rest.next()) yield step.value;
}
