/**
 * What an S3 object carries beside its bytes, as the header fields that it is told in: content
 * type, user metadata, checksums. In lower case, one byte per character, only of this closed set.
 */
export type ObjectAttributes = readonly (readonly [name: string, value: string])[];

const NAMES = new Set([
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
  'x-amz-storage-class',
  'x-amz-version-id',
]);
const PREFIXES = ['x-amz-meta-', 'x-amz-checksum-'];

export function isAttribute(name: string): boolean {
  return NAMES.has(name) || PREFIXES.some((prefix) => name.startsWith(prefix));
}
