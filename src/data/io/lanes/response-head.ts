/**
 * A strict reader of HTTP/1.1 response heads (RFC 9112), for answers whose body has a length.
 *
 * It takes what object stores and our own data endpoint send and refuses everything else: what it
 * does not understand is read by a complete client instead. Pure; bytes in, values out.
 */
import type { AnswerHead } from '../../../ufs/under-store.ts';

export const HEAD_MAX_BYTES = 16 * 1024;

export type ParsedHead =
  | {
      readonly kind: 'head';
      readonly head: AnswerHead;
      readonly bodyBytes: number;
      /** Whether the connection may take another request after the body. */
      readonly keepAlive: boolean;
    }
  /** Legal perhaps, but nothing for a lane. */
  | { readonly kind: 'unfit'; readonly why: string };

const STATUS_LINE = /^HTTP\/1\.1 ([1-9]\d\d)(?: [\t -~\x80-\xff]*)?$/;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Field content without control characters but tab. */
const VALUE = /^[\t -~\x80-\xff]*$/;
const LENGTH = /^\d{1,15}$/;

/** Length of the head with its empty line, or -1 while the end is not there. */
export function headLength(bytes: Buffer, from: number): number {
  const end = bytes.indexOf('\r\n\r\n', Math.max(0, from - 3), 'latin1');
  return end < 0 ? -1 : end + 4;
}

/** @param text the head without its empty line, one character per byte. */
export function parseHead(text: string): ParsedHead {
  const [statusLine = '', ...lines] = text.split('\r\n');
  const status = Number(STATUS_LINE.exec(statusLine)?.[1]);
  if (!(status >= 200)) return unfit('its status line is not one of HTTP/1.1');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon));
    const value = line.slice(colon + 1).trim();
    if (!NAME.test(name) || !VALUE.test(value)) return unfit('a header line is malformed');
    const key = name.toLowerCase();
    if (key === 'content-length' && headers.has(key) && headers.get(key) !== value) {
      return unfit('it has two lengths');
    }
    headers.set(key, value);
  }
  return judge(status, headers);
}

function judge(status: number, headers: ReadonlyMap<string, string>): ParsedHead {
  if (headers.has('transfer-encoding')) return unfit('its body has a transfer encoding');
  const coding = headers.get('content-encoding');
  if (coding !== undefined && coding.toLowerCase() !== 'identity') {
    return unfit('its body has a content coding');
  }
  const hasNoBody = status === 204 || status === 304;
  const length = hasNoBody ? '0' : headers.get('content-length');
  if (length === undefined || !LENGTH.test(length)) return unfit('its body has no length');
  return {
    kind: 'head',
    head: { status, headers: Object.fromEntries(headers) },
    bodyBytes: Number(length),
    keepAlive: !/(?:^|,)\s*close\s*(?:,|$)/i.test(headers.get('connection') ?? ''),
  };
}

function unfit(why: string): ParsedHead {
  return { kind: 'unfit', why };
}
