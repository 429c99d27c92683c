/**
 * Memory for chunks that readers were given and have not done with. A chunk lives for as long as
 * its client is slow, and there may be thousands of clients: the more is out, the smaller are the
 * next chunks, down to one block, the least that can be checked. So the memory of slow clients is
 * bounded by their number and not by what they read.
 */
import { CHECKSUM_BLOCK_BYTES } from './segment-store.ts';

/** Bytes read at once. */
export const READ_CHUNK_BYTES = 1024 * 1024;

/** Chunks of full size until this much is out, less eight of them. */
const ROOM_BYTES = 64 * 1024 * 1024;
/** A reader gets this part of what is left. */
const SHARE = 8;

export class ReadRoom {
  #outBytes = 0;

  /** Bytes of chunks that were given out. */
  get outBytes(): number {
    return this.#outBytes;
  }

  /** How long the next chunk may be: whole blocks. */
  get chunkBytes(): number {
    const share = (ROOM_BYTES - this.#outBytes) / SHARE;
    const blocks = Math.floor(share / CHECKSUM_BLOCK_BYTES);
    return Math.min(READ_CHUNK_BYTES, Math.max(1, blocks) * CHECKSUM_BLOCK_BYTES);
  }

  take(bytes: number): void {
    this.#outBytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#outBytes -= bytes;
  }
}
