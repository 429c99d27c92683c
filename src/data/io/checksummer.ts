/**
 * CRC32C of a segment and of its 64 KiB blocks, computed while the bytes pass by. Every byte is
 * read once: the segment's checksum is put together from those of its blocks.
 */
import { crc32c } from '@node-rs/crc32';
import { CHECKSUM_BLOCK_BYTES, type SegmentChecksums } from '../../cache/segment-store.ts';
import { combineCrc32c } from './crc32c-combine.ts';

export class Checksummer {
  readonly #blocks: Uint32Array;
  #position = 0;
  #block = 0;

  constructor(lengthBytes: number) {
    this.#blocks = new Uint32Array(Math.ceil(lengthBytes / CHECKSUM_BLOCK_BYTES));
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const room = CHECKSUM_BLOCK_BYTES - (this.#position % CHECKSUM_BLOCK_BYTES);
      const part = bytes.subarray(at, at + room);
      this.#block = crc32c(part, this.#block);
      this.#blocks[Math.floor(this.#position / CHECKSUM_BLOCK_BYTES)] = this.#block;
      this.#position += part.length;
      at += part.length;
      if (this.#position % CHECKSUM_BLOCK_BYTES === 0) this.#block = 0;
    }
  }

  result(): SegmentChecksums {
    let whole = 0;
    for (const [index, block] of this.#blocks.entries()) {
      const rest = this.#position - index * CHECKSUM_BLOCK_BYTES;
      if (rest > 0) whole = combineCrc32c(whole, block, Math.min(CHECKSUM_BLOCK_BYTES, rest));
    }
    return { crc32c: whole, blockCrc32c: this.#blocks };
  }
}
