/** The XML of writes: what clients send with them, and what they are answered. */
import type { PartPage } from '../ufs/store-writer.ts';
import { S3Error } from './s3-error.ts';
import { element, timeOf, XML_HEAD, XML_NAMESPACE } from './xml.ts';
import { childText, readXml } from './xml-reader.ts';

export const PART_MAX_NUMBER = 10_000;
export const DELETE_MAX_COUNT = 1_000;
/** The root, and each part with its number, tag and checksum. */
const COMPLETE_ELEMENT_MAX_COUNT = 6 * PART_MAX_NUMBER;
/** The root, and each object with what may be asked of it. */
const DELETE_ELEMENT_MAX_COUNT = 8 * DELETE_MAX_COUNT;

export interface DeleteOrder {
  readonly keys: readonly string[];
  /** Only what failed is told. */
  readonly isQuiet: boolean;
}

export interface DeleteOutcome {
  readonly key: string;
  readonly error?: S3Error;
}

interface ObjectName {
  readonly bucket: string;
  readonly key: string;
}

/** @throws S3Error */
export function readDelete(document: Uint8Array): DeleteOrder {
  const root = readXml(document, DELETE_ELEMENT_MAX_COUNT);
  const objects = root.children.filter(({ name }) => name === 'Object');
  const isCounted = objects.length > 0 && objects.length <= DELETE_MAX_COUNT;
  if (root.name !== 'Delete' || !isCounted) throw new S3Error('MalformedXML');
  const keys = objects.map((object) => {
    const key = childText(object, 'Key') ?? '';
    const version = childText(object, 'VersionId') ?? 'null';
    if (key === '') throw new S3Error('MalformedXML');
    if (version === 'null' && childText(object, 'ETag') === undefined) return key;
    throw new S3Error('NotImplemented', 'Objects are deleted by their key alone.');
  });
  return { keys, isQuiet: childText(root, 'Quiet')?.trim().toLowerCase() === 'true' };
}

/** @throws S3Error */
export function readComplete(
  document: Uint8Array,
): { readonly partNumber: number; readonly etag: string }[] {
  const root = readXml(document, COMPLETE_ELEMENT_MAX_COUNT);
  const parts = root.children.filter(({ name }) => name === 'Part');
  const isCounted = parts.length > 0 && parts.length <= PART_MAX_NUMBER;
  if (root.name !== 'CompleteMultipartUpload' || !isCounted) throw new S3Error('MalformedXML');
  let before = 0;
  return parts.map((part) => {
    const partNumber = partNumberFrom(childText(part, 'PartNumber')?.trim());
    const etag = childText(part, 'ETag')?.trim() ?? '';
    if (etag === '' || /[^\x21-\x7e]/.test(etag)) throw new S3Error('InvalidPart');
    if (partNumber <= before) throw new S3Error('InvalidPartOrder');
    before = partNumber;
    return { partNumber, etag };
  });
}

/** @throws S3Error */
export function partNumberFrom(text: string | undefined): number {
  const number = /^\d{1,5}$/.test(text ?? '') ? Number(text) : 0;
  if (number >= 1 && number <= PART_MAX_NUMBER) return number;
  const message = `Part number must be an integer between 1 and ${PART_MAX_NUMBER}, inclusive`;
  throw new S3Error('InvalidArgument', message);
}

export function uploadXml(name: ObjectName, uploadId: string): string {
  return document('InitiateMultipartUploadResult', [
    ...nameOf(name),
    element('UploadId', uploadId),
  ]);
}

export function completeXml(name: ObjectName, etag: string): string {
  const location = element('Location', `/${name.bucket}/${name.key}`);
  return document('CompleteMultipartUploadResult', [
    location,
    ...nameOf(name),
    element('ETag', etag),
  ]);
}

export function partsXml(
  name: ObjectName,
  asked: { readonly uploadId: string; readonly after: number; readonly limit: number },
  { parts, next }: PartPage,
): string {
  const listed = parts.map(
    ({ partNumber, etag, sizeBytes, mtimeMs }) =>
      `<Part>${element('PartNumber', String(partNumber))}${element('LastModified', timeOf(mtimeMs))}${element('ETag', etag)}${element('Size', String(sizeBytes))}</Part>`,
  );
  return document('ListPartsResult', [
    ...nameOf(name),
    element('UploadId', asked.uploadId),
    element('PartNumberMarker', String(asked.after)),
    ...(next === undefined ? [] : [element('NextPartNumberMarker', String(next))]),
    element('MaxParts', String(asked.limit)),
    element('IsTruncated', String(next !== undefined)),
    ...listed,
    element('StorageClass', 'STANDARD'),
  ]);
}

export function deletedXml(outcomes: readonly DeleteOutcome[], isQuiet: boolean): string {
  const told = outcomes.map(({ key, error }) => {
    if (!error) return isQuiet ? '' : `<Deleted>${element('Key', key)}</Deleted>`;
    const { code, message } = error;
    return `<Error>${element('Key', key)}${element('Code', code)}${element('Message', message)}</Error>`;
  });
  return document('DeleteResult', told);
}

function nameOf({ bucket, key }: ObjectName): string[] {
  return [element('Bucket', bucket), element('Key', key)];
}

function document(name: string, content: readonly string[]): string {
  return `${XML_HEAD}<${name} ${XML_NAMESPACE}>${content.join('')}</${name}>`;
}
