/** What an answer tells of an object beside size and version, as the header fields it came in. */
import type { GetObjectCommandOutput, HeadObjectCommandOutput } from '@aws-sdk/client-s3';

import { areKept, attributesAmong, type ObjectAttributes } from '../../base/object-attributes.ts';

export function attributesOf(
  output: HeadObjectCommandOutput | GetObjectCommandOutput,
): ObjectAttributes {
  const fields: Readonly<Record<string, string | undefined>> = {
    'content-type': output.ContentType,
    'cache-control': output.CacheControl,
    'content-encoding': output.ContentEncoding,
    'content-disposition': output.ContentDisposition,
    'content-language': output.ContentLanguage,
    expires: output.ExpiresString,
    'x-amz-version-id': output.VersionId,
    'x-amz-storage-class': output.StorageClass,
    'x-amz-checksum-crc32': output.ChecksumCRC32,
    'x-amz-checksum-crc32c': output.ChecksumCRC32C,
    'x-amz-checksum-crc64nvme': output.ChecksumCRC64NVME,
    'x-amz-checksum-sha1': output.ChecksumSHA1,
    'x-amz-checksum-sha256': output.ChecksumSHA256,
    'x-amz-checksum-type': output.ChecksumType,
  };
  const attributes: [string, string][] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && value !== '') attributes.push([name, value]);
  }
  for (const [name, value] of Object.entries(output.Metadata ?? {})) {
    attributes.push([`x-amz-meta-${name.toLowerCase()}`, value]);
  }
  return attributesAmong(attributes);
}

/**
 * The same of an answer that brought bytes. Why no checksums of a range: some stores tell those of
 * its bytes.
 */
export function attributesOfBody(
  told: ObjectAttributes,
  isWhole: boolean,
): ObjectAttributes | undefined {
  const fields = isWhole ? told : told.filter(([name]) => !name.startsWith('x-amz-checksum-'));
  const attributes = attributesAmong(fields);
  return areKept(attributes) ? attributes : undefined;
}
