/** What a HEAD tells of an object beside size and version, as the header fields it came in. */
import type { HeadObjectCommandOutput } from '@aws-sdk/client-s3';

import { isAttribute, type ObjectAttributes } from '../../base/object-attributes.ts';

export function attributesOf(output: HeadObjectCommandOutput): ObjectAttributes {
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
  return attributes.filter(([name, value]) => isAttribute(name) && FIELD_VALUE.test(value));
}

/** What may stand in a header; nothing else came in one. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
