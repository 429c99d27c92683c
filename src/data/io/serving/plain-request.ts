/**
 * A reader of the requests that clients send most: GET and HEAD in HTTP/1.1, without a body, in the
 * plainest form of RFC 9112. It refuses nothing: whatever is not exactly that, be it legal or not, is
 * `other`, and somebody else's to read from its first byte, so that no two readers ever share one
 * request. Pure.
 */

/** Longer heads are somebody else's, too. */
export const PLAIN_HEAD_MAX_BYTES = 16 * 1024;

export interface PlainRequest {
  readonly method: 'GET' | 'HEAD';
  readonly target: string;
  /** Names and values in turn, as received. */
  readonly headers: readonly string[];
  /** Of the head, with its empty line. */
  readonly lengthBytes: number;
}

const REQUEST_LINE = /^(GET|HEAD) (\/[!"$-~]*) HTTP\/1\.1$/;
/** Of one line: a token, a colon, and text without control characters. */
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[!-~](?:[\t -~]*[!-~])?)?)[ \t]*$/;
/** What says how a request ends, or what becomes of its connection. */
const TELLING = new Set([
  'connection',
  'content-length',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** `more`: its head is not whole yet, and what is there may yet become a plain one. */
export function readPlainRequest(bytes: Buffer): PlainRequest | 'more' | 'other' {
  const end = bytes.indexOf('\r\n\r\n', 0, 'latin1');
  if (end < 0) return mayBecomePlain(bytes) ? 'more' : 'other';
  if (end + 4 > PLAIN_HEAD_MAX_BYTES) return 'other';
  const [requestLine = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const [, method, target] = REQUEST_LINE.exec(requestLine) ?? [];
  if (method === undefined || target === undefined) return 'other';
  const headers: string[] = [];
  let hostCount = 0;
  for (const line of lines) {
    const [, name, value] = FIELD.exec(line) ?? [];
    if (name === undefined || value === undefined) return 'other';
    const known = name.toLowerCase();
    if (known === 'host') hostCount++;
    else if (TELLING.has(known) && !isKeptAlive(known, value)) return 'other';
    headers.push(name, value);
  }
  if (hostCount !== 1) return 'other';
  return { method: method as 'GET' | 'HEAD', target, headers, lengthBytes: end + 4 };
}

function isKeptAlive(name: string, value: string): boolean {
  return name === 'connection' && value.toLowerCase() === 'keep-alive';
}

/** Why so early: who waits for the answer to something else must not wait for a head's end here. */
function mayBecomePlain(bytes: Buffer): boolean {
  if (bytes.length >= PLAIN_HEAD_MAX_BYTES) return false;
  const text = bytes.toString('latin1');
  const isBegun = [/^GET /, /^HEAD /].some((start) => start.test(text));
  if (!isBegun && !'GET '.startsWith(text) && !'HEAD '.startsWith(text)) return false;
  return !/[^\r]\n/.test(text);
}
