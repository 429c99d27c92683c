/**
 * The latest blocks of a fill that others follow, in memory that the lane thread which receives them
 * and the serving thread which sends them on share.
 *
 * Whoever receives never waits for whoever follows: blocks overwrite each other in a ring, and who
 * comes too late reads them from their file. Invariant: a block that was received is in the ring or
 * written to its place, since a lane holds no more than two buffers that are not written yet. What
 * was read is right when it matches its checksum, wherever it was read and whatever happened to it
 * meanwhile.
 */
import { CHECKSUM_BLOCK_BYTES } from '../cache/segment-store.ts';

/** Two buffers of a lane, and some room for who reads while they go on. */
const RING_MAX_BLOCKS = 40;

/**
 * Blocks that are given on together, while more are to come: who is woken for each of them spends
 * more on waking than on sending.
 */
export const PIECE_BLOCKS = 4;

const RECEIVED = 0;
const WRITTEN = 1;
const IS_CUT = 2;
const WORDS = 4;

export class TrailMemory {
  readonly memory: SharedArrayBuffer;
  readonly blockCount: number;
  readonly #lengthBytes: number;
  readonly #words: Int32Array;
  readonly #crc32c: Uint32Array;
  readonly #ring: Uint8Array;
  readonly #ringBlocks: number;

  constructor(lengthBytes: number, memory?: SharedArrayBuffer) {
    const blockCount = Math.ceil(lengthBytes / CHECKSUM_BLOCK_BYTES);
    this.#lengthBytes = lengthBytes;
    this.blockCount = blockCount;
    this.#ringBlocks = Math.min(RING_MAX_BLOCKS, blockCount);
    const ringAt = 4 * (WORDS + blockCount);
    this.memory = memory ?? new SharedArrayBuffer(ringAt + this.#ringBlocks * CHECKSUM_BLOCK_BYTES);
    this.#words = new Int32Array(this.memory, 0, WORDS);
    this.#crc32c = new Uint32Array(this.memory, 4 * WORDS, blockCount);
    this.#ring = new Uint8Array(this.memory, ringAt);
  }

  /** Blocks from the first one on that came. */
  get receivedBlocks(): number {
    return Atomics.load(this.#words, RECEIVED);
  }

  /** Blocks from the first one on that can be read from their file. */
  get writtenBlocks(): number {
    return Atomics.load(this.#words, WRITTEN);
  }

  /** Nothing more will come, and what came may not be right. */
  get isCut(): boolean {
    return Atomics.load(this.#words, IS_CUT) === 1;
  }

  lengthOf(block: number): number {
    const missing = this.#lengthBytes - block * CHECKSUM_BLOCK_BYTES;
    return Math.min(CHECKSUM_BLOCK_BYTES, missing);
  }

  crc32cOf(block: number): number {
    return this.#crc32c[block] ?? 0;
  }

  // --- who receives ---

  /** The block that follows those that came; `bytes` absent: it is written already. */
  put(block: number, crc32c: number, bytes?: Uint8Array): void {
    this.#crc32c[block] = crc32c;
    if (bytes) this.#ring.set(bytes, this.#placeOf(block));
  }

  /** So many blocks may be read now. */
  received(blockCount: number): void {
    const before = this.receivedBlocks;
    Atomics.store(this.#words, RECEIVED, blockCount);
    const isPiece = Math.floor(before / PIECE_BLOCKS) < Math.floor(blockCount / PIECE_BLOCKS);
    if (isPiece || blockCount === this.blockCount) Atomics.notify(this.#words, RECEIVED);
  }

  written(blockCount: number): void {
    Atomics.store(this.#words, WRITTEN, blockCount);
    Atomics.notify(this.#words, RECEIVED);
  }

  /** All of it is in its file, with these checksums. */
  complete(blockCrc32c: Uint32Array): void {
    this.#crc32c.set(blockCrc32c);
    this.written(this.blockCount);
    this.received(this.blockCount);
  }

  cut(): void {
    Atomics.store(this.#words, IS_CUT, 1);
    Atomics.notify(this.#words, RECEIVED);
  }

  // --- who follows ---

  /** Whether the block may still be in the ring; only its checksum tells what was read from there. */
  mayHold(block: number): boolean {
    return block + this.#ringBlocks > this.receivedBlocks;
  }

  /** Copies what the ring has in the block's place. */
  copy(block: number, target: Uint8Array): void {
    const at = this.#placeOf(block);
    target.set(this.#ring.subarray(at, at + target.length));
  }

  /** Resolves when more may be read than when `seenBlocks` had come, or after that time. */
  async changed(seenBlocks: number, waitMs: number): Promise<void> {
    const wait = Atomics.waitAsync(this.#words, RECEIVED, seenBlocks, waitMs);
    if (wait.async) await wait.value;
  }

  #placeOf(block: number): number {
    return (block % this.#ringBlocks) * CHECKSUM_BLOCK_BYTES;
  }
}
