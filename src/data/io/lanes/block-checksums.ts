/** CRC32C of the 64 KiB blocks of a segment while it arrives in order, from a block's edge on. */
import { crc32c } from '@node-rs/crc32';
import { CHECKSUM_BLOCK_BYTES } from '../../../cache/segment-store.ts';
import type { BlockRun } from './lane-orders.ts';

export class BlockChecksums {
  readonly #first: number;
  readonly #blocks: Uint32Array;
  #position = 0;
  #current = 0;

  /** @param start a multiple of the block size. */
  constructor(start: number, lengthBytes: number) {
    this.#first = start / CHECKSUM_BLOCK_BYTES;
    this.#blocks = new Uint32Array(Math.ceil((lengthBytes - start) / CHECKSUM_BLOCK_BYTES));
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const room = CHECKSUM_BLOCK_BYTES - (this.#position % CHECKSUM_BLOCK_BYTES);
      const part = bytes.subarray(at, at + room);
      this.#current = crc32c(part, this.#current);
      this.#position += part.length;
      at += part.length;
      const isFull = this.#position % CHECKSUM_BLOCK_BYTES === 0;
      const block = Math.ceil(this.#position / CHECKSUM_BLOCK_BYTES) - 1;
      this.#blocks[block] = this.#current;
      if (isFull) this.#current = 0;
    }
  }

  /** Of one block of the segment, as far as it came. */
  of(block: number): number {
    return this.#blocks[block - this.#first] ?? 0;
  }

  /** All blocks, or those of the first `keptBytes` since the start. */
  run(keptBytes = this.#position): BlockRun {
    const count = Math.ceil(keptBytes / CHECKSUM_BLOCK_BYTES);
    return { first: this.#first, crc32c: this.#blocks.slice(0, count) };
  }
}
