/**
 * Which buckets there are: the mounts.
 *
 * `s3://bucket` and `s3://bucket/prefix` are served as `/bucket/key` with the keys of the store, so
 * that a client changes its endpoint and nothing else; of a mounted prefix only what lies below it
 * is there. `file:///some/data` is served as the bucket `data`, its keys relative to the directory.
 * A directory whose name is no bucket name, or is taken already, is not served.
 */
import { comparePaths } from '../ufs/path.ts';

export interface BucketMount {
  /** Canonical prefix of the mount. */
  readonly path: string;
  /** What stands before a key in a path: `s3://bucket/`, `file:///some/data/`. */
  readonly base: string;
  /** Keys begin with this: `prefix/`, or nothing. */
  readonly keyPrefix: string;
}

export interface Bucket {
  readonly name: string;
  /** In the order of their keys; none lies within another. */
  readonly mounts: readonly BucketMount[];
}

const BUCKET_NAME = /^[A-Za-z0-9._-]{1,255}$/;

export function bucketsOf(mounts: readonly string[]): ReadonlyMap<string, Bucket> {
  const byName = new Map<string, BucketMount[]>();
  for (const path of mounts.filter((mount) => mount.startsWith('s3://'))) {
    const [name = '', ...rest] = path.slice('s3://'.length).split('/');
    const prefix = rest.join('/');
    const mount = { path, base: `s3://${name}/`, keyPrefix: prefix === '' ? '' : `${prefix}/` };
    byName.set(name, [...(byName.get(name) ?? []), mount]);
  }
  for (const path of mounts.filter((mount) => mount.startsWith('file://'))) {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (!BUCKET_NAME.test(name) || byName.has(name)) continue;
    byName.set(name, [{ path, base: `${path}/`, keyPrefix: '' }]);
  }
  const names = [...byName.keys()].sort(comparePaths);
  return new Map(
    names.map((name) => [name, { name, mounts: outermost(byName.get(name) ?? []) }] as const),
  );
}

/** Why: a mount within another is reached through the outer one's listing anyway. */
function outermost(mounts: readonly BucketMount[]): BucketMount[] {
  return mounts
    .filter((mount) => !mounts.some((other) => other !== mount && contains(other, mount)))
    .sort((a, b) => comparePaths(a.keyPrefix, b.keyPrefix));
}

function contains(outer: BucketMount, inner: BucketMount): boolean {
  return inner.keyPrefix.startsWith(outer.keyPrefix);
}

/** Path of a key; whether it is mounted, and whether it can exist, is told by whoever reads it. */
export function pathOf(bucket: Bucket, key: string): string {
  return `${bucket.mounts[0]?.base ?? ''}${key}`;
}
