/**
 * What must not reach a log: fields that are secrets by name, credentials inside text, and the
 * cluster's own secrets wherever they turn up. Also bounds the length of text.
 */
import type { LogFields } from '../base/logger.ts';

export const REDACTED = '[redacted]';

/** Longest text of one field or message, in UTF-16 code units. */
export const TEXT_MAX_LENGTH = 4_096;

/** Names of places are no secrets: `secretFile`, `tokenPath`, `accessKeyIdName`. */
const SECRET_NAME =
  /authorization|token|secret|signature|password|passphrase|credential|cookie|accesskey/i;
const PLACE_NAME = /(?:file|path|name|count|bytes|ms)$/i;

/** Each with what it leaves of a match: the name stays, the value goes. */
const SECRET_TEXT: readonly (readonly [hint: string, pattern: RegExp])[] = [
  [
    'x-amz-',
    /(x-amz-(?:signature|credential|security-token)(?:=|%3d|["']?:\s*["']?))[^&\s"',;]+/gi,
  ],
  ['signature=', /(signature=)[^&\s"',;]+/gi],
  ['credential=', /(credential=)[^&\s"',;]+/gi],
  ['bearer ', /(bearer\s+)[^\s"',;]+/gi],
  ['basic ', /(basic\s+)[A-Za-z0-9+/=]{8,}/gi],
  ['authorization', /(authorization["']?\s*[:=]\s*["']?)(?!bearer\b|basic\b|aws4)[^\s"',;]+/gi],
  ['://', /(:\/\/)[^/@\s:]*:[^/@\s]*@/g],
];

export class Redactor {
  readonly #secrets: readonly string[];

  /** @param secrets values to blank out wherever they appear; short ones are ignored. */
  constructor(secrets: readonly string[] = []) {
    this.#secrets = secrets.filter((secret) => secret.length >= 8);
  }

  fields(fields: LogFields): LogFields {
    const kept: Record<string, string | number | boolean | undefined> = {};
    for (const [name, value] of Object.entries(fields)) {
      if (SECRET_NAME.test(name) && !PLACE_NAME.test(name)) kept[name] = REDACTED;
      else kept[name] = typeof value === 'string' ? this.text(value) : value;
    }
    return kept;
  }

  text(text: string): string {
    let clean = text;
    for (const secret of this.#secrets) {
      if (clean.includes(secret)) clean = clean.replaceAll(secret, REDACTED);
    }
    // Bounds the work too; twice the length, so that no value is cut where it would be kept.
    clean = cut(clean, 2 * TEXT_MAX_LENGTH);
    // Why the hints: most text holds none of them, and a search is cheaper than seven patterns.
    const lower = clean.toLowerCase();
    for (const [hint, pattern] of SECRET_TEXT) {
      if (lower.includes(hint)) clean = clean.replace(pattern, `$1${REDACTED}`);
    }
    const excess = text.length - TEXT_MAX_LENGTH;
    return clean.length > TEXT_MAX_LENGTH
      ? `${cut(clean, TEXT_MAX_LENGTH)}... (${excess} more)`
      : clean;
  }
}

function cut(text: string, maxLength: number): string {
  return text.length > maxLength ? text.slice(0, maxLength) : text;
}
