/** From the configured mounts to the table of their stores. */
import { checkMount, MountTable, type MountConfig } from '../mounts.ts';
import { parsePath } from '../path.ts';
import type { UnderStore } from '../under-store.ts';
import type { UnderStoreDependencies } from './dependencies.ts';
import { FileUnderStore } from './file-under-store.ts';
import { S3UnderStore } from './s3-under-store.ts';

/**
 * Opens nothing yet: stores connect at their first call.
 * @throws config_invalid naming the mount and the rule that it breaks.
 */
export function openUnderStores(
  mounts: readonly MountConfig[],
  dependencies: UnderStoreDependencies,
): MountTable {
  return new MountTable(
    mounts.map((mount) => ({ path: mount.path, store: openUnderStore(mount, dependencies) })),
  );
}

/** @throws config_invalid */
export function openUnderStore(
  mount: MountConfig,
  dependencies: UnderStoreDependencies,
): UnderStore {
  const { path } = checkMount(mount);
  switch (parsePath(path).scheme) {
    case 's3':
      return new S3UnderStore(mount, dependencies);
    case 'file':
      return new FileUnderStore(mount, dependencies);
  }
}
