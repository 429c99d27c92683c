/**
 * One page of a listing, taken from ListObjectsV2 without trusting it.
 *
 * The cursor is a key (StartAfter), not a continuation token, so that another process can go on.
 * Tokens are used inside one call only, to get past pages that bring nothing new: empty ones, or
 * those of a store that ignores StartAfter. Keys must ascend by UTF-8 bytes and lie below the
 * prefix; a store that orders otherwise would make a cursor lose keys and is refused.
 */
import {
  type _Object,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';

import { COMBINABLE_SUMS } from '../../base/crc-combine.ts';
import { RingloadError } from '../../base/errors.ts';
import { comparePaths } from '../path.ts';
import type { UfsObject } from '../under-store.ts';
import { versionFrom } from './s3-version.ts';

/** Pages without a new key that are skipped in one call. */
const BARREN_PAGE_MAX_COUNT = 100;

export interface KeyRange {
  readonly bucket: string;
  readonly prefix: string;
  /** Keys greater than this only; absent means from the start. */
  readonly after?: string | undefined;
  /** 1 to 1,000. */
  readonly limit: number;
}

export interface KeyPage {
  readonly objects: readonly UfsObject[];
  readonly done: boolean;
}

/** @throws ufs_bad_response, or what the SDK throws. */
export async function listKeys(
  client: S3Client,
  range: KeyRange,
  signal: AbortSignal,
): Promise<KeyPage> {
  const seenTokens = new Set<string>();
  let token: string | undefined;
  for (let barren = 0; barren <= BARREN_PAGE_MAX_COUNT; barren++) {
    const output = await client.send(
      new ListObjectsV2Command({
        Bucket: range.bucket,
        Prefix: range.prefix,
        StartAfter: range.after,
        ContinuationToken: token,
        MaxKeys: range.limit,
        EncodingType: 'url',
      }),
      { abortSignal: signal },
    );
    const page = readPage(output, range);
    if (page.objects.length > 0 || page.done) return page;
    token = output.NextContinuationToken;
    if (token === undefined || token === '') {
      throw badListing(range, 'an empty page says that more follow, but not where');
    }
    if (seenTokens.has(token)) throw badListing(range, 'its pages go round in a circle');
    seenTokens.add(token);
  }
  throw badListing(range, `${BARREN_PAGE_MAX_COUNT} pages in a row brought no new key`);
}

function readPage(output: ListObjectsV2CommandOutput, range: KeyRange): KeyPage {
  // Every S3 server says it; an HTML page or an error document answered with 200 does not.
  if (output.IsTruncated === undefined) {
    throw badListing(range, 'the answer is not a listing (no IsTruncated)');
  }
  // Why refused: no delimiter was sent, so a group stands for keys that nobody would list.
  if ((output.CommonPrefixes?.length ?? 0) > 0) {
    throw badListing(range, 'it has groups (CommonPrefixes) in place of keys');
  }
  const decode = output.EncodingType === 'url' ? decodeUrlEncoded : (text: string) => text;
  const objects: UfsObject[] = [];
  let previous = range.after;
  for (const content of output.Contents ?? []) {
    const key = content.Key === undefined ? undefined : decode(content.Key);
    if (key === undefined || key === '') {
      throw badListing(range, 'a key is missing or not decodable');
    }
    if (!key.startsWith(range.prefix)) throw badListing(range, 'a key lies outside the prefix');
    const order = previous === undefined ? 1 : comparePaths(key, previous);
    if (order <= 0) {
      // Known already: a duplicate, or a store that ignores StartAfter.
      if (objects.length === 0 || order === 0) continue;
      throw badListing(range, 'keys are not in the order of their UTF-8 bytes');
    }
    const sizeBytes = content.Size;
    if (sizeBytes === undefined || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
      throw badListing(range, 'an object has no valid size');
    }
    objects.push({
      path: `s3://${range.bucket}/${key}`,
      sizeBytes,
      version: versionFrom(content.ETag, content.LastModified),
      mtimeMs: content.LastModified?.getTime() ?? 0,
      ...(isChecked(content) && { mayHaveChecksum: true }),
    });
    previous = key;
  }
  const isCut = objects.length > range.limit;
  return {
    objects: isCut ? objects.slice(0, range.limit) : objects,
    done: !output.IsTruncated && !isCut,
  };
}

/** Whether the store has a checksum of the whole object that can be combined from those of parts. */
function isChecked({ ChecksumAlgorithm, ChecksumType }: _Object): boolean {
  if (ChecksumType === 'COMPOSITE') return false;
  return (ChecksumAlgorithm ?? []).some((name) =>
    COMBINABLE_SUMS.some((known) => known.toUpperCase() === name),
  );
}

/** EncodingType `url` as servers mean it: form encoding, where a blank is `+` or `%20`. */
export function decodeUrlEncoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}

function badListing({ bucket, prefix, after }: KeyRange, finding: string): RingloadError {
  const where = after === undefined ? '' : ` after ${JSON.stringify(after)}`;
  return new RingloadError(
    'ufs_bad_response',
    `listing of s3://${bucket}/${prefix}${where} is not usable: ${finding}`,
  );
}
