/**
 * Copies of what is read here again and again and lies elsewhere: more replicas of what is hot, at
 * the peers whose readers want it. They are ordinary copies, made from other peers only, within a
 * budget of bytes; those that are not read any more are let go of.
 *
 * Invariant: the copies that this book knows never take more than the budget, and none is dropped
 * that the ring wants here by now.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { toRingloadError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { segmentName, type SegmentStore } from '../cache/segment-store.ts';
import { keyOf, segmentLengthOf, type SegmentSlice } from './segment-slice.ts';

export interface HotCopiesOptions {
  readonly store: Pick<SegmentStore, 'free' | 'lookup'>;
  /** Copies the segment here, from peers only. @throws whatever keeps it from being copied */
  readonly copy: (slice: SegmentSlice) => Promise<void>;
  /** The ring wants the segment here. */
  readonly isOwner: (slice: SegmentSlice) => boolean;
  /** 0: no copies are made. */
  readonly budgetBytes: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A segment is hot when readers here fetched it so many times over, in so many reads, … */
const HOT_FACTOR = 4;
const HOT_READ_COUNT = 4;
/** … within that time. */
const WINDOW_MS = 60_000;
/** A copy is let go of when nobody read it for so long. */
const COOL_AFTER_MS = 120_000;
const SWEEP_MS = 30_000;
/** Segments whose reads are counted; the longest unread is forgotten. */
const COUNTED_MAX_COUNT = 10_000;
const PARALLEL_COPIES = 2;

interface Reads {
  sinceMs: number;
  count: number;
  bytes: number;
}

interface Copy {
  readonly slice: SegmentSlice;
  readonly bytes: number;
  readMs: number;
}

export class HotCopies {
  readonly #options: HotCopiesOptions;
  readonly #reads = new Map<string, Reads>();
  readonly #copies = new Map<string, Copy>();
  #copyingCount = 0;
  #bytes = 0;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: HotCopiesOptions) {
    this.#options = options;
  }

  /** Bytes of the copies. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes of the segment were read: from this cache, or from another peer's. */
  served(from: 'local' | 'peer', slice: SegmentSlice, bytes: number): void {
    if (this.#options.budgetBytes <= 0 || this.#isClosed) return;
    const name = segmentName(keyOf(slice));
    const copy = this.#copies.get(name);
    if (copy) copy.readMs = this.#options.clock.nowMs();
    if (from === 'peer' && !copy && this.#isHot(name, slice, bytes)) void this.#copy(name, slice);
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #isHot(name: string, slice: SegmentSlice, bytes: number): boolean {
    const nowMs = this.#options.clock.nowMs();
    const known = this.#reads.get(name);
    const reads =
      known && nowMs - known.sinceMs < WINDOW_MS ? known : { sinceMs: nowMs, count: 0, bytes: 0 };
    reads.count += 1;
    reads.bytes += bytes;
    this.#reads.delete(name);
    this.#reads.set(name, reads);
    const oldest = this.#reads.keys().next().value;
    if (this.#reads.size > COUNTED_MAX_COUNT && oldest !== undefined) this.#reads.delete(oldest);
    return reads.count >= HOT_READ_COUNT && reads.bytes >= HOT_FACTOR * segmentLengthOf(slice);
  }

  async #copy(name: string, slice: SegmentSlice): Promise<void> {
    const { copy, isOwner, clock, logger } = this.#options;
    const bytes = segmentLengthOf(slice);
    if (this.#copyingCount >= PARALLEL_COPIES || isOwner(slice)) return;
    if (!this.#makeRoom(bytes)) return;
    this.#reads.delete(name);
    this.#copyingCount += 1;
    this.#bytes += bytes;
    this.#copies.set(name, { slice, bytes, readMs: clock.nowMs() });
    this.#scheduleSweep();
    try {
      await copy(slice);
    } catch (thrown) {
      this.#forget(name);
      const { code, message } = toRingloadError(thrown);
      logger.debug('hot segment not copied', { code, reason: message });
    } finally {
      this.#copyingCount -= 1;
    }
  }

  /** Lets go of what was not read for as long as a segment is watched before it counts as hot. */
  #makeRoom(bytes: number): boolean {
    const { budgetBytes, clock } = this.#options;
    const coolest = [...this.#copies].sort(([, a], [, b]) => a.readMs - b.readMs);
    for (const [name, copy] of coolest) {
      if (this.#bytes + bytes <= budgetBytes) break;
      if (clock.nowMs() - copy.readMs < WINDOW_MS) return false;
      this.#drop(name, copy);
    }
    return this.#bytes + bytes <= budgetBytes;
  }

  #scheduleSweep(): void {
    this.#timer ??= this.#options.clock.setTimer(SWEEP_MS, () => {
      this.#timer = undefined;
      const nowMs = this.#options.clock.nowMs();
      for (const [name, copy] of [...this.#copies])
        if (nowMs - copy.readMs >= COOL_AFTER_MS) this.#drop(name, copy);
      if (this.#copies.size > 0 && !this.#isClosed) this.#scheduleSweep();
    });
  }

  #drop(name: string, { slice }: Copy): void {
    const { store, isOwner } = this.#options;
    this.#forget(name);
    // Why not: after a change of the ring it is one of the copies that there have to be.
    if (!isOwner(slice)) void store.free(keyOf(slice)).catch(() => undefined);
  }

  #forget(name: string): void {
    const copy = this.#copies.get(name);
    if (!copy) return;
    this.#copies.delete(name);
    this.#bytes -= copy.bytes;
  }
}
