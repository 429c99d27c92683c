/** A range of one version as pieces of its segments, in order, with some of them opened ahead. */
import { RingloadError } from '../base/errors.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import type { HeldReads, Piece, Pieces } from '../data/pieces.ts';
import { ReadAhead, type AheadBudget } from './read-ahead.ts';
import { slicesOf, type SegmentSlice } from './segment-slice.ts';
import type { SegmentSources } from './segment-sources.ts';

export interface StitchOptions {
  readonly record: FileRecord;
  readonly offset: number;
  readonly length: number;
  readonly sources: Pick<SegmentSources, 'pieces' | 'prepare'>;
  readonly budget: AheadBudget;
  readonly via?: HeldReads;
}

interface BegunSegment {
  readonly index: number;
  readonly pieces: Pieces;
  readonly first: Promise<IteratorResult<Piece, void>>;
  wasMissed: boolean;
}

/** Made once: every range ends, and a stack costs more than the rest of its end. */
const OVER = new RingloadError('cancelled', 'the range is over');

/** The next segment is opened while one is read, and more of them are asked for where they miss. */
export async function* stitch(options: StitchOptions, controller: AbortController): Pieces {
  const { record, offset, length, sources, budget } = options;
  const { signal } = controller;
  const slices = slicesOf(record, offset, length);
  const ahead = new ReadAhead({
    slices: slicesOf(record, offset, length),
    prepare: (slice, order) => sources.prepare(slice, order),
    budget,
  });
  let current = begin(options, slices, signal);
  let following: BegunSegment | undefined;
  try {
    while (current) {
      let next = await current.first;
      following = begin(options, slices, signal);
      ahead.opened(current.index, current.wasMissed);
      while (!next.done) next = await current.pieces.next(yield next.value);
      current = following;
      following = undefined;
    }
  } finally {
    // Why before the returns: they wait for a step under way, which may wait for the network.
    controller.abort(OVER);
    ahead.end(OVER);
    await current?.pieces.return(undefined);
    await following?.pieces.return(undefined);
  }
}

function begin(
  { sources, via }: StitchOptions,
  slices: Generator<SegmentSlice>,
  signal: AbortSignal,
): BegunSegment | undefined {
  const next = slices.next();
  if (next.done) return undefined;
  const onMiss = (): void => {
    begun.wasMissed = true;
  };
  const pieces = sources.pieces(next.value, signal, { ...(via && { via }), onMiss });
  const first = pieces.next();
  // Why: a failure is seen when the segment's turn comes; until then it is not unhandled.
  first.catch(() => undefined);
  const begun: BegunSegment = { index: next.value.index, pieces, first, wasMissed: false };
  return begun;
}
