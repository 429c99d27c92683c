/** Which files a job was asked for, for those who look for them later. */
import { isAtOrBelow, comparePaths } from '../ufs/path.ts';
import type { UfsObject, UnderStores } from '../ufs/under-store.ts';
import { RootPages } from '../job/root-pages.ts';
import { hasOneRoot, isWithin, rootsOf, unfitRoot } from '../job/roots.ts';
import type { JobSpec } from '../job/spec.ts';

export interface JobScope {
  /** Where catalogues have to be read, in order, none below another. */
  readonly roots: readonly string[];
  /** Whether a file below them was asked for. */
  readonly holds: (path: string) => boolean;
}

const PAGE_MAX_COUNT = 1000;

/** @throws ufs_*: the job's index file cannot be read, or is another version now. */
export async function scopeOf(
  spec: JobSpec,
  stores: UnderStores,
  signal: AbortSignal,
): Promise<JobScope> {
  if (hasOneRoot(spec)) return { roots: [spec.path], holds: () => true };
  const list = await rootsOf(spec, stores, signal);
  const { mounts } = stores;
  const roots = mounts.filter(
    (mount) => !mounts.some((other) => other !== mount && isAtOrBelow(other, mount)),
  );
  // In order of what lies below them: `s3://b-2/` comes before `s3://b/`.
  roots.sort((left, right) => comparePaths(`${left}/`, `${right}/`));
  return { roots, holds: (path) => isWithin(list, path) };
}

/** What the under store has of the job's files now, in order of paths. @throws ufs_* */
export async function* objectsOf(
  spec: JobSpec,
  stores: UnderStores,
  signal: AbortSignal,
): AsyncGenerator<UfsObject> {
  const pages = new RootPages({
    list: await rootsOf(spec, stores, signal),
    check: (line) => unfitRoot(line, stores),
    isKeyed: () => false,
    listPage: (root, { after, limit }) =>
      stores.storeOf(root).list({ root, limit, ...(after !== undefined && { after }) }, signal),
    rest: () => Promise.resolve(),
  });
  let after: string | undefined;
  for (;;) {
    const page = await pages.next(after, PAGE_MAX_COUNT);
    yield* page.objects;
    if (page.done) return;
    after = page.cursor ?? after;
  }
}
