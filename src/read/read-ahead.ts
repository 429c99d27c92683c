/**
 * Segments that are brought into caches before a reader comes to them. A reader who met misses, one
 * segment after the other, will meet more of them: with each the distance grows, up to what one
 * reader, and all of this peer together, may have ordered ahead. Nothing of it lies in memory.
 */
import type { SegmentSlice } from './segment-slice.ts';

const READER_MAX_BYTES = 64 * 1024 * 1024;
const PEER_MAX_BYTES = 256 * 1024 * 1024;

/** What all readers of a peer have ordered ahead. */
export class AheadBudget {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number = PEER_MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#maxBytes) return false;
    this.#bytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }
}

export interface ReadAheadOptions {
  /** What the reader will come to, in order. */
  readonly slices: Iterator<SegmentSlice>;
  readonly prepare: (slice: SegmentSlice, signal: AbortSignal) => Promise<void>;
  readonly budget: AheadBudget;
  readonly readerMaxBytes?: number;
}

export class ReadAhead {
  readonly #options: ReadAheadOptions;
  /** Segments that were ordered and have not come, and all that the reader has not reached. */
  readonly #underWay = new Set<number>();
  readonly #foreseen = new Set<number>();
  /** One for each order: hundreds that listen to one signal would look like a leak. */
  readonly #orders = new Set<AbortController>();
  #next: SegmentSlice | undefined;
  #missCount = 0;
  #aheadBytes = 0;

  constructor(options: ReadAheadOptions) {
    this.#options = options;
    this.#step();
  }

  /** The reader has opened that segment, and the one behind it; it was in a cache, or not. */
  opened(index: number, isMiss: boolean): void {
    const wasForeseen = this.#foreseen.delete(index);
    this.#missCount = isMiss || wasForeseen ? this.#missCount + 1 : 0;
    while (this.#next && this.#next.index <= index + 1) this.#step();
    while (this.#next && this.#underWay.size < this.#missCount) {
      if (!this.#order(this.#next)) return;
      this.#step();
    }
  }

  /** Nobody reads on: what was ordered is not waited for any more. */
  end(reason: Error): void {
    for (const order of this.#orders) order.abort(reason);
  }

  /** False when there is no room for it. */
  #order(slice: SegmentSlice): boolean {
    const { prepare, budget, readerMaxBytes = READER_MAX_BYTES } = this.#options;
    const { index, record } = slice;
    const bytes = record.segmentSizeBytes;
    if (this.#aheadBytes + bytes > readerMaxBytes || !budget.take(bytes)) return false;
    this.#aheadBytes += bytes;
    this.#underWay.add(index);
    this.#foreseen.add(index);
    const order = new AbortController();
    this.#orders.add(order);
    const done = (): void => {
      this.#orders.delete(order);
      this.#underWay.delete(index);
      this.#aheadBytes -= bytes;
      budget.giveBack(bytes);
    };
    // A failure is met again by the reader, who has more sources.
    prepare(slice, order.signal).then(done, done);
    return true;
  }

  #step(): void {
    const next = this.#options.slices.next();
    this.#next = next.done === true ? undefined : next.value;
  }
}
