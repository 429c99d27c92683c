/**
 * A strict reader of HTTP/1.1 response heads (RFC 9112), for answers whose body has a length.
 *
 * It takes what object stores and our own data endpoint send and refuses everything else: what it
 * does not understand is read by a complete client instead. Pure; bytes in, values out.
 */
import type { AnswerHead } from '../../../ufs/under-store.ts';
import { parseField } from '../http-head.ts';

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
const LENGTH = /^\d{1,15}$/;

/** @param text the head without its empty line, one character per byte. */
export function parseHead(text: string): ParsedHead {
  const [statusLine = '', ...lines] = text.split('\r\n');
  const status = Number(STATUS_LINE.exec(statusLine)?.[1]);
  if (!(status >= 200)) return unfit('its status line is not one of HTTP/1.1');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const field = parseField(line);
    if (!field) return unfit('a header line is malformed');
    const { name, value } = field;
    if (name === 'content-length' && headers.has(name) && headers.get(name) !== value) {
      return unfit('it has two lengths');
    }
    headers.set(name, value);
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
