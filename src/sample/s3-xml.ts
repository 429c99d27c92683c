/** The XML that S3 answers with: errors and listings. */
export interface ListingDocument {
  readonly bucket: string;
  readonly apiVersion: 1 | 2;
  readonly prefix: string;
  readonly delimiter: string;
  readonly limit: number;
  readonly isUrlEncoded: boolean;
  readonly contents: readonly {
    readonly key: string;
    readonly sizeBytes: number;
    readonly etag: string;
    readonly mtimeMs: number;
    readonly checksums?: { readonly algorithm: string; readonly type: string } | undefined;
  }[];
  readonly commonPrefixes: readonly string[];
  /** Request fields that are echoed, such as StartAfter. */
  readonly echoed: Readonly<Record<string, string>>;
  /** Token or marker of the next page; absent on the last. */
  readonly next?: string | undefined;
}

const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n';
const NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';

export function errorXml(code: string, message: string, fields: Record<string, string>): string {
  const rest = Object.entries(fields).map(([name, value]) => element(name, value));
  const body = [element('Code', code), element('Message', message), ...rest];
  return `${HEAD}<Error>${body.join('')}</Error>`;
}

export function locationXml(region: string): string {
  return `${HEAD}<LocationConstraint ${NAMESPACE}>${escapeXml(region)}</LocationConstraint>`;
}

export function bucketsXml(names: readonly string[]): string {
  const date = '<CreationDate>2026-01-01T00:00:00.000Z</CreationDate>';
  const buckets = names.map((name) => `<Bucket>${element('Name', name)}${date}</Bucket>`);
  const owner = '<Owner><ID>sample</ID></Owner>';
  return `${HEAD}<ListAllMyBucketsResult ${NAMESPACE}>${owner}<Buckets>${buckets.join('')}</Buckets></ListAllMyBucketsResult>`;
}

export function listingXml(listing: ListingDocument): string {
  const text = listing.isUrlEncoded ? formEncode : (raw: string) => raw;
  const { apiVersion, contents, commonPrefixes, next } = listing;
  const fields = [
    element('Name', listing.bucket),
    element('Prefix', text(listing.prefix)),
    ...(listing.delimiter === '' ? [] : [element('Delimiter', text(listing.delimiter))]),
    element('MaxKeys', String(listing.limit)),
    ...(listing.isUrlEncoded ? ['<EncodingType>url</EncodingType>'] : []),
    ...Object.entries(listing.echoed).map(([name, value]) => element(name, text(value))),
    element('IsTruncated', String(next !== undefined)),
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
  const objects = contents.map(({ key, sizeBytes, etag, mtimeMs, checksums }) => {
    const parts = [
      element('Key', text(key)),
      element('LastModified', new Date(mtimeMs).toISOString()),
      element('ETag', `"${etag}"`),
      element('Size', String(sizeBytes)),
      ...(checksums
        ? [
            element('ChecksumAlgorithm', checksums.algorithm.toUpperCase()),
            element('ChecksumType', checksums.type),
          ]
        : []),
      '<StorageClass>STANDARD</StorageClass>',
    ];
    return `<Contents>${parts.join('')}</Contents>`;
  });
  const prefixes = commonPrefixes.map(
    (prefix) => `<CommonPrefixes>${element('Prefix', text(prefix))}</CommonPrefixes>`,
  );
  const body = [...fields, ...objects, ...prefixes].join('');
  return `${HEAD}<ListBucketResult ${NAMESPACE}>${body}</ListBucketResult>`;
}

/** EncodingType `url` as AWS does it: form encoding that leaves slashes alone. */
function formEncode(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()~]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%2F', '/')
    .replaceAll('%20', '+');
}

function element(name: string, text: string): string {
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
