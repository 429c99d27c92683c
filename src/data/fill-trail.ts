/**
 * A fill that other peers may follow while it runs, as the main thread sees it: from the first byte
 * of its body to the moment when the segment can be opened like any other.
 *
 * Invariant: who follows learns the checksum of the segment only when the fill was judged good;
 * without it a copy is worth nothing.
 */
import { RingloadError } from '../base/errors.ts';
import type { SegmentChecksums } from '../cache/segment-store.ts';
import { TrailMemory } from './trail-memory.ts';

export interface TrailPlace {
  readonly path: string;
  /** Where the segment begins in the file. */
  readonly offset: number;
}

/** One peer that follows. */
export interface Following extends TrailPlace {
  readonly lengthBytes: number;
  readonly memory: SharedArrayBuffer;
  /** CRC32C of the segment, once the fill was judged good. Rejects when it came to nothing. */
  readonly judged: Promise<number>;
  close(): void;
}

/** Keeps a segment in its place. */
export interface Held {
  close(): void;
}

export class FillTrail {
  readonly #lengthBytes: number;
  readonly #onBegun: () => void;
  #place: TrailPlace | undefined;
  #trail: TrailMemory | undefined;
  /** Gives the memory to whoever receives now. */
  #attach: ((memory: SharedArrayBuffer) => void) | undefined;
  #checksums: SegmentChecksums | undefined;
  #isOver = false;
  #held: Held | undefined;
  #followerCount = 0;
  readonly #judged: Promise<number>;
  #resolve!: (crc32c: number) => void;
  #reject!: (error: RingloadError) => void;

  constructor(lengthBytes: number, onBegun: () => void) {
    this.#lengthBytes = lengthBytes;
    this.#onBegun = onBegun;
    this.#judged = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#judged.catch(() => undefined);
  }

  /** For whoever receives from now on; undefined: nobody follows yet. */
  get memory(): SharedArrayBuffer | undefined {
    return this.#trail?.memory;
  }

  /** Undefined: there is nothing to follow, not yet or not any more. */
  follow(): Following | undefined {
    if (!this.#place || this.#isOver) return undefined;
    if (!this.#trail) {
      this.#trail = new TrailMemory(this.#lengthBytes);
      if (this.#checksums) this.#trail.complete(this.#checksums.blockCrc32c);
      else this.#attach?.(this.#trail.memory);
    }
    this.#followerCount++;
    let isClosed = false;
    return {
      ...this.#place,
      lengthBytes: this.#lengthBytes,
      memory: this.#trail.memory,
      judged: this.#judged,
      close: () => {
        if (isClosed) return;
        isClosed = true;
        this.#followerCount--;
        this.#letGo();
      },
    };
  }

  // --- who fills ---

  /** The body flows, as it was promised; `attach` tells whoever receives it of followers. */
  begin(place: TrailPlace, attach: (memory: SharedArrayBuffer) => void): void {
    const isFirst = !this.#place;
    this.#place = place;
    this.#attach = attach;
    if (this.#isOver) return;
    if (isFirst) this.#onBegun();
  }

  /** Nobody receives any more, for now or for good. */
  rest(): void {
    this.#attach = undefined;
  }

  /** All of it came and is what it should be. */
  judge(checksums: SegmentChecksums): void {
    this.#checksums = checksums;
    this.#trail?.complete(checksums.blockCrc32c);
    this.#resolve(checksums.crc32c);
  }

  /** The segment can be opened: from now on it is, and those who follow keep it in its place. */
  async keep(open: () => Promise<Held | undefined>): Promise<void> {
    this.#isOver = true;
    if (this.#followerCount === 0) return;
    this.#held = await open();
    this.#letGo();
  }

  /** It came to nothing, and those who follow with it. */
  fail(): void {
    this.#isOver = true;
    this.#trail?.cut();
    this.#reject(new RingloadError('not_found', 'the fill that was followed came to nothing'));
  }

  #letGo(): void {
    if (this.#followerCount > 0) return;
    this.#held?.close();
    this.#held = undefined;
  }
}
