/** What a job loads, as roots: its path, its paths, or what its index file lists. */
import { RingloadError, toRingloadError, toWireError, type WireError } from '../base/errors.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import { checkRootPath } from './canonical-path.ts';
import { readIndex } from './index-file.ts';
import { PathList } from './path-list.ts';
import type { JobSpec } from './spec.ts';

/** Whether the job has one root, which is its path. */
export function hasOneRoot({ paths, index }: JobSpec): boolean {
  return paths === undefined && index === undefined;
}

/** @throws ufs_*, path_not_mounted: the index file cannot be read, or is another version now. */
export async function rootsOf(
  { path, paths, index }: JobSpec,
  stores: UnderStores,
  signal: AbortSignal,
): Promise<PathList> {
  if (index === undefined) return PathList.of(paths ?? [path]);
  try {
    return await readIndex(stores.storeOf(path), path, index, signal);
  } catch (thrown) {
    const error = toRingloadError(thrown);
    if (error.code !== 'ufs_changed') throw error;
    const message = `index file ${path} is another version than the job was submitted with: submit it again`;
    throw new RingloadError('ufs_changed', message, { cause: error });
  }
}

/** Why nothing can be listed at `root`, as far as that is known without asking. */
export function unfitRoot(root: string, stores: UnderStores): WireError | undefined {
  try {
    checkRootPath(root);
    stores.storeOf(root);
    return undefined;
  } catch (thrown) {
    return toWireError(toRingloadError(thrown));
  }
}

/** Whether the path is one of the roots, or lies below one. */
export function isWithin(roots: PathList, path: string): boolean {
  for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
    if (roots.has(path.slice(0, end))) return true;
  }
  return false;
}
