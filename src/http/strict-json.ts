/**
 * JSON objects from strangers: valid UTF-8, an object at the top, shallow, without `__proto__`.
 */
import { RingloadError } from '../base/errors.ts';

/** Far above what any request needs, far below what recursion over the value could not bear. */
const DEPTH_MAX = 16;

export type JsonObject = Readonly<Record<string, unknown>>;

/** @throws invalid_argument naming the rule. */
export function parseJsonObject(body: Uint8Array): JsonObject {
  const text = decodeUtf8(body);
  if (depthOf(text) > DEPTH_MAX) throw refused(`is nested deeper than ${DEPTH_MAX} levels`);
  let value: unknown;
  try {
    value = JSON.parse(text, refuseProto);
  } catch (cause) {
    if (cause instanceof RingloadError) throw cause;
    throw refused('is not valid JSON', cause);
  }
  if (!isJsonObject(value)) throw refused('must be a JSON object');
  return value;
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function decodeUtf8(body: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch (cause) {
    throw refused('is not UTF-8', cause);
  }
}

/** Deepest nesting of brackets outside strings; a bound also for text that is no JSON. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (inString) {
      if (character === '\\') at++;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === '{' || character === '[') deepest = Math.max(deepest, ++depth);
    else if (character === '}' || character === ']') depth--;
  }
  return deepest;
}

function refuseProto(key: string, value: unknown): unknown {
  if (key === '__proto__') throw refused("must not have a member '__proto__'");
  return value;
}

function refused(rule: string, cause?: unknown): RingloadError {
  return new RingloadError('invalid_argument', `request body ${rule}`, { cause });
}
