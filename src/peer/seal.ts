/**
 * Frames that only the peer of the handshake can have sent, in this order: each carries a tag
 * over its number and content. What is altered, dropped, repeated or moved on the way ends the
 * link. Contents stay readable on the wire; TLS is what hides them.
 *
 * Layout: tag (16 bytes) | form (1 byte: 0 text, 1 part) | content.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { RingloadError } from '../base/errors.ts';

const TAG_BYTES = 16;
const HEADER_BYTES = TAG_BYTES + 1;

export type FrameForm = 'text' | 'part';

export interface Unsealed {
  readonly form: FrameForm;
  readonly content: Buffer;
}

export class FrameSeal {
  readonly #sendKey: KeyObject;
  readonly #receiveKey: KeyObject;
  #sentCount = 0;
  #receivedCount = 0;

  constructor(keys: { readonly send: KeyObject; readonly receive: KeyObject }) {
    this.#sendKey = keys.send;
    this.#receiveKey = keys.receive;
  }

  seal(form: FrameForm, content: Uint8Array): Buffer {
    const frame = Buffer.allocUnsafe(HEADER_BYTES + content.length);
    frame[TAG_BYTES] = form === 'text' ? 0 : 1;
    frame.set(content, HEADER_BYTES);
    frame.set(tagOf(this.#sendKey, this.#sentCount++, frame.subarray(TAG_BYTES)), 0);
    return frame;
  }

  /** @throws unauthenticated when the frame is not the next one of the other side. */
  open(frame: Buffer): Unsealed {
    const sealed = frame.subarray(TAG_BYTES);
    const form = sealed[0];
    const tag = frame.subarray(0, TAG_BYTES);
    const number = this.#receivedCount++;
    if (
      frame.length < HEADER_BYTES ||
      !timingSafeEqual(tag, tagOf(this.#receiveKey, number, sealed))
    ) {
      throw new RingloadError('unauthenticated', `frame ${number} of the link has a wrong tag`);
    }
    return { form: form === 0 ? 'text' : 'part', content: frame.subarray(HEADER_BYTES) };
  }
}

function tagOf(key: KeyObject, number: number, sealed: Uint8Array): Buffer {
  const numberBytes = Buffer.alloc(8);
  numberBytes.writeBigUInt64BE(BigInt(number));
  return createHmac('sha256', key)
    .update(numberBytes)
    .update(sealed)
    .digest()
    .subarray(0, TAG_BYTES);
}
