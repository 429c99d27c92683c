/**
 * What peers say to each other, as text: the frames of protocol `ringload.v1` and their codec.
 *
 * Pure. `decodeFrame` accepts exactly what `encodeFrame` can produce and throws on everything
 * else, so that garbage costs its sender the link and nobody anything more. Unknown fields are
 * refused by omission: they are not copied. A new kind of frame is a new protocol version.
 */
import type { ErrorDetails, WireError } from '../base/errors.ts';
import { RingloadError } from '../base/errors.ts';

export type Frame =
  | {
      readonly kind: 'request';
      readonly id: number;
      readonly type: string;
      readonly payload?: unknown;
    }
  | { readonly kind: 'response'; readonly id: number; readonly payload?: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: WireError }
  | { readonly kind: 'message'; readonly type: string; readonly payload?: unknown }
  /** From the dialler only; the other side answers with `pong`. */
  | { readonly kind: 'ping'; readonly sequence: number }
  | { readonly kind: 'pong'; readonly sequence: number }
  /** The sender starts no more requests on this link. */
  | { readonly kind: 'bye' };

const TYPE = /^[A-Za-z][\w.:/-]{0,63}$/;
/** Longer messages of errors are cut, at both ends. */
export const ERROR_MESSAGE_MAX_CHARS = 4_096;
const ERROR_DETAILS_MAX_COUNT = 32;

export function isFrameType(text: string): boolean {
  return TYPE.test(text);
}

/** @throws invalid_argument when the payload is not JSON (a cycle, a bigint, a `__proto__` key). */
export function encodeFrame(frame: Frame): string {
  let text: string;
  try {
    text = JSON.stringify(frame);
  } catch (error) {
    throw new RingloadError('invalid_argument', `encode a ${frame.kind} frame: not a JSON value`, {
      cause: error,
    });
  }
  // Why: the receiver would close the link over it, again at every retry.
  if (text.includes('__proto__') && hasProtoKey(JSON.parse(text))) {
    throw badFrame('a key named __proto__');
  }
  return text;
}

/**
 * @param nestingMax deepest nesting that is parsed at all.
 * @throws invalid_argument when `text` is not a frame.
 */
export function decodeFrame(text: string, nestingMax: number): Frame {
  if (nestsDeeperThan(text, nestingMax)) throw badFrame(`nesting deeper than ${nestingMax}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badFrame('no JSON');
  }
  // Why: a key can hide behind escapes, but then the text holds one for an ASCII character.
  if ((text.includes('__proto__') || text.includes('\\u00')) && hasProtoKey(value)) {
    throw badFrame('a key named __proto__');
  }
  return toFrame(value);
}

function toFrame(value: unknown): Frame {
  if (!isRecord(value)) throw badFrame('no object');
  switch (value['kind']) {
    case 'request':
      return {
        kind: 'request',
        id: wholeNumber(value, 'id'),
        type: typeName(value),
        ...payloadOf(value),
      };
    case 'response':
      return { kind: 'response', id: wholeNumber(value, 'id'), ...payloadOf(value) };
    case 'error':
      return { kind: 'error', id: wholeNumber(value, 'id'), error: toWire(value['error']) };
    case 'message':
      return { kind: 'message', type: typeName(value), ...payloadOf(value) };
    case 'ping':
      return { kind: 'ping', sequence: wholeNumber(value, 'sequence') };
    case 'pong':
      return { kind: 'pong', sequence: wholeNumber(value, 'sequence') };
    case 'bye':
      return { kind: 'bye' };
    default:
      throw badFrame('an unknown kind');
  }
}

function payloadOf(value: Record<string, unknown>): { payload?: unknown } {
  return value['payload'] === undefined ? {} : { payload: value['payload'] };
}

function wholeNumber(value: Record<string, unknown>, field: 'id' | 'sequence'): number {
  const number = value[field];
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0) {
    throw badFrame(`a wrong ${field}`);
  }
  return number;
}

function typeName(value: Record<string, unknown>): string {
  const type = value['type'];
  if (typeof type !== 'string' || !isFrameType(type)) throw badFrame('a wrong type');
  return type;
}

/** The code is kept as told: a newer peer may know codes that we turn into `internal` later. */
function toWire(value: unknown): WireError {
  if (!isRecord(value)) throw badFrame('a wrong error');
  const { code, message, details } = value as { code: unknown; message: unknown; details: unknown };
  if (typeof code !== 'string' || typeof message !== 'string') {
    throw badFrame('an error without code or message');
  }
  const wire = {
    code: code as WireError['code'],
    message: message.slice(0, ERROR_MESSAGE_MAX_CHARS),
  };
  return details === undefined ? wire : { ...wire, details: toDetails(details) };
}

function toDetails(value: unknown): ErrorDetails {
  if (!isRecord(value)) throw badFrame('wrong error details');
  const entries = Object.entries(value);
  if (entries.length > ERROR_DETAILS_MAX_COUNT) throw badFrame('too many error details');
  for (const [, detail] of entries) {
    if (!['string', 'number', 'boolean'].includes(typeof detail)) {
      throw badFrame('an error detail that is no plain value');
    }
  }
  return value as ErrorDetails;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACKET = 0x5d;
const CLOSE_BRACE = 0x7d;

/** Looks at brackets outside strings only, so it needs no valid JSON and no stack. */
function nestsDeeperThan(text: string, nestingMax: number): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (inString) {
      if (char === BACKSLASH) at++;
      else if (char === QUOTE) inString = false;
    } else if (char === QUOTE) inString = true;
    else if (char === OPEN_BRACKET || char === OPEN_BRACE) {
      if (++depth > nestingMax) return true;
    } else if (char === CLOSE_BRACKET || char === CLOSE_BRACE) depth--;
  }
  return false;
}

function hasProtoKey(root: unknown): boolean {
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value !== 'object' || value === null) continue;
    if (Object.hasOwn(value, '__proto__')) return true;
    for (const child of Object.values(value)) pending.push(child);
  }
  return false;
}

function badFrame(what: string): RingloadError {
  return new RingloadError('invalid_argument', `frame has ${what}`);
}
