/**
 * Range and conditional headers (RFC 9110 §13, §14) as values. Malformed headers are ignored, as
 * the standard asks; several ranges too, since the whole file is a valid answer to them.
 */
import type { FileRecord } from '../cache/file-catalog.ts';

export type RangeSpec =
  | { readonly kind: 'from'; readonly first: number; readonly last?: number }
  | { readonly kind: 'suffix'; readonly length: number };

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** Undefined: serve the whole file. */
export function parseRange(header: string): RangeSpec | undefined {
  const match = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header);
  const [, first = '', last = ''] = match ?? [];
  if (first !== '') {
    if (last === '') return { kind: 'from', first: position(first) };
    const range = { first: position(first), last: position(last) };
    return range.first <= range.last ? { kind: 'from', ...range } : undefined;
  }
  return last === '' ? undefined : { kind: 'suffix', length: position(last) };
}

/** Undefined: not satisfiable for a file of `sizeBytes`. */
export function resolveRange(range: RangeSpec, sizeBytes: number): ByteRange | undefined {
  if (range.kind === 'suffix') {
    const length = Math.min(range.length, sizeBytes);
    return length === 0 ? undefined : { offset: sizeBytes - length, length };
  }
  if (range.first >= sizeBytes) return undefined;
  const last = Math.min(range.last ?? sizeBytes - 1, sizeBytes - 1);
  return { offset: range.first, length: last - range.first + 1 };
}

/** The strong entity tag of a version: S3's own ETag unchanged, quotes added when missing. */
export function entityTagOf(record: Pick<FileRecord, 'version'>): string {
  if (/^W\/"[!#-~]*"$/.test(record.version)) return record.version;
  const bare = record.version.replace(/^"(.*)"$/, '$1');
  return /^[!#-~]*$/.test(bare) ? `"${bare}"` : `"${encodeURIComponent(bare)}"`;
}

/** Undefined where the under store knows no time. */
export function lastModifiedOf(record: FileRecord): string | undefined {
  const date = new Date(record.mtimeMs);
  return record.mtimeMs > 0 && !Number.isNaN(date.getTime()) ? date.toUTCString() : undefined;
}

export interface Preconditions {
  readonly ifMatch: string;
  readonly ifNoneMatch: string;
  readonly ifUnmodifiedSince: string;
  readonly ifModifiedSince: string;
}

/** In the order of RFC 9110 §13.2.2; empty headers are absent. */
export function checkPreconditions(
  record: FileRecord,
  conditions: Preconditions,
): 'go-on' | 'not-modified' | 'failed' {
  const { ifMatch, ifNoneMatch, ifUnmodifiedSince, ifModifiedSince } = conditions;
  // Most requests make none, and dates take their time.
  if (`${ifMatch}${ifNoneMatch}${ifUnmodifiedSince}${ifModifiedSince}` === '') return 'go-on';
  const tag = entityTagOf(record);
  // Why whole seconds: HTTP dates have no more.
  const modifiedMs = Math.floor(record.mtimeMs / 1000) * 1000;
  if (ifMatch !== '') {
    if (!listsTag(ifMatch, tag, false)) return 'failed';
  } else if (record.mtimeMs > 0 && modifiedMs > Date.parse(ifUnmodifiedSince)) {
    return 'failed';
  }
  if (ifNoneMatch !== '') {
    return listsTag(ifNoneMatch, tag, true) ? 'not-modified' : 'go-on';
  }
  return record.mtimeMs > 0 && modifiedMs <= Date.parse(ifModifiedSince) ? 'not-modified' : 'go-on';
}

/** Whether a Range may be honoured: If-Range is empty, or names exactly this version. */
export function ifRangeHolds(record: FileRecord, ifRange: string): boolean {
  return ifRange === '' || ifRange === entityTagOf(record) || ifRange === lastModifiedOf(record);
}

function listsTag(header: string, tag: string, weak: boolean): boolean {
  if (header.trim() === '*') return true;
  const candidates = header.match(/(?:W\/)?"[^"]*"/g) ?? [];
  return candidates.some((given) => given === tag || (weak && given === `W/${tag}`));
}

/** Digits as a number; what no file can reach is cut there. */
function position(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
}
