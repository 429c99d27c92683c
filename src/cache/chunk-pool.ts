/**
 * Memory for chunks that readers are given, used again and again: fresh memory costs a fault of the
 * page table for each page, which is more than reading into it.
 *
 * Whoever has done with a chunk may say so. Nobody has to: what is never given back is collected
 * like any other memory.
 */
import { CHECKSUM_BLOCK_BYTES } from './segment-store.ts';

/** Chunks that wait for the next reader. */
const FREE_MAX_BYTES = 16 * 1024 * 1024;

export class ChunkPool {
  /** By length, which is a power of two of blocks; the one that was given back last is last. */
  readonly #free = new Map<number, ArrayBuffer[]>();
  readonly #lent = new WeakSet<ArrayBufferLike>();
  #freeBytes = 0;

  /** @returns exactly so many bytes, of any content. */
  take(lengthBytes: number): Uint8Array<ArrayBuffer> {
    const roomBytes = roomFor(lengthBytes);
    const memory = this.#free.get(roomBytes)?.pop();
    if (memory) this.#freeBytes -= roomBytes;
    const lent = memory ?? Buffer.allocUnsafeSlow(roomBytes).buffer;
    this.#lent.add(lent);
    return new Uint8Array(lent, 0, lengthBytes);
  }

  /** Nobody looks at the chunk, or at a part of it, any more. What is not from here is ignored. */
  giveBack({ buffer }: Uint8Array): void {
    if (!this.#lent.delete(buffer) || !(buffer instanceof ArrayBuffer)) return;
    if (this.#freeBytes + buffer.byteLength > FREE_MAX_BYTES) return;
    this.#freeBytes += buffer.byteLength;
    const free = this.#free.get(buffer.byteLength);
    if (free) free.push(buffer);
    else this.#free.set(buffer.byteLength, [buffer]);
  }
}

function roomFor(lengthBytes: number): number {
  let roomBytes = CHECKSUM_BLOCK_BYTES;
  while (roomBytes < lengthBytes) roomBytes *= 2;
  return roomBytes;
}
