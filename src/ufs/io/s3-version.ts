/**
 * What pins an S3 object's content, as one string.
 *
 * Normally the ETag without its quotes: `9b2c…`, `9b2c…-12`; a weak one keeps its mark, `W/"…"`.
 * A store that sends no ETag gets `mtime:<seconds>`, which is as weak as it looks: a second write
 * within the same second is not seen unless it changes the size.
 */
import type { RangeRequest } from '../under-store.ts';

const MTIME_PREFIX = 'mtime:';

export function versionFrom(etag: string | undefined, modified: Date | undefined): string {
  const bare = etag === undefined ? '' : bareEtag(etag);
  if (bare !== '') return bare;
  return `${MTIME_PREFIX}${Math.floor((modified?.getTime() ?? 0) / 1000)}`;
}

/** Headers that make the store refuse (412) any other version. */
export function conditionOf(version: string): { IfMatch: string } | { IfUnmodifiedSince: Date } {
  if (version.startsWith(MTIME_PREFIX)) {
    return { IfUnmodifiedSince: new Date(Number(version.slice(MTIME_PREFIX.length)) * 1000) };
  }
  return { IfMatch: version.startsWith('W/"') ? version : `"${version}"` };
}

/** The same as a header of a request that the SDK does not write. */
export function conditionHeader(version: string): Record<string, string> {
  const condition = conditionOf(version);
  return 'IfMatch' in condition
    ? { 'if-match': condition.IfMatch }
    : { 'if-unmodified-since': condition.IfUnmodifiedSince.toUTCString() };
}

/**
 * Whether an answer is of the version that was asked for. `unclear`: it does not say, or a proxy
 * has weakened the ETag, so that it no longer vouches for each byte.
 */
export function compareVersion(
  { version }: Pick<RangeRequest, 'version'>,
  answer: { readonly ETag?: string | undefined; readonly LastModified?: Date | undefined },
): 'same' | 'other' | 'unclear' {
  if (version.startsWith(MTIME_PREFIX)) {
    if (answer.LastModified === undefined) return 'unclear';
    return versionFrom(undefined, answer.LastModified) === version ? 'same' : 'other';
  }
  const bare = answer.ETag === undefined ? '' : bareEtag(answer.ETag);
  if (bare === version) return 'same';
  return bare === '' || bare === `W/"${version}"` ? 'unclear' : 'other';
}

function bareEtag(etag: string): string {
  const quoted = /^"(.*)"$/.exec(etag);
  return quoted ? (quoted[1] ?? '') : etag;
}
