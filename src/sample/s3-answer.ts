/**
 * What S3 answers: a function from a request and the objects to status, headers and body.
 *
 * The subset that readers use, with S3's rules where they matter to a client: conditional
 * requests, ranges, listing order and pagination. Credentials and signatures are not looked at.
 */
import { type BucketsDocument, bucketsXml, errorXml, listingXml, locationXml } from '../s3/xml.ts';
import { compareKeys } from './key-order.ts';
import { etagOf, type ObjectSource, type VirtualObject } from './object-set.ts';
import type { SampleRequest } from './s3-request.ts';

import { virtualBytes } from './virtual-bytes.ts';

export interface SampleReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

export interface Bucket {
  readonly name: string;
  readonly objects: ObjectSource;
  /** Checksums of whole objects that the store keeps, by header, as S3 would; absent: none. */
  readonly checksums?: ((object: VirtualObject) => ObjectChecksums | undefined) | undefined;
}

export interface ObjectChecksums {
  /** `crc32`, `crc32c`, `crc64nvme`, … */
  readonly algorithm: string;
  /** In base64. */
  readonly value: string;
  readonly type: 'FULL_OBJECT' | 'COMPOSITE';
}

const PAGE_MAX_KEYS = 1_000;
const REGION = 'us-east-1';
const CREATED_MS = Date.parse('2026-01-01T00:00:00Z');

export function answer(request: SampleRequest, bucket: Bucket): SampleReply {
  if (request.operation === 'list-buckets') return xmlReply(200, bucketsXml(allBuckets(bucket)));
  if (request.operation === 'unsupported') return refuse(request);
  if (request.bucket !== bucket.name) {
    return errorReply(request, 404, 'NoSuchBucket', 'The specified bucket does not exist');
  }
  switch (request.operation) {
    case 'location':
      return xmlReply(200, locationXml(REGION));
    case 'head-bucket':
      return { status: 200, headers: { 'x-amz-bucket-region': REGION }, body: [] };
    case 'list':
      return list(request, bucket);
    case 'get':
    case 'head': {
      const object = bucket.objects.find(request.key);
      if (object) return answerObject(request, object, bucket.checksums?.(object));
      return errorReply(request, 404, 'NoSuchKey', 'The specified key does not exist.');
    }
  }
}

/** An S3 error document; HEAD gets its headers only. */
export function errorReply(
  request: Pick<SampleRequest, 'method' | 'key'>,
  status: number,
  code: string,
  message: string,
): SampleReply {
  const reply = xmlReply(
    status,
    errorXml(code, message, request.key === '' ? [] : [['Key', request.key]]),
  );
  return request.method === 'HEAD' ? { ...reply, body: [] } : reply;
}

function allBuckets({ name }: Bucket): BucketsDocument {
  return { owner: { id: 'sample' }, buckets: [{ name, createdMs: CREATED_MS }] };
}

function refuse(request: SampleRequest): SampleReply {
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  return isRead
    ? errorReply(request, 501, 'NotImplemented', 'This sample store does not implement that.')
    : errorReply(request, 405, 'MethodNotAllowed', 'This sample store is read-only.');
}

function xmlReply(status: number, xml: string): SampleReply {
  const body = Buffer.from(xml);
  const headers = { 'content-type': 'application/xml', 'content-length': String(body.length) };
  return { status, headers, body: [body] };
}

function answerObject(
  request: SampleRequest,
  object: VirtualObject,
  checksums: ObjectChecksums | undefined,
): SampleReply {
  const identity = {
    etag: `"${etagOf(object)}"`,
    'last-modified': new Date(object.mtimeMs).toUTCString(),
    'accept-ranges': 'bytes',
    'content-type': 'application/octet-stream',
  };
  const failed = failedCondition(request, object);
  if (failed === 412) {
    return errorReply(request, 412, 'PreconditionFailed', 'A pre-condition did not hold.');
  }
  if (failed === 304) return { status: 304, headers: identity, body: [] };

  const range = parseRange(request.headers.range, object.sizeBytes);
  if (range === 'unsatisfiable') {
    const reply = errorReply(request, 416, 'InvalidRange', 'The range is not satisfiable');
    const headers = { ...reply.headers, 'content-range': `bytes */${object.sizeBytes}` };
    return { ...reply, headers };
  }
  const { offset, length } = range ?? { offset: 0, length: object.sizeBytes };
  const headers: Record<string, string> = { ...identity, 'content-length': String(length) };
  if (range) {
    headers['content-range'] = `bytes ${offset}-${offset + length - 1}/${object.sizeBytes}`;
  }
  // As S3 does: for whole objects, and only where it is asked for.
  if (!range && checksums && request.headers['x-amz-checksum-mode'] === 'ENABLED') {
    headers[`x-amz-checksum-${checksums.algorithm}`] = checksums.value;
    headers['x-amz-checksum-type'] = checksums.type;
  }
  const isHead = request.method === 'HEAD';
  const body = isHead ? [] : virtualBytes(object.key, object.version, offset, length);
  return { status: range ? 206 : 200, headers, body };
}

/** RFC 9110 §13.2.2, in its order. */
function failedCondition({ headers }: SampleRequest, object: VirtualObject): 412 | 304 | undefined {
  const etag = etagOf(object);
  const ifMatch = headers['if-match'];
  if (ifMatch !== undefined) {
    if (!namesEtag(ifMatch, etag)) return 412;
  } else if (object.mtimeMs > dateOf(headers['if-unmodified-since'], Infinity)) {
    return 412;
  }
  const ifNoneMatch = headers['if-none-match'];
  if (ifNoneMatch !== undefined) return namesEtag(ifNoneMatch, etag) ? 304 : undefined;
  return object.mtimeMs <= dateOf(headers['if-modified-since'], -Infinity) ? 304 : undefined;
}

function namesEtag(header: string, etag: string): boolean {
  return header.split(',').some((part) => {
    const text = part.trim();
    return text === '*' || text === etag || text === `"${etag}"`;
  });
}

function dateOf(header: string | undefined, otherwise: number): number {
  const ms = header === undefined ? Number.NaN : Date.parse(header);
  return Number.isNaN(ms) ? otherwise : ms;
}

/** Undefined: answer with the whole object, as S3 does for what it does not understand. */
function parseRange(
  header: string | undefined,
  sizeBytes: number,
): { offset: number; length: number } | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '') {
    const length = Math.min(Number(last), sizeBytes);
    return length === 0 ? 'unsatisfiable' : { offset: sizeBytes - length, length };
  }
  const offset = Number(first);
  const end = last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  if (last !== '' && Number(last) < offset) return undefined;
  return offset >= sizeBytes ? 'unsatisfiable' : { offset, length: end - offset };
}

function list(request: SampleRequest, bucket: Bucket): SampleReply {
  const { query } = request;
  const apiVersion = query.get('list-type') === '2' ? 2 : 1;
  const maxKeys = query.get('max-keys') ?? String(PAGE_MAX_KEYS);
  if (!/^\d{1,9}$/.test(maxKeys)) {
    return errorReply(request, 400, 'InvalidArgument', 'max-keys is not a number');
  }
  const token = query.get('continuation-token');
  const startName = apiVersion === 2 ? 'start-after' : 'marker';
  const start = query.get(startName) ?? '';
  const page = collect(bucket.objects, {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    after: token === undefined ? start : Buffer.from(token, 'base64url').toString('utf8'),
    limit: Math.min(Number(maxKeys), PAGE_MAX_KEYS),
  });
  const echoedName = apiVersion === 2 ? 'StartAfter' : 'Marker';
  const { last } = page;
  const xml = listingXml({
    bucket: bucket.name,
    apiVersion,
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    limit: Math.min(Number(maxKeys), PAGE_MAX_KEYS),
    isUrlEncoded: query.get('encoding-type') === 'url',
    encodedBlank: '+',
    contents: page.objects.map((object) => ({
      ...object,
      etag: `"${etagOf(object)}"`,
      checksums: bucket.checksums?.(object),
    })),
    commonPrefixes: page.commonPrefixes,
    echoed: query.has(startName) ? [[echoedName, start]] : [],
    next: apiVersion === 2 && last !== undefined ? Buffer.from(last).toString('base64url') : last,
  });
  return xmlReply(200, xml);
}

interface Page {
  readonly objects: VirtualObject[];
  readonly commonPrefixes: string[];
  /** Key or common prefix that the page ends with, when more follow. */
  readonly last?: string;
}

function collect(
  source: ObjectSource,
  range: { prefix: string; delimiter: string; after: string; limit: number },
): Page {
  const { prefix, delimiter, limit } = range;
  const page: Page = { objects: [], commonPrefixes: [] };
  if (limit === 0) return page;
  let last: string | undefined;
  let objects: Iterator<VirtualObject> = startingAt(source, prefix, range.after);
  for (;;) {
    const step = objects.next();
    if (step.done === true || !step.value.key.startsWith(prefix)) return page;
    if (page.objects.length + page.commonPrefixes.length === limit) {
      return last === undefined ? page : { ...page, last };
    }
    const { key } = step.value;
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    if (cut < 0) {
      page.objects.push(step.value);
      last = key;
      continue;
    }
    last = key.slice(0, cut + delimiter.length);
    // A marker inside a group means that the group has been shown.
    if (!range.after.startsWith(last)) page.commonPrefixes.push(last);
    objects = beyondGroup(source, last);
  }
}

/** Sorts behind every key of a group but those that go on with the same character. */
const HIGHEST = '\u{10ffff}';

function* beyondGroup(source: ObjectSource, group: string): Generator<VirtualObject, undefined> {
  for (const object of source.following(group + HIGHEST)) {
    if (!object.key.startsWith(group)) yield object;
  }
  return undefined;
}

/** Objects greater than `after`, from the first on that could have the prefix. */
function* startingAt(
  source: ObjectSource,
  prefix: string,
  after: string,
): Generator<VirtualObject, undefined> {
  const isBefore = compareKeys(after, prefix) < 0;
  const exact = isBefore ? source.find(prefix) : undefined;
  if (exact) yield exact;
  yield* source.following(isBefore ? prefix : after);
  return undefined;
}
