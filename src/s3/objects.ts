/**
 * GetObject and HeadObject: conditions, ranges and parts, in the order of RFC 9110.
 *
 * Invariant: status, ETag, Content-Range and Content-Length come from the very record the bytes
 * are read under, so they belong to one version.
 */
import { toRingloadError } from '../base/errors.ts';
import type { ObjectAttributes } from '../base/object-attributes.ts';
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
import type { FoundFile, MarkedFile, OpenRange } from '../read/file-reader.ts';
import type { ObjectPart } from '../ufs/under-store.ts';
import { tellsChecksums } from './attribute-book.ts';
import type { HeaderMap, S3Answer } from './message.ts';
import { S3Error, type Field } from './s3-error.ts';
import type { StandingObject } from './standing-object.ts';

/** A `FileReader`, and what else is known of objects. */
export interface ObjectSource {
  /** What the object carries beside its bytes; undefined: not known. */
  attributesOf(found: FoundFile, wantsChecksums: boolean): Promise<ObjectAttributes | undefined>;
  /** A part of a multipart object; undefined: nobody can tell. */
  part(found: FoundFile, partNumber: number): Promise<ObjectPart | undefined>;
  stat(path: string): Promise<MarkedFile>;
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
  /** As asked for by number, in place of a range. */
  readonly partNumber?: number | undefined;
  readonly via?: HeldReads | undefined;
}

/** How often an object may change between its stat and its read before the request fails. */
const VERSION_ATTEMPT_MAX_COUNT = 3;

export async function answerObject(source: ObjectSource, call: ObjectCall): Promise<S3Answer> {
  if (call.partNumber !== undefined && call.headers.get('range') !== '') {
    throw new S3Error('InvalidRequest', 'Cannot specify both Range header and partNumber');
  }
  for (let attempt = 1; ; attempt++) {
    const found = await source.stat(call.path);
    const refused = refusalOf(found, call.headers);
    if (refused) return refused;
    const part = await partOf(source, call, found);
    const known = await source.attributesOf(found, asksChecksums(call));
    const { within, ...head } = headOf(found, call, known ?? [], part);
    const standing = standingOf(found, known);
    if (call.method === 'HEAD') return { ...head, ...standing };
    // An empty object has a first part of no bytes, which is no range to ask for.
    const asked = within?.length === 0 ? undefined : within;
    try {
      return { ...head, ...standing, body: await source.open(found, asked, call.via) };
    } catch (thrown) {
      const isChanged = toRingloadError(thrown).code === 'ufs_changed';
      if (!isChanged || attempt === VERSION_ATTEMPT_MAX_COUNT) throw thrown;
    }
  }
}

/** An answer without its bytes. */
export interface ObjectHead {
  readonly status: number;
  readonly headers: readonly Field[];
  /** Undefined: the whole object, or nothing. */
  readonly within: ByteRange | undefined;
}

/** What answers about an object begin with, where nothing special is asked for. */
const usual = new WeakMap<StandingObject, readonly Field[]>();

/** The answer to a call for an object that is known, not by part. @throws S3Error */
export function tellKnown(standing: StandingObject, call: ObjectCall): ObjectHead {
  const { found, attributes } = standing;
  const refused = refusalOf(found, call.headers);
  if (refused) return { ...refused, within: undefined };
  const isSpecial = asksChecksums(call) || call.overrides.length > 0;
  if (asksChecksums(call) && !tellsChecksums(found, attributes)) {
    throw new S3Error('NotImplemented', 'The checksums of the object are not known here.');
  }
  if (isSpecial) return headOf(found, call, attributes);
  let fields = usual.get(standing);
  if (!fields) usual.set(standing, (fields = fieldsOf(found, call, attributes, false)));
  const within = rangeWithin(found, call.headers, parseRange(call.headers.get('range')));
  const headers = [...fields, ...lengthFields(found, within)];
  return { status: within ? 206 : 200, headers, within };
}

function headOf(
  found: FoundFile,
  call: ObjectCall,
  attributes: ObjectAttributes,
  part?: ByteRange & { readonly partCount?: number },
): ObjectHead {
  const within = part ?? rangeWithin(found, call.headers, parseRange(call.headers.get('range')));
  const partCount = part?.partCount;
  const facts = { within, attributes, ...(partCount !== undefined && { partCount }) };
  return { status: within ? 206 : 200, headers: headersOf(found, call, facts), within };
}

/** Not while attributes are unknown that will be known later. */
function standingOf(
  { mark, ...found }: MarkedFile,
  attributes: ObjectAttributes | undefined,
): Pick<S3Answer, 'standing'> {
  if (!mark || (!attributes && found.path.startsWith('s3://'))) return {};
  return { standing: { found: { ...found, mark }, attributes: attributes ?? [] } };
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

/** What is told of an object besides. */
interface Facts {
  readonly within: ByteRange | undefined;
  readonly attributes: ObjectAttributes;
  readonly partCount?: number;
}

function headersOf(
  record: FileRecord,
  call: ObjectCall,
  { within, attributes, partCount }: Facts,
): Field[] {
  const fields = fieldsOf(record, call, attributes, !within && asksChecksums(call));
  fields.push(...lengthFields(record, within));
  if (partCount !== undefined) fields.push(['x-amz-mp-parts-count', String(partCount)]);
  return fields;
}

function lengthFields({ sizeBytes }: FileRecord, within: ByteRange | undefined): Field[] {
  const { offset, length } = within ?? { offset: 0, length: sizeBytes };
  const fields: Field[] = [['content-length', String(length)]];
  if (within && length > 0)
    fields.push(['content-range', `bytes ${offset}-${offset + length - 1}/${sizeBytes}`]);
  return fields;
}

/** @param isTelling checksums, too */
function fieldsOf(
  record: FileRecord,
  call: ObjectCall,
  attributes: ObjectAttributes,
  isTelling: boolean,
): Field[] {
  const overridden = new Set(call.overrides.map(([name]) => name));
  const own = attributes.filter(
    ([name, value]) =>
      !overridden.has(name) &&
      (isTelling || !name.startsWith('x-amz-checksum-')) &&
      !(name === 'x-amz-storage-class' && value === 'STANDARD'),
  );
  const hasType = [...own, ...call.overrides].some(([name]) => name === 'content-type');
  const fields: (Field | false)[] = [
    ...identityOf(record),
    ['accept-ranges', 'bytes'],
    !hasType && ['content-type', 'binary/octet-stream'],
    ...own,
    ...call.overrides,
  ];
  return fields.filter((field) => field !== false);
}

/** As S3 does: of whole objects, and only where it is asked for. */
function asksChecksums({ headers, partNumber }: ObjectCall): boolean {
  const isWhole = partNumber === undefined && headers.get('range') === '';
  return isWhole && headers.get('x-amz-checksum-mode').toUpperCase() === 'ENABLED';
}

/** @throws S3Error when there is no such part, or nobody can tell where it lies. */
async function partOf(
  source: ObjectSource,
  { partNumber }: ObjectCall,
  found: FoundFile,
): Promise<(ByteRange & { readonly partCount?: number }) | undefined> {
  if (partNumber === undefined) return undefined;
  // Of an object that was put at once the only part is all of it.
  if (!/-\d+$/.test(found.version) || found.path.startsWith('file:')) {
    if (partNumber > 1) throw new S3Error('InvalidPartNumber');
    return { offset: 0, length: found.sizeBytes };
  }
  const part = await source.part(found, partNumber).catch((thrown: unknown) => {
    const { code } = toRingloadError(thrown);
    if (code === 'range_not_satisfiable') throw new S3Error('InvalidPartNumber');
    throw thrown;
  });
  if (part) return part;
  throw new S3Error('NotImplemented', 'The under store does not tell where the parts lie.');
}

function identityOf(record: FileRecord): Field[] {
  const modified = lastModifiedOf(record);
  return [
    ['etag', entityTagOf(record)],
    ...(modified === undefined ? [] : [['last-modified', modified] as const]),
  ];
}
