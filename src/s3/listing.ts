/**
 * ListObjects, versions 1 and 2: from the under store, in the order of UTF-8 bytes.
 *
 * Where a page ends is a key or a group, and so is a continuation token, in base64: any peer can
 * go on with it, and so can the same client after a restart of all of them.
 */
import { toRingloadError } from '../base/errors.ts';
import { entityTagOf } from '../http/range.ts';
import { browseByList, groupOf } from '../ufs/browse.ts';
import { comparePaths } from '../ufs/path.ts';
import type { BrowsedObject, BrowsePage, BrowseRequest, UnderStores } from '../ufs/under-store.ts';
import type { Bucket, BucketMount } from './buckets.ts';
import { S3Error, type Field } from './s3-error.ts';
import { queryValue, type Target } from './target.ts';
import { listingXml, type ListedObject, type Owner } from './xml.ts';

interface Ask {
  readonly prefix: string;
  readonly delimiter: string;
  /** Key or group that the last page ended with; empty for the start. */
  readonly after: string;
  readonly limit: number;
  readonly withOwner: boolean;
}

interface Page {
  readonly objects: BrowsedObject[];
  readonly groups: string[];
  isTruncated: boolean;
}

const PAGE_MAX_KEYS = 1_000;
const OWNER: Owner = { id: 'ringload', displayName: 'ringload' };

/** @throws S3Error, ufs_* */
export async function listObjects(
  stores: UnderStores,
  bucket: Bucket,
  target: Target,
  signal: AbortSignal,
): Promise<string> {
  const apiVersion = versionOf(target);
  const prefix = queryValue(target, 'prefix') ?? '';
  const delimiter = queryValue(target, 'delimiter') ?? '';
  const limit = limitOf(target);
  const isUrlEncoded = isUrlEncodedOf(target);
  refuseUnordered(target, delimiter);
  const start = startOf(target, apiVersion);
  const withOwner = apiVersion === 1 || queryValue(target, 'fetch-owner') === 'true';
  const ask = { prefix, delimiter, after: start.after, limit, withOwner };
  const page: Page = { objects: [], groups: [], isTruncated: false };
  if (limit > 0) {
    for (const mount of bucket.mounts) {
      await addFrom(stores, mount, ask, page, signal);
      if (page.isTruncated) break;
    }
  }
  const base = bucket.mounts[0]?.base ?? '';
  const keys = [...page.objects.map(({ path }) => path.slice(base.length)), ...page.groups];
  const last = keys.sort(comparePaths).at(-1);
  return listingXml({
    bucket: bucket.name,
    ...{ apiVersion, prefix, delimiter, limit, isUrlEncoded },
    echoed: start.echoed,
    contents: page.objects.map((object) => listed(object, base, withOwner)),
    commonPrefixes: page.groups,
    isTruncated: page.isTruncated,
    ...(page.isTruncated &&
      last !== undefined && { next: apiVersion === 2 ? tokenOf(last) : last }),
  });
}

/** What one mount has of it; a page that is full looks only whether there is more. */
async function addFrom(
  stores: UnderStores,
  mount: BucketMount,
  ask: Ask,
  page: Page,
  signal: AbortSignal,
): Promise<void> {
  const { base, keyPrefix } = mount;
  const isWithin = ask.prefix.startsWith(keyPrefix);
  if (!isWithin && !keyPrefix.startsWith(ask.prefix)) return;
  const group = isWithin ? undefined : groupOf(keyPrefix, ask);
  if (
    group !== undefined &&
    (comparePaths(group, ask.after) <= 0 || group === page.groups.at(-1))
  ) {
    return;
  }
  const left = ask.limit - page.objects.length - page.groups.length;
  const after = ask.after === '' ? {} : { after: base + ask.after };
  const request: BrowseRequest = {
    prefix: base + (isWithin ? ask.prefix : keyPrefix),
    delimiter: group === undefined ? ask.delimiter : '',
    ...(group === undefined && after),
    limit: group === undefined ? Math.max(1, left) : 1,
    ...(ask.withOwner && { withOwner: true }),
  };
  const found = await browse(stores, mount, request, signal);
  const count = found.objects.length + found.groups.length;
  if (count > 0 && left === 0) page.isTruncated = true;
  else if (group !== undefined) page.groups.push(...(count > 0 ? [group] : []));
  else {
    page.objects.push(...found.objects);
    page.groups.push(...found.groups.map((path) => path.slice(base.length)));
    page.isTruncated = !found.done;
  }
}

async function browse(
  stores: UnderStores,
  mount: BucketMount,
  request: BrowseRequest,
  signal: AbortSignal,
): Promise<BrowsePage> {
  const store = stores.storeOf(mount.path);
  try {
    if (store.browse) return await store.browse(request, signal);
    return await browseByList((list) => store.list(list, signal), request);
  } catch (thrown) {
    const { code } = toRingloadError(thrown);
    // A key that the store cannot have: nothing lies there.
    if (code === 'invalid_argument') return { objects: [], groups: [], done: true };
    if (code === 'ufs_not_found') throw new S3Error('NoSuchBucket', undefined, { cause: thrown });
    throw thrown;
  }
}

function versionOf(target: Target): 1 | 2 {
  const type = queryValue(target, 'list-type');
  if (type === undefined || type === '1') return 1;
  if (type === '2') return 2;
  throw new S3Error('InvalidArgument', 'Invalid list-type', { fields: [['ArgumentValue', type]] });
}

function limitOf(target: Target): number {
  const text = queryValue(target, 'max-keys') ?? '';
  if (text === '') return PAGE_MAX_KEYS;
  if (/^\d{1,10}$/.test(text)) return Math.min(PAGE_MAX_KEYS, Number(text));
  throw new S3Error('InvalidArgument', 'Provided max-keys not an integer or within integer range', {
    fields: [
      ['ArgumentName', 'max-keys'],
      ['ArgumentValue', text],
    ],
  });
}

function isUrlEncodedOf(target: Target): boolean {
  const type = queryValue(target, 'encoding-type');
  if (type === undefined || type === 'url') return type !== undefined;
  throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request');
}

/** An extension of other servers: keys in any order will do. Ours are in order all the same. */
function refuseUnordered(target: Target, delimiter: string): void {
  if (queryValue(target, 'allow-unordered') === 'true' && delimiter !== '') {
    throw new S3Error('InvalidArgument', 'allow-unordered and delimiter exclude each other');
  }
}

function startOf(
  target: Target,
  apiVersion: 1 | 2,
): { readonly after: string; readonly echoed: readonly Field[] } {
  if (apiVersion === 1) {
    const after = queryValue(target, 'marker') ?? '';
    return { after, echoed: [['Marker', after]] };
  }
  const startAfter = queryValue(target, 'start-after');
  const token = queryValue(target, 'continuation-token');
  const echoed: Field[] = [];
  if (startAfter !== undefined) echoed.push(['StartAfter', startAfter]);
  if (token !== undefined) echoed.push(['ContinuationToken', token]);
  const isEmpty = token === undefined || token === '';
  return { after: isEmpty ? (startAfter ?? '') : keyOf(token), echoed };
}

/** Marks what is a token of ours. */
const TOKEN_HEAD = '1';

function tokenOf(key: string): string {
  return TOKEN_HEAD + Buffer.from(key).toString('base64url');
}

function keyOf(token: string): string {
  const key = Buffer.from(token.slice(TOKEN_HEAD.length), 'base64url').toString();
  if (tokenOf(key) === token) return key;
  throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect');
}

function listed(object: BrowsedObject, base: string, withOwner: boolean): ListedObject {
  const { path, sizeBytes, mtimeMs, storageClass, owner, checksums } = object;
  return {
    key: path.slice(base.length),
    sizeBytes,
    etag: entityTagOf(object),
    mtimeMs,
    ...{ storageClass, checksums },
    ...(withOwner && { owner: owner ?? OWNER }),
  };
}
