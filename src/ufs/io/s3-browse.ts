/**
 * One level of a bucket by ListObjectsV2 with its delimiter, so that the store does the skipping.
 *
 * Checked as `s3-listing.ts` checks: what is not below the prefix, or not in order, is refused. A
 * group is passed by a key behind all of its own; what a store then gives once more is left out.
 */
import { ListObjectsV2Command, type _Object, type S3Client } from '@aws-sdk/client-s3';

import { RingloadError } from '../../base/errors.ts';
import { beyond } from '../browse.ts';
import { comparePaths, parsePath } from '../path.ts';
import type { BrowsedObject, BrowsePage, BrowseRequest } from '../under-store.ts';
import { decodeUrlEncoded } from './s3-listing.ts';
import { versionFrom } from './s3-version.ts';

/** Pages without anything new that are passed in one call. */
const BARREN_PAGE_MAX_COUNT = 100;

/** @throws ufs_bad_response, or what the SDK throws. */
export async function browseKeys(
  client: S3Client,
  request: BrowseRequest,
  signal: AbortSignal,
): Promise<BrowsePage> {
  const { prefix, delimiter, after } = request;
  const { authority: bucket, key: keyPrefix } = parsePath(prefix);
  const isBelow = after !== undefined && comparePaths(after, prefix) >= 0;
  let token: string | undefined;
  for (let barren = 0; barren <= BARREN_PAGE_MAX_COUNT; barren++) {
    const output = await client.send(
      new ListObjectsV2Command({
        Bucket: bucket,
        Prefix: keyPrefix,
        ...(delimiter !== '' && { Delimiter: delimiter }),
        ...(isBelow && { StartAfter: parsePath(beyond(after, request)).key }),
        ContinuationToken: token,
        MaxKeys: request.limit,
        EncodingType: 'url',
        ...(request.withOwner && { FetchOwner: true }),
      }),
      { abortSignal: signal },
    );
    if (output.IsTruncated === undefined) throw bad(prefix, 'the answer is not a listing');
    const decode = output.EncodingType === 'url' ? decodeUrlEncoded : (text: string) => text;
    const pathOf = (text: string | undefined): string => {
      const key = text === undefined ? undefined : decode(text);
      if (key === undefined || key === '') throw bad(prefix, 'a key is missing or not decodable');
      const path = `s3://${bucket}/${key}`;
      if (!path.startsWith(prefix)) throw bad(prefix, 'a key lies outside the prefix');
      return path;
    };
    const isNew = (path: string): boolean => after === undefined || comparePaths(path, after) > 0;
    const objects = (output.Contents ?? []).map((found) => describe(pathOf(found.Key), found));
    const groups = (output.CommonPrefixes ?? []).map((found) => pathOf(found.Prefix));
    checkOrder(
      prefix,
      objects.map(({ path }) => path),
    );
    checkOrder(prefix, groups);
    const page = {
      objects: objects.filter(({ path }) => isNew(path)),
      groups: groups.filter(isNew),
      done: !output.IsTruncated,
    };
    if (page.done || page.objects.length + page.groups.length > 0) return page;
    token = output.NextContinuationToken;
    if (token === undefined || token === '') throw bad(prefix, 'an empty page is not the last one');
  }
  throw bad(prefix, `${BARREN_PAGE_MAX_COUNT} pages in a row brought nothing new`);
}

function describe(path: string, found: _Object): BrowsedObject {
  const { Size: sizeBytes, ETag, LastModified, StorageClass, Owner, ChecksumType } = found;
  if (sizeBytes === undefined || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    throw bad(path, 'an object has no valid size');
  }
  const [algorithm] = found.ChecksumAlgorithm ?? [];
  return {
    path,
    sizeBytes,
    version: versionFrom(ETag, LastModified),
    mtimeMs: LastModified?.getTime() ?? 0,
    ...(StorageClass !== undefined && { storageClass: StorageClass }),
    ...(Owner?.ID !== undefined && { owner: { id: Owner.ID, displayName: Owner.DisplayName } }),
    ...(algorithm !== undefined &&
      ChecksumType !== undefined && { checksums: { algorithm, type: ChecksumType } }),
  };
}

function checkOrder(prefix: string, paths: readonly string[]): void {
  for (const [index, path] of paths.entries()) {
    const before = paths[index - 1];
    if (before !== undefined && comparePaths(before, path) >= 0) {
      throw bad(prefix, 'keys are not in the order of their UTF-8 bytes');
    }
  }
}

function bad(prefix: string, finding: string): RingloadError {
  return new RingloadError('ufs_bad_response', `listing of ${prefix} is not usable: ${finding}`);
}
