/** From the configured mounts to the table of their stores. */
import { checkMount, MountTable, type MountConfig } from '../mounts.ts';
import { parsePath } from '../path.ts';
import type { UnderStore } from '../under-store.ts';
import type { UnderStoreDependencies } from './dependencies.ts';
import { FileUnderStore } from './file-under-store.ts';

/**
 * Opens nothing yet: stores connect at their first call.
 * @throws config_invalid naming the mount and the rule that it breaks.
 */
export async function openUnderStores(
  mounts: readonly MountConfig[],
  dependencies: UnderStoreDependencies,
): Promise<MountTable> {
  const opened = mounts.map(async (mount) => ({
    path: mount.path,
    store: await openUnderStore(mount, dependencies),
  }));
  return new MountTable(await Promise.all(opened));
}

async function openUnderStore(
  mount: MountConfig,
  dependencies: UnderStoreDependencies,
): Promise<UnderStore> {
  const { path } = checkMount(mount);
  switch (parsePath(path).scheme) {
    case 's3': {
      // Why here: the SDK is 20 MB and a fifth of a second that peers without it need not pay.
      const { S3UnderStore } = await import('./s3-under-store.ts');
      return new S3UnderStore(mount, dependencies);
    }
    case 'file':
      return new FileUnderStore(mount, dependencies);
  }
}
