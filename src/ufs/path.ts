/**
 * Canonical UFS paths: `scheme://authority/key`.
 *
 * The key is the store's own key, character for character: nothing here decodes, normalises or
 * goes through a URL parser, since `a/../b`, `//` and `%41` are legal and different S3 keys. Only
 * `file://` refuses segments that a file system would interpret. Whether a path is mounted is
 * decided in `mounts.ts`; wildcards belong to the request that uses them.
 */
import { RingloadError } from '../base/errors.ts';

export type UfsScheme = 's3' | 'file';

export interface UfsPath {
  readonly scheme: UfsScheme;
  /** The bucket; empty for `file`. */
  readonly authority: string;
  /** Without the slash that ends the authority; empty for a bucket as a whole. */
  readonly key: string;
}

/** Longest path in UTF-8 bytes. */
export const PATH_MAX_BYTES = 2048;

const UNPAIRED_SURROGATE = /\p{Surrogate}/u;
const BUCKET = /^[A-Za-z0-9._-]{1,255}$/;
const SHOWN_MAX_LENGTH = 200;
const encoder = new TextEncoder();

/**
 * Parses an exact path; a trailing slash is part of the key.
 * @throws invalid_argument naming the value and the rule that it breaks.
 */
export function parsePath(text: string): UfsPath {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1];
  if (scheme === undefined) {
    throw refused(text, 'has no scheme: write s3://bucket/key or file:///directory');
  }
  if (scheme !== 's3' && scheme !== 'file') {
    throw refused(text, `has the unknown scheme '${scheme}': known are s3 and file`);
  }
  if (text.includes('\0')) throw refused(text, 'contains a NUL character');
  if (UNPAIRED_SURROGATE.test(text)) throw refused(text, 'is not valid Unicode');
  const sizeBytes = encoder.encode(text).length;
  if (sizeBytes > PATH_MAX_BYTES) {
    throw refused(text, `has ${sizeBytes} bytes, the limit is ${PATH_MAX_BYTES}`);
  }

  const rest = text.slice(scheme.length + 3);
  const slash = rest.indexOf('/');
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const key = slash < 0 ? '' : rest.slice(slash + 1);
  if (scheme === 's3') checkBucket(text, authority);
  else checkFile(text, authority, key);
  return { scheme, authority, key };
}

/** The one spelling of a path; inverse of {@link parsePath} up to the slash after a bucket. */
export function formatPath(path: UfsPath): string {
  const head = `${path.scheme}://${path.authority}`;
  return path.key === '' ? head : `${head}/${path.key}`;
}

/**
 * A path that names a file or a directory, as users type it: one trailing slash is dropped.
 * @throws invalid_argument as {@link parsePath} does.
 */
export function canonicalRoot(text: string): string {
  const trimmed = text.endsWith('/') && !text.endsWith('://') ? text.slice(0, -1) : text;
  return formatPath(parsePath(trimmed));
}

/** Whether `path` is `root` itself or below it, by whole segments: `s3://b/a` holds no `s3://b/ab`. */
export function isAtOrBelow(root: string, path: string): boolean {
  if (!path.startsWith(root)) return false;
  return path.length === root.length || path.charCodeAt(root.length) === SLASH;
}

/** Last component, which filters match: `c` of `s3://b/a/c`. */
export function lastComponent(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/**
 * Order of the UTF-8 bytes, which S3 lists in and UTF-16 comparison does not give: surrogate pairs
 * come after U+E000–U+FFFF.
 * @returns negative, 0 or positive, as for sort().
 */
export function comparePaths(left: string, right: string): number {
  if (left === right) return 0;
  const commonLength = Math.min(left.length, right.length);
  for (let i = 0; i < commonLength; i++) {
    const leftUnit = left.charCodeAt(i);
    const rightUnit = right.charCodeAt(i);
    if (leftUnit !== rightUnit) return codePointRank(leftUnit) - codePointRank(rightUnit);
  }
  return left.length - right.length;
}

const SLASH = 0x2f;

function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

function checkBucket(text: string, bucket: string): void {
  if (bucket === '') throw refused(text, 'has an empty bucket name');
  if (bucket.includes('@')) throw refused(text, "has user information ('@') before the bucket");
  if (!BUCKET.test(bucket) || bucket === '.' || bucket === '..') {
    throw refused(text, 'has a bucket name with characters other than letters, digits, . _ -');
  }
}

function checkFile(text: string, authority: string, key: string): void {
  if (authority !== '') throw refused(text, 'names a host: write file:///directory');
  if (key === '') throw refused(text, 'names the root of the file system');
  for (const segment of key.split('/')) {
    if (segment === '..' || segment === '.') throw refused(text, `has the segment '${segment}'`);
    if (segment === '') throw refused(text, 'has an empty segment');
  }
}

function refused(text: string, rule: string): RingloadError {
  const shown = text.length > SHOWN_MAX_LENGTH ? `${text.slice(0, SHOWN_MAX_LENGTH)}…` : text;
  return new RingloadError('invalid_argument', `path ${JSON.stringify(shown)} ${rule}`);
}
