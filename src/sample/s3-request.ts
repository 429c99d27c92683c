/**
 * A request to a sample store, read from the raw request target.
 *
 * No URL parser: it would turn `/b/a/../c` into `/b/c`. The path is percent-decoded exactly once
 * and a blank in the query may be `+`.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

export type SampleOperation =
  'get' | 'head' | 'list' | 'head-bucket' | 'location' | 'list-buckets' | 'unsupported';

export interface SampleRequest {
  readonly operation: SampleOperation;
  readonly method: string;
  readonly bucket: string;
  /** Empty for requests about a bucket. */
  readonly key: string;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: IncomingHttpHeaders;
}

const LIST_PARAMETERS = new Set([
  'list-type',
  'prefix',
  'delimiter',
  'max-keys',
  'start-after',
  'continuation-token',
  'marker',
  'encoding-type',
  'fetch-owner',
]);
/** Sub-resources such as `?acl` or `?tagging`; without one of these a GET is an object's bytes. */
const SUB_RESOURCE =
  /^(acl|attributes|cors|legal-hold|lifecycle|policy|retention|tagging|torrent|uploads|uploadId|versioning|versions|website)$/;

/** Undefined when the target is not decodable. */
export function readRequest(incoming: IncomingMessage): SampleRequest | undefined {
  // Node hands out the bytes of the target as latin1.
  const target = Buffer.from(incoming.url ?? '/', 'latin1').toString('utf8');
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  try {
    const query = readQuery(mark < 0 ? '' : target.slice(mark + 1));
    const slash = path.indexOf('/', 1);
    const bucket = decodeURIComponent(path.slice(1, slash < 0 ? undefined : slash));
    const key = slash < 0 ? '' : decodeURIComponent(path.slice(slash + 1));
    const method = incoming.method ?? 'GET';
    const operation = operationOf(method, bucket, key, query);
    return { operation, method, bucket, key, query, headers: incoming.headers };
  } catch {
    return undefined;
  }
}

function operationOf(
  method: string,
  bucket: string,
  key: string,
  query: ReadonlyMap<string, string>,
): SampleOperation {
  const names = [...query.keys()];
  if (names.some((name) => SUB_RESOURCE.test(name))) return 'unsupported';
  if (method === 'HEAD') return key === '' ? 'head-bucket' : 'head';
  if (method !== 'GET') return 'unsupported';
  if (key !== '') return 'get';
  if (bucket === '') return 'list-buckets';
  if (query.has('location')) return 'location';
  const isListing = names.every((name) => LIST_PARAMETERS.has(name) || /^x-/i.test(name));
  return isListing ? 'list' : 'unsupported';
}

function readQuery(text: string): ReadonlyMap<string, string> {
  const query = new Map<string, string>();
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = equals < 0 ? pair : pair.slice(0, equals);
    query.set(decodeQuery(name), equals < 0 ? '' : decodeQuery(pair.slice(equals + 1)));
  }
  return query;
}

function decodeQuery(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}
