/**
 * A range whose first piece is at hand, for whoever sends pieces; and the same as chunks.
 *
 * Leaving it aborts its sources at once, even before the first step and while one is under way: a
 * generator alone would do neither.
 */
import { RingloadError, toRingloadError } from '../base/errors.ts';
import type { Piece, PieceFlow, PieceReport, Pieces } from '../data/pieces.ts';

export class RangePieces implements PieceFlow {
  readonly #pieces: Pieces;
  readonly #controller: AbortController;
  #first: IteratorResult<Piece, void> | undefined;

  constructor(first: IteratorResult<Piece, void>, pieces: Pieces, controller: AbortController) {
    this.#first = first;
    this.#pieces = pieces;
    this.#controller = controller;
  }

  next(report: PieceReport = { sentBytes: 0 }): Promise<IteratorResult<Piece, void>> {
    const first = this.#first;
    this.#first = undefined;
    return first ? Promise.resolve(first) : this.#pieces.next(report);
  }

  async return(): Promise<void> {
    this.#first = undefined;
    if (!this.#controller.signal.aborted)
      this.#controller.abort(new RingloadError('cancelled', 'the reader stopped'));
    await this.#pieces.return(undefined).catch(() => undefined);
  }
}

export class RangeBody implements AsyncIterableIterator<Uint8Array> {
  readonly #pieces: PieceFlow;
  readonly #chunks: AsyncGenerator<Uint8Array>;

  constructor(pieces: PieceFlow) {
    this.#pieces = pieces;
    this.#chunks = chunksOf(pieces);
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    return this.#chunks.next();
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    await this.#pieces.return();
    await this.#chunks.return(undefined).catch(() => undefined);
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

async function* chunksOf(pieces: PieceFlow): AsyncGenerator<Uint8Array> {
  let report: PieceReport | undefined;
  for (;;) {
    const step = await pieces.next(report);
    if (step.done) return;
    report = yield* chunksOfOne(step.value);
  }
}

async function* chunksOfOne(piece: Piece): AsyncGenerator<Uint8Array, PieceReport> {
  let sentBytes = 0;
  try {
    for await (const chunk of piece.chunks()) {
      if (sentBytes + chunk.length > piece.length) {
        const message = `a source sent more than the ${String(piece.length)} bytes asked for`;
        throw new RingloadError('ufs_bad_response', message);
      }
      sentBytes += chunk.length;
      yield chunk;
    }
  } catch (thrown) {
    return { sentBytes, failure: toRingloadError(thrown) };
  }
  return { sentBytes };
}
