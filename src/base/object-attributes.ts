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

/** What may stand in a header; nothing else came in one. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** S3 takes 2 KB of user metadata and 8 KB of all headers of a PUT: more is not remembered. */
const KEPT_MAX_LENGTH = 4096;

/** The attributes among header fields. */
export function attributesAmong(fields: ObjectAttributes): ObjectAttributes {
  return fields.filter(
    ([name, value]) =>
      (NAMES.has(name) || PREFIXES.some((prefix) => name.startsWith(prefix))) &&
      FIELD_VALUE.test(value),
  );
}

/** Whether they are few enough to be kept with each record of the file. */
export function areKept(attributes: ObjectAttributes): boolean {
  const length = attributes.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  return length <= KEPT_MAX_LENGTH;
}
