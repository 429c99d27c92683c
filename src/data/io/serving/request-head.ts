/**
 * A strict reader of HTTP/1.1 request heads (RFC 9112) for the data endpoint: GET without a body,
 * as other peers send it. Everything else is refused and costs the connection. Pure.
 */
import { COPY_PURPOSE, PURPOSE_HEADER } from '../../segment-request.ts';
import { headLength, parseField } from '../http-head.ts';

export const REQUEST_HEAD_MAX_BYTES = 16 * 1024;

export type ParsedRequest =
  | {
      readonly kind: 'request';
      readonly target: string;
      readonly authorization: string;
      /** Whether the connection may take another request. */
      readonly keepAlive: boolean;
      /** Nobody reads it now: it is loaded ahead, or moved. */
      readonly isCopy: boolean;
    }
  | { readonly kind: 'method' }
  | { readonly kind: 'unfit'; readonly why: string };

const REQUEST_LINE = /^([A-Z]{1,16}) ([!-~]{1,8192}) HTTP\/1\.1$/;

/** The bytes of one connection until a head is whole. */
export class RequestHeads {
  #bytes: Buffer = Buffer.alloc(0);

  /** Bytes that came after the last head that was taken. */
  get heldBytes(): number {
    return this.#bytes.length;
  }

  push(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
  }

  /** The next request; undefined while it is not whole. */
  take(): ParsedRequest | undefined {
    const length = headLength(this.#bytes, 0);
    if (length < 0) {
      const isTooLarge = this.#bytes.length >= REQUEST_HEAD_MAX_BYTES;
      return isTooLarge ? { kind: 'unfit', why: 'its head is too large' } : undefined;
    }
    const text = this.#bytes.toString('latin1', 0, length - 4);
    // Why a copy: what is left would keep the whole buffer of the socket.
    this.#bytes = Buffer.from(this.#bytes.subarray(length));
    return parseRequest(text);
  }
}

/** @param text the head without its empty line, one character per byte. */
export function parseRequest(text: string): ParsedRequest {
  const [requestLine = '', ...lines] = text.split('\r\n');
  const [, method, target = ''] = REQUEST_LINE.exec(requestLine) ?? [];
  if (method === undefined) return unfit('its request line is not one of HTTP/1.1');
  let authorization: string | undefined;
  let keepAlive = true;
  let isCopy = false;
  for (const line of lines) {
    const field = parseField(line);
    if (!field) return unfit('a header line is malformed');
    const { name, value } = field;
    switch (name) {
      case 'authorization':
        if (authorization !== undefined) return unfit('it has two authorizations');
        authorization = value;
        break;
      case 'connection':
        if (/(?:^|,)\s*close\s*(?:,|$)/i.test(value)) keepAlive = false;
        break;
      case PURPOSE_HEADER:
        isCopy = value === COPY_PURPOSE;
        break;
      case 'transfer-encoding':
        return unfit('it has a body');
      case 'content-length':
        if (value !== '0') return unfit('it has a body');
        break;
      default:
    }
  }
  if (method !== 'GET') return { kind: 'method' };
  return { kind: 'request', target, authorization: authorization ?? '', keepAlive, isCopy };
}

function unfit(why: string): ParsedRequest {
  return { kind: 'unfit', why };
}
