/** The XML that S3 answers with: errors, buckets and listings. Text is escaped here and only here. */
import type { Field } from './s3-error.ts';

export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** With its quotes. */
  readonly etag: string;
  readonly mtimeMs: number;
  readonly checksums?: { readonly algorithm: string; readonly type: string } | undefined;
  readonly storageClass?: string | undefined;
  readonly owner?: Owner | undefined;
}

export interface Owner {
  readonly id: string;
  readonly displayName?: string | undefined;
}

export interface ListingDocument {
  readonly bucket: string;
  readonly apiVersion: 1 | 2;
  readonly prefix: string;
  readonly delimiter: string;
  readonly limit: number;
  readonly isUrlEncoded: boolean;
  /** How a blank is encoded: `+` as AWS does, or the default, `%20`. */
  readonly encodedBlank?: string;
  readonly contents: readonly ListedObject[];
  readonly commonPrefixes: readonly string[];
  /** Request fields that are echoed, such as StartAfter. */
  readonly echoed: readonly Field[];
  /** Token or marker of the next page. */
  readonly next?: string | undefined;
  /** Default: whether there is a next page. */
  readonly isTruncated?: boolean;
}

export interface BucketsDocument {
  readonly owner: Owner;
  readonly buckets: readonly { readonly name: string; readonly createdMs: number }[];
  readonly prefix?: string | undefined;
  readonly next?: string | undefined;
}

export const XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n';
export const XML_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';
/** Parameters that are keys, or begin as keys do: `url` encodes them as well. */
const KEY_LIKE = new Set(['StartAfter', 'Marker']);

export function errorXml(code: string, message: string, fields: readonly Field[]): string {
  const rest = fields.map(([name, value]) => element(name, value));
  const body = [element('Code', code), element('Message', message), ...rest];
  return `${XML_HEAD}<Error>${body.join('')}</Error>`;
}

/** us-east-1 is told by silence. */
export function locationXml(region: string): string {
  const name = region === 'us-east-1' ? '' : escapeXml(region);
  return `${XML_HEAD}<LocationConstraint ${XML_NAMESPACE}>${name}</LocationConstraint>`;
}

export function bucketsXml({ owner, buckets, prefix, next }: BucketsDocument): string {
  const listed = buckets.map(
    ({ name, createdMs }) =>
      `<Bucket>${element('Name', name)}${element('CreationDate', timeOf(createdMs))}</Bucket>`,
  );
  const rest = [
    ...(prefix === undefined ? [] : [element('Prefix', prefix)]),
    ...(next === undefined ? [] : [element('ContinuationToken', next)]),
  ];
  return `${XML_HEAD}<ListAllMyBucketsResult ${XML_NAMESPACE}>${ownerXml(owner)}<Buckets>${listed.join('')}</Buckets>${rest.join('')}</ListAllMyBucketsResult>`;
}

export function listingXml(listing: ListingDocument): string {
  const text = listing.isUrlEncoded
    ? (raw: string) => formEncode(raw, listing.encodedBlank ?? '%20')
    : (raw: string) => raw;
  const { apiVersion, contents, commonPrefixes, next } = listing;
  const fields = [
    element('Name', listing.bucket),
    element('Prefix', text(listing.prefix)),
    ...(listing.delimiter === '' ? [] : [element('Delimiter', text(listing.delimiter))]),
    element('MaxKeys', String(listing.limit)),
    ...(listing.isUrlEncoded ? ['<EncodingType>url</EncodingType>'] : []),
    ...listing.echoed.map(([name, value]) =>
      element(name, KEY_LIKE.has(name) ? text(value) : value),
    ),
    element('IsTruncated', String(listing.isTruncated ?? next !== undefined)),
    ...(apiVersion === 2
      ? [element('KeyCount', String(contents.length + commonPrefixes.length))]
      : []),
    ...(next === undefined
      ? []
      : [
          apiVersion === 2
            ? element('NextContinuationToken', next)
            : element('NextMarker', text(next)),
        ]),
  ];
  const objects = contents.map((object) => contentsXml(object, text));
  const prefixes = commonPrefixes.map(
    (prefix) => `<CommonPrefixes>${element('Prefix', text(prefix))}</CommonPrefixes>`,
  );
  const body = [...fields, ...objects, ...prefixes].join('');
  return `${XML_HEAD}<ListBucketResult ${XML_NAMESPACE}>${body}</ListBucketResult>`;
}

function contentsXml(object: ListedObject, text: (raw: string) => string): string {
  const { checksums, owner } = object;
  const parts = [
    element('Key', text(object.key)),
    element('LastModified', timeOf(object.mtimeMs)),
    element('ETag', object.etag),
    element('Size', String(object.sizeBytes)),
    ...(owner ? [ownerXml(owner)] : []),
    ...(checksums
      ? [
          element('ChecksumAlgorithm', checksums.algorithm.toUpperCase()),
          element('ChecksumType', checksums.type),
        ]
      : []),
    element('StorageClass', object.storageClass ?? 'STANDARD'),
  ];
  return `<Contents>${parts.join('')}</Contents>`;
}

function ownerXml({ id, displayName }: Owner): string {
  const name = displayName === undefined ? '' : element('DisplayName', displayName);
  return `<Owner>${element('ID', id)}${name}</Owner>`;
}

export function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** EncodingType `url`: as AWS does it, but for blanks, where `%20` is what all clients decode. */
function formEncode(text: string, blank: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()~]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%2F', '/')
    .replaceAll('%20', blank);
}

export function element(name: string, text: string): string {
  return `<${name}>${escapeXml(text)}</${name}>`;
}

const NAMED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

/** Control characters as references, as S3 does, although XML 1.0 forbids most of them. */
function escapeXml(text: string): string {
  return text.replace(
    /[&<>"\u0000-\u001f\u007f]/g,
    (character) => NAMED[character] ?? `&#x${character.charCodeAt(0).toString(16)};`,
  );
}
