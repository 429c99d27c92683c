/**
 * GetObject and HeadObject: conditions, ranges and parts, in the order of RFC 9110.
 *
 * Invariant: status, ETag, Content-Range and Content-Length come from the very record the bytes
 * are read under, so they belong to one version.
 */
import { toRingloadError } from '../base/errors.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import {
  checkPreconditions,
  entityTagOf,
  ifRangeHolds,
  lastModifiedOf,
  parseRange,
  resolveRange,
  type ByteRange,
  type RangeSpec,
} from '../http/range.ts';
import type { HeldReads } from '../data/pieces.ts';
import type { FoundFile, OpenRange } from '../read/file-reader.ts';
import type { HeaderMap, S3Answer } from './message.ts';
import { S3Error, type Field } from './s3-error.ts';

/** The part of a `FileReader` that objects are served from. */
export interface ObjectSource {
  stat(path: string): Promise<FoundFile>;
  open(
    found: FoundFile,
    range?: { readonly offset: number; readonly length: number },
    via?: HeldReads,
  ): Promise<OpenRange>;
}

export interface ObjectCall {
  readonly method: 'GET' | 'HEAD';
  readonly path: string;
  readonly headers: HeaderMap;
  /** Headers that the client wants in place of the object's own. */
  readonly overrides: readonly Field[];
  readonly via?: HeldReads | undefined;
}

/** How often an object may change between its stat and its read before the request fails. */
const VERSION_ATTEMPT_MAX_COUNT = 3;

export async function answerObject(source: ObjectSource, call: ObjectCall): Promise<S3Answer> {
  const range = parseRange(call.headers.get('range'));
  for (let attempt = 1; ; attempt++) {
    const found = await source.stat(call.path);
    const refused = refusalOf(found, call.headers);
    if (refused) return refused;
    const within = rangeWithin(found, call.headers, range);
    const status = within ? 206 : 200;
    const headers = headersOf(found, call, within);
    if (call.method === 'HEAD') return { status, headers };
    try {
      return { status, headers, body: await source.open(found, within, call.via) };
    } catch (thrown) {
      const isChanged = toRingloadError(thrown).code === 'ufs_changed';
      if (!isChanged || attempt === VERSION_ATTEMPT_MAX_COUNT) throw thrown;
    }
  }
}

/** The 304 of a condition. @throws S3Error for 412 */
function refusalOf(record: FileRecord, headers: HeaderMap): S3Answer | undefined {
  const verdict = checkPreconditions(record, {
    ifMatch: withQuotes(headers.get('if-match')),
    ifNoneMatch: withQuotes(headers.get('if-none-match')),
    ifUnmodifiedSince: headers.get('if-unmodified-since'),
    ifModifiedSince: headers.get('if-modified-since'),
  });
  if (verdict === 'go-on') return undefined;
  if (verdict === 'failed') {
    const name = headers.get('if-match') === '' ? 'If-Unmodified-Since' : 'If-Match';
    throw new S3Error('PreconditionFailed', undefined, { fields: [['Condition', name]] });
  }
  return { status: 304, headers: identityOf(record) };
}

/** S3 takes entity tags without their quotes as well. */
function withQuotes(header: string): string {
  if (header === '') return header;
  const tags = header.split(',').map((part) => part.trim());
  return tags.map((tag) => (/^(?:W\/)?"|^\*$/.test(tag) ? tag : `"${tag}"`)).join(', ');
}

/** Undefined: the whole object. @throws S3Error when the object has nothing of the range. */
function rangeWithin(
  record: FileRecord,
  headers: HeaderMap,
  range: RangeSpec | undefined,
): ByteRange | undefined {
  if (!range || !ifRangeHolds(record, headers.get('if-range'))) return undefined;
  const within = resolveRange(range, record.sizeBytes);
  if (!within) throw notSatisfiable(headers, record.sizeBytes);
  return within;
}

function notSatisfiable(headers: HeaderMap, sizeBytes: number): S3Error {
  return new S3Error('InvalidRange', undefined, {
    fields: [
      ['RangeRequested', headers.get('range')],
      ['ActualObjectSize', String(sizeBytes)],
    ],
    headers: [['content-range', `bytes */${sizeBytes}`]],
  });
}

function headersOf(record: FileRecord, call: ObjectCall, within: ByteRange | undefined): Field[] {
  const { offset, length } = within ?? { offset: 0, length: record.sizeBytes };
  const own: Field[] = [['content-type', 'binary/octet-stream']];
  const overridden = new Set(call.overrides.map(([name]) => name));
  return [
    ...identityOf(record),
    ['accept-ranges', 'bytes'],
    ...own.filter(([name]) => !overridden.has(name)),
    ...call.overrides,
    ['content-length', String(length)],
    ...(within
      ? [['content-range', `bytes ${offset}-${offset + length - 1}/${record.sizeBytes}`] as const]
      : []),
  ];
}

function identityOf(record: FileRecord): Field[] {
  const modified = lastModifiedOf(record);
  return [
    ['etag', entityTagOf(record)],
    ...(modified === undefined ? [] : [['last-modified', modified] as const]),
  ];
}
