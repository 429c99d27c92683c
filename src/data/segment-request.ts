/** How a segment is named in a request to a peer's data endpoint: `/segment?k=…`. */
import { RingloadError } from '../base/errors.ts';
import type { SegmentKey } from '../cache/segment-store.ts';

export const SEGMENT_PATH = '/segment';
/** Response header: CRC32C of the whole segment, decimal. */
export const CRC_HEADER = 'x-ringload-crc32c';
/** Request header: what the bytes are for. Absent: a reader waits for them. */
export const PURPOSE_HEADER = 'x-ringload-purpose';
export const COPY_PURPOSE = 'copy';
/**
 * Response header: so many bytes follow the segment, its CRC32C in hex digits. They are sent when
 * the fill that was followed has been judged good.
 */
export const TAIL_HEADER = 'x-ringload-crc32c-behind';
export const TAIL_BYTES = 8;

export interface SegmentRequest {
  readonly key: SegmentKey;
  readonly offset: number;
  /** Absent: to the end of the segment. */
  readonly length?: number;
  /** Read the segment through when it is missing: its length and the size of its file. */
  readonly fill?: { readonly lengthBytes: number; readonly fileSizeBytes: number };
  /** Of a fill that runs: give its bytes as they come. */
  readonly follows?: boolean;
  /** Only while this mark of the peer that is asked stands: see `ChangeMarks.tell`. */
  readonly stands?: string;
}

/** What every request for ranges of that segment begins with. */
export function formatSegmentKey({ path, version, segmentSizeBytes, index }: SegmentKey): string {
  const key = JSON.stringify([path, version, segmentSizeBytes, index]);
  return `${SEGMENT_PATH}?k=${Buffer.from(key).toString('base64url')}`;
}

export function formatSegmentRequest(
  request: SegmentRequest,
  start = formatSegmentKey(request.key),
): string {
  const parts = [start, `o=${String(request.offset)}`];
  if (request.length !== undefined) parts.push(`l=${String(request.length)}`);
  if (request.fill)
    parts.push(`f=${String(request.fill.lengthBytes)}.${String(request.fill.fileSizeBytes)}`);
  if (request.follows === true) parts.push('c=1');
  if (request.stands !== undefined) parts.push(`m=${request.stands}`);
  return parts.join('&');
}

/** @throws invalid_argument for anything that {@link formatSegmentRequest} does not write. */
export function parseSegmentRequest(url: string): SegmentRequest {
  const query = new URLSearchParams(url.slice(url.indexOf('?') + 1));
  const length = query.get('l');
  const stands = query.get('m');
  const fill = query.get('f')?.split('.');
  return {
    key: parseKey(query.get('k') ?? ''),
    offset: parseCount(query.get('o') ?? '0'),
    ...(query.get('c') === '1' && { follows: true }),
    ...(stands !== null && { stands }),
    ...(length !== null && { length: parseCount(length) }),
    ...(fill && {
      fill: { lengthBytes: parseCount(fill[0] ?? ''), fileSizeBytes: parseCount(fill[1] ?? '') },
    }),
  };
}

function parseKey(text: string): SegmentKey {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    parts = undefined;
  }
  if (Array.isArray(parts)) {
    const [path, version, segmentSizeBytes, index] = parts as unknown[];
    if (
      typeof path === 'string' &&
      typeof version === 'string' &&
      isCount(segmentSizeBytes) &&
      isCount(index)
    ) {
      return { path, version, segmentSizeBytes, index };
    }
  }
  throw new RingloadError('invalid_argument', 'the request names no segment');
}

function parseCount(text: string): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!isCount(value))
    throw new RingloadError('invalid_argument', `'${text}' is not a count of bytes`);
  return value;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
