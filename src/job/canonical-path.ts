/**
 * The text form of a path: what a request may name, and which spellings name the same job.
 *
 * A path is `scheme://authority/key`. The key is the store's own, byte for byte: `..`, `//`, `%41`,
 * `+` and newlines are parts of a name and are never decoded or folded here. Which mount may serve
 * a path is decided elsewhere; this file only refuses what cannot be a path at all.
 */
import { RingloadError } from '../base/errors.ts';
import { JOB_LIMITS } from './spec.ts';

/** Alluxio's wording, kept for the scripts that look for it. */
export const WILDCARD_REFUSAL = 'Load does not support wildcard path';

// Why no user info: `s3://bucket@host` must never be read as a host to contact.
const SHAPE = /^([a-z][a-z0-9+.-]*):\/\/([A-Za-z0-9._-]+(?::\d{1,5})?|)(?:\/([\s\S]*))?$/;
const LONE_SURROGATE = /\p{Surrogate}/u;
const SHOWN_MAX_LENGTH = 200;

/** `text` in quotes, cut to what fits in a message. */
export function quoted(text: string): string {
  return text.length <= SHOWN_MAX_LENGTH ? `'${text}'` : `'${text.slice(0, SHOWN_MAX_LENGTH)}…'`;
}

/**
 * The identity of a job's path: without one trailing `/`. For look-ups only: a path that no load
 * would accept is simply not found.
 * @throws invalid_argument when empty, too long, or no text.
 */
export function jobPathOf(path: string): string {
  checkText(path);
  return path.endsWith('/') && path.length > 1 ? path.slice(0, -1) : path;
}

/**
 * The canonical root of a load: {@link jobPathOf}, and a well-formed URI without wildcards.
 * @throws invalid_argument naming the rule.
 */
export function canonicalLoadPath(path: string): string {
  const canonical = jobPathOf(path);
  if (canonical.includes('*')) {
    throw new RingloadError('invalid_argument', `${WILDCARD_REFUSAL}: ${quoted(path)}`);
  }
  checkShape(canonical);
  return canonical;
}

/** A line of an index file, canonical: keys with a `*` are meant as they are. @throws invalid_argument */
export function checkRootPath(path: string): void {
  checkText(path);
  checkShape(path);
}

/**
 * A file's path, unchanged: a trailing `/` belongs to the key.
 * @throws invalid_argument naming the rule.
 */
export function checkFilePath(path: string): string {
  checkText(path);
  checkShape(path);
  return path;
}

function checkText(path: string): void {
  if (path === '') throw refused(path, 'must not be empty');
  if (path.includes('\0')) throw refused(path.replaceAll('\0', '\\0'), 'must not contain NUL');
  if (LONE_SURROGATE.test(path)) throw refused('', 'must be well-formed Unicode');
  // Why length first: counting the bytes of a huge string only to refuse it is wasted work.
  const maxBytes = JOB_LIMITS.pathMaxBytes;
  if (path.length > maxBytes || new TextEncoder().encode(path).length > maxBytes) {
    throw refused(path, `must be at most ${maxBytes} bytes of UTF-8`);
  }
}

function checkShape(path: string): void {
  const [, scheme, authority, key] = SHAPE.exec(path) ?? [];
  if (scheme === undefined) {
    throw refused(path, 'must be a URI such as s3://bucket/key, its scheme in lower case');
  }
  if (scheme !== 'file') {
    if (!authority) throw refused(path, `must name a bucket or host after ${scheme}://`);
    return;
  }
  if (key?.split('/').some((part) => part === '..' || part === '.')) {
    throw refused(path, "must not contain '.' or '..' components");
  }
}

function refused(path: string, rule: string): RingloadError {
  return new RingloadError('invalid_argument', `path ${quoted(path)} ${rule}`);
}
