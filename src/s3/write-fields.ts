/** Header fields of a write that go on to the store. */
import type { HeaderMap } from './message.ts';
import { S3Error, type Field } from './s3-error.ts';

const NAMES = new Set([
  'cache-control',
  'content-disposition',
  'content-language',
  'content-type',
  'expires',
  'x-amz-acl',
  'x-amz-storage-class',
  'x-amz-tagging',
  'x-amz-website-redirect-location',
]);
const PREFIXES = [
  'x-amz-meta-',
  'x-amz-grant-',
  'x-amz-object-lock-',
  'x-amz-server-side-encryption',
];
/** What asks for something that is not done, or could not be read again. */
const REFUSED = /^x-amz-(?:server-side-encryption-customer-.*|write-offset-bytes|copy-source.*)$/;
const DEFAULT_TYPE = 'binary/octet-stream';
const MD5 = /^[A-Za-z0-9+/]{22}==$/;

/** What the object carries beside its bytes. @throws S3Error */
export function objectFields(headers: HeaderMap): Field[] {
  const fields: Field[] = [];
  for (const name of headers.names()) {
    if (REFUSED.test(name)) {
      throw new S3Error('NotImplemented', `The header ${name} is not implemented.`);
    }
    if (!NAMES.has(name) && !PREFIXES.some((prefix) => name.startsWith(prefix))) continue;
    fields.push([name, plain(name, headers.get(name))]);
  }
  const encoding = encodingOf(headers);
  if (encoding !== '') fields.push(['content-encoding', plain('content-encoding', encoding)]);
  if (headers.find('content-type') === undefined) fields.push(['content-type', DEFAULT_TYPE]);
  return fields;
}

/** @throws S3Error for what S3 does not know either */
export function conditionFields(headers: HeaderMap): Field[] {
  const isNone = headers.find('if-none-match');
  if (isNone !== undefined && isNone !== '*') {
    throw new S3Error('NotImplemented', 'If-None-Match of a write can only be *.');
  }
  for (const name of ['if-modified-since', 'if-unmodified-since']) {
    if (headers.find(name) === undefined) continue;
    throw new S3Error('NotImplemented', `The header ${name} is not implemented for writes.`);
  }
  const tag = headers.find('if-match');
  return [
    ...(isNone === undefined ? [] : [['if-none-match', '*'] as const]),
    ...(tag === undefined ? [] : [['if-match', plain('if-match', tag)] as const]),
  ];
}

/** @throws S3Error */
export function digestFields(headers: HeaderMap): Field[] {
  const md5 = headers.find('content-md5');
  if (md5 === undefined) return [];
  if (MD5.test(md5)) return [['content-md5', md5]];
  throw new S3Error('InvalidDigest');
}

/** Without the form of the body on its way here. */
function encodingOf(headers: HeaderMap): string {
  const codings = headers.get('content-encoding').split(',');
  return codings
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding.toLowerCase() !== 'aws-chunked')
    .join(',');
}

/** Why: signatures of other characters mean different bytes to different stores. */
function plain(name: string, value: string): string {
  if (/^[\x20-\x7e\t]*$/.test(value)) return value;
  throw new S3Error('InvalidArgument', `${name} has characters other than those of ASCII`);
}
