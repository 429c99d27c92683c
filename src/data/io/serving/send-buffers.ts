/**
 * Buffers that ranges are read into and sent from, used again and again. Each has room for the head
 * of an answer in front of the blocks, so that head and first bytes are sent in one piece.
 */
import { CHECKSUM_BLOCK_BYTES } from '../../../cache/segment-store.ts';

export const HEAD_ROOM_BYTES = 512;
/** What stays in the processor's cache between reading, checking and sending. */
export const SEND_MAX_BYTES = 256 * 1024;
/** Buffers of each size that wait for the next reader. */
const FREE_MAX_COUNT = 32;

export class SendBuffers {
  readonly #free = new Map<number, Buffer[]>();

  /** Room for a head and so many bytes, at most {@link SEND_MAX_BYTES}. */
  take(bodyBytes: number): Buffer {
    const roomBytes = roomFor(bodyBytes);
    return this.#free.get(roomBytes)?.pop() ?? Buffer.allocUnsafeSlow(roomBytes);
  }

  giveBack(buffer: Buffer): void {
    const free = this.#free.get(buffer.length);
    if (!free) this.#free.set(buffer.length, [buffer]);
    else if (free.length < FREE_MAX_COUNT) free.push(buffer);
  }
}

function roomFor(bodyBytes: number): number {
  let blocksBytes = CHECKSUM_BLOCK_BYTES;
  while (blocksBytes < bodyBytes) blocksBytes *= 2;
  return HEAD_ROOM_BYTES + blocksBytes;
}
