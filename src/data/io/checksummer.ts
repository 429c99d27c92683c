/** CRC32C of a segment and of its 64 KiB blocks, computed while the bytes pass by. */
import { crc32c } from '@node-rs/crc32';
import { CHECKSUM_BLOCK_BYTES, type SegmentChecksums } from '../../cache/segment-store.ts';

export class Checksummer {
  readonly #blocks: Uint32Array;
  #position = 0;
  #whole = 0;
  #block = 0;

  constructor(lengthBytes: number) {
    this.#blocks = new Uint32Array(Math.ceil(lengthBytes / CHECKSUM_BLOCK_BYTES));
  }

  update(bytes: Uint8Array): void {
    this.#whole = crc32c(bytes, this.#whole);
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
    return { crc32c: this.#whole, blockCrc32c: this.#blocks };
  }
}
