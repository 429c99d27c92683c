/**
 * Long messages in parts, so that a ping or a heartbeat never waits behind a snapshot.
 *
 * A part is `stream id (u32) | last (u8) | bytes`. Streams may interleave with each other and
 * with whole frames; the parts of one stream come in order because the connection is ordered.
 * Invariant: a joiner never holds more than its bound, whatever the other side sends.
 */
import { RingloadError } from '../base/errors.ts';

const HEADER_BYTES = 5;
/** Streams open at a time per link; the sender here uses one. */
const STREAMS_MAX = 4;

/** One message being cut; `next` gives its parts in order. */
export class PartCutter {
  readonly #message: Uint8Array;
  readonly #streamId: number;
  readonly #partBytes: number;
  #offset = 0;

  constructor(message: Uint8Array, streamId: number, partBytes: number) {
    this.#message = message;
    this.#streamId = streamId >>> 0;
    this.#partBytes = partBytes;
  }

  get remainingBytes(): number {
    return this.#message.length - this.#offset;
  }

  /** Undefined after the last part. */
  next(): Uint8Array | undefined {
    if (this.remainingBytes === 0) return undefined;
    const end = Math.min(this.#message.length, this.#offset + this.#partBytes);
    const part = new Uint8Array(HEADER_BYTES + end - this.#offset);
    const view = new DataView(part.buffer);
    view.setUint32(0, this.#streamId);
    view.setUint8(4, end === this.#message.length ? 1 : 0);
    part.set(this.#message.subarray(this.#offset, end), HEADER_BYTES);
    this.#offset = end;
    return part;
  }
}

export class PartJoiner {
  readonly #messageMaxBytes: number;
  readonly #streams = new Map<number, Uint8Array[]>();
  #heldBytes = 0;

  /** @param messageMaxBytes bound of all unfinished messages together. */
  constructor(messageMaxBytes: number) {
    this.#messageMaxBytes = messageMaxBytes;
  }

  /**
   * The whole message when `part` is its last one.
   * @throws invalid_argument for a malformed part, payload_too_large beyond the bounds.
   */
  add(part: Uint8Array): Uint8Array | undefined {
    if (part.length <= HEADER_BYTES) {
      throw new RingloadError('invalid_argument', `message part has only ${part.length} bytes`);
    }
    const view = new DataView(part.buffer, part.byteOffset, part.byteLength);
    const streamId = view.getUint32(0);
    const pieces = this.#streams.get(streamId) ?? [];
    pieces.push(part.subarray(HEADER_BYTES));
    this.#heldBytes += part.length - HEADER_BYTES;
    if (this.#heldBytes > this.#messageMaxBytes) {
      throw new RingloadError(
        'payload_too_large',
        `message in parts is over ${this.#messageMaxBytes} bytes`,
      );
    }
    if (view.getUint8(4) === 0) {
      this.#streams.set(streamId, pieces);
      if (this.#streams.size > STREAMS_MAX) {
        throw new RingloadError('payload_too_large', `more than ${STREAMS_MAX} messages in parts`);
      }
      return undefined;
    }
    this.#streams.delete(streamId);
    const message = join(pieces);
    this.#heldBytes -= message.length;
    return message;
  }
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  const message = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    message.set(piece, offset);
    offset += piece.length;
  }
  return message;
}
