/**
 * Gives on a segment that this peer receives itself: each block once it has come, from the ring in
 * which the lane leaves it, or from its file where this client is too slow for that. The checksum of
 * the whole follows when the fill was judged good.
 *
 * Invariant: no byte leaves before the checksum of its block was compared, and no checksum of the
 * segment before the main thread has said it.
 */
import { crc32c } from '@node-rs/crc32';
import { CHECKSUM_BLOCK_BYTES } from '../../../cache/segment-store.ts';
import { PIECE_BLOCKS, TrailMemory } from '../../trail-memory.ts';
import type { Outlet } from './held-read.ts';
import type { SenderParts } from './range-sender.ts';
import { HEAD_ROOM_BYTES, SEND_MAX_BYTES } from './send-buffers.ts';
import type { FollowedFill } from './serving-messages.ts';
import type { Turns } from './serving-turns.ts';

export interface FollowerParts extends SenderParts {
  readonly nowMs: () => number;
}

export interface FollowedRange {
  readonly fill: FollowedFill;
  /** Sent in front of the first byte, in one piece with it. */
  readonly head: string;
  readonly turns: Turns;
}

export interface FollowEnd {
  /** `cut`: the fill came to nothing, stands still, or its bytes are not to be had. */
  readonly kind: 'sent' | 'cut';
  readonly ringBytes: number;
  readonly diskBytes: number;
}

/** Blocks that were checked, behind the room for a head. */
interface Piece {
  readonly buffer: Buffer;
  readonly blockCount: number;
}

/** A fill that does not go on for so long is not waited for: its client has better things to do. */
const STALL_MAX_MS = 5000;
const LOOK_MS = 1000;

export class FillFollower {
  readonly #outlet: Outlet;
  readonly #fill: FollowedFill;
  readonly #head: string;
  readonly #turns: Turns;
  readonly #parts: FollowerParts;
  readonly #onEnd: (end: FollowEnd) => void;
  readonly #trail: TrailMemory;
  /** Blocks that were sent. */
  #sentBlocks = 0;
  #hasBegun = false;
  #isStopped = false;
  #sending: Buffer | undefined;
  #tail: string | undefined;
  #wake: () => void = () => undefined;
  #progressMs: number;
  #ringBytes = 0;
  #diskBytes = 0;

  /** `onEnd` is called once, unless the follower is stopped before. */
  constructor(
    outlet: Outlet,
    wanted: FollowedRange,
    parts: FollowerParts,
    onEnd: (end: FollowEnd) => void,
  ) {
    this.#outlet = outlet;
    this.#fill = wanted.fill;
    this.#head = wanted.head;
    this.#turns = wanted.turns;
    this.#parts = parts;
    this.#onEnd = onEnd;
    this.#trail = new TrailMemory(wanted.fill.lengthBytes, wanted.fill.memory);
    this.#progressMs = parts.nowMs();
  }

  /** Whether a part of the answer has left. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  start(): void {
    void this.#run();
  }

  /** The fill is good: what goes behind the segment. */
  judged(tail: string): void {
    this.#tail = tail;
    this.#wake();
  }

  /** Nobody waits for it any more. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#wake();
    // Why not given back to the buffers: who knows what the system does with it.
    if (this.#sending) this.#parts.room.giveBack(this.#sending.length);
  }

  async #run(): Promise<void> {
    try {
      while (this.#sentBlocks < this.#trail.blockCount) {
        await new Promise<void>((resolve) => {
          this.#turns.take(resolve);
        });
        const piece = await this.#next();
        if (!piece) {
          this.#finish('cut');
          return;
        }
        await this.#send(piece.buffer, piece.blockCount);
      }
      this.#finish(await this.#sendTail());
    } catch {
      this.#finish('cut');
    }
  }

  /** The blocks that follow, once they are to be had; undefined: they never will be. */
  async #next(): Promise<Piece | undefined> {
    while (!this.#isStopped && !this.#trail.isCut) {
      const seenBlocks = this.#trail.receivedBlocks;
      if (this.#isWorthIt(seenBlocks)) {
        const piece = this.#fromRing(seenBlocks) ?? (await this.#fromDisk());
        if (piece) return piece;
      }
      if (this.#parts.nowMs() - this.#progressMs > STALL_MAX_MS) return undefined;
      await this.#trail.changed(seenBlocks, LOOK_MS);
    }
    return undefined;
  }

  /** Up to the next edge of a piece, so that the one who receives wakes us there. */
  #isWorthIt(receivedBlocks: number): boolean {
    const pieceEnd = PIECE_BLOCKS * (Math.floor(this.#sentBlocks / PIECE_BLOCKS) + 1);
    return receivedBlocks >= Math.min(pieceEnd, this.#trail.blockCount);
  }

  #fromRing(receivedBlocks: number): Piece | undefined {
    const buffer = this.#take(receivedBlocks);
    if (!buffer) return undefined;
    let blockCount = 0;
    for (const { block, bytes } of this.#blocksOf(buffer, receivedBlocks)) {
      if (!this.#trail.mayHold(block)) break;
      this.#trail.copy(block, bytes);
      if (crc32c(bytes) !== this.#trail.crc32cOf(block)) break;
      blockCount++;
      this.#ringBytes += bytes.length;
    }
    return this.#pieceOf(buffer, blockCount);
  }

  async #fromDisk(): Promise<Piece | undefined> {
    const { writtenBlocks } = this.#trail;
    const buffer = this.#take(writtenBlocks);
    if (!buffer) return undefined;
    const blocks = [...this.#blocksOf(buffer, writtenBlocks)];
    const byteCount = blocks.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const target = buffer.subarray(HEAD_ROOM_BYTES, HEAD_ROOM_BYTES + byteCount);
    const at = this.#fill.offset + this.#sentBlocks * CHECKSUM_BLOCK_BYTES;
    let blockCount = 0;
    try {
      const read = (): boolean | Promise<boolean> =>
        this.#parts.files.read(this.#fill.path, target, at);
      if (await this.#turns.read(read)) {
        for (const { block, bytes } of blocks) {
          if (crc32c(bytes) !== this.#trail.crc32cOf(block)) break;
          blockCount++;
          this.#diskBytes += bytes.length;
        }
      }
    } catch (error) {
      this.#giveBack(buffer);
      throw error;
    }
    return this.#pieceOf(buffer, blockCount);
  }

  /** Room for the blocks that follow, up to `endBlock`; undefined: there are none. */
  #take(endBlock: number): Buffer | undefined {
    const blocks = endBlock - this.#sentBlocks;
    if (blocks <= 0) return undefined;
    const { room, buffers } = this.#parts;
    const wanted = Math.min(blocks * CHECKSUM_BLOCK_BYTES, SEND_MAX_BYTES, room.chunkBytes);
    const buffer = buffers.take(wanted);
    room.take(buffer.length);
    return buffer;
  }

  *#blocksOf(buffer: Buffer, endBlock: number): Generator<{ block: number; bytes: Buffer }> {
    let at = HEAD_ROOM_BYTES;
    for (let block = this.#sentBlocks; block < endBlock; block++) {
      const end = at + this.#trail.lengthOf(block);
      if (end > buffer.length) return;
      yield { block, bytes: buffer.subarray(at, end) };
      at = end;
    }
  }

  #pieceOf(buffer: Buffer, blockCount: number): Piece | undefined {
    if (blockCount > 0) return { buffer, blockCount };
    this.#giveBack(buffer);
    return undefined;
  }

  /** Resolves when the kernel has taken them; never, when the client is gone. */
  #send(buffer: Buffer, blockCount: number): Promise<void> {
    const end = Math.min(
      this.#fill.lengthBytes,
      (this.#sentBlocks + blockCount) * CHECKSUM_BLOCK_BYTES,
    );
    const byteCount = end - this.#sentBlocks * CHECKSUM_BLOCK_BYTES;
    let begin = HEAD_ROOM_BYTES;
    if (!this.#hasBegun) {
      // Head and first bytes are sent in one piece.
      begin -= this.#head.length;
      buffer.write(this.#head, begin, 'latin1');
      this.#hasBegun = true;
    }
    this.#sentBlocks += blockCount;
    this.#progressMs = this.#parts.nowMs();
    if (this.#isStopped) this.#giveBack(buffer);
    else this.#sending = buffer;
    return new Promise((resolve) => {
      if (this.#isStopped) return;
      this.#outlet.write(buffer.subarray(begin, HEAD_ROOM_BYTES + byteCount), (error) => {
        if (error || this.#isStopped) return;
        this.#sending = undefined;
        this.#giveBack(buffer);
        resolve();
      });
    });
  }

  async #sendTail(): Promise<FollowEnd['kind']> {
    if (this.#tail === undefined) await this.#untilJudged();
    const tail = this.#tail;
    if (tail === undefined || this.#isStopped) return 'cut';
    return new Promise((resolve) => {
      this.#outlet.write(Buffer.from(tail, 'latin1'), (error) => {
        resolve(error ? 'cut' : 'sent');
      });
    });
  }

  /** Or until that has taken too long. */
  #untilJudged(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, STALL_MAX_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #giveBack(buffer: Buffer): void {
    this.#parts.room.giveBack(buffer.length);
    this.#parts.buffers.giveBack(buffer);
  }

  #finish(kind: FollowEnd['kind']): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#onEnd({ kind, ringBytes: this.#ringBytes, diskBytes: this.#diskBytes });
  }
}
