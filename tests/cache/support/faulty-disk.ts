/** Real files whose operations fail when a test says so. */
import { nodeDisk, type Disk, type DiskFile } from '../../../src/cache/io/disk.ts';

export type DiskOperation =
  'open' | 'read' | 'write' | 'datasync' | 'truncate' | 'prepare' | 'preallocate';

export interface FaultyDisk extends Disk {
  /** Asked before each operation: a code such as EIO makes it fail. */
  fault: ((operation: DiskOperation, path: string) => string | undefined) | undefined;
  readonly counts: Map<DiskOperation, number>;
}

export function newFaultyDisk(): FaultyDisk {
  const check = (operation: DiskOperation, path: string): void => {
    disk.counts.set(operation, (disk.counts.get(operation) ?? 0) + 1);
    const code = disk.fault?.(operation, path);
    if (code) throw Object.assign(new Error(`${code}: injected, ${operation} ${path}`), { code });
  };
  const disk: FaultyDisk = {
    ...nodeDisk,
    fault: undefined,
    counts: new Map(),
    async prepareDirectory(path) {
      check('prepare', path);
      await nodeDisk.prepareDirectory(path);
    },
    async preallocate(path, lengthBytes) {
      check('preallocate', path);
      await nodeDisk.preallocate(path, lengthBytes);
    },
    async open(path, options) {
      check('open', path);
      return wrap(path, await nodeDisk.open(path, options));
    },
  };
  const wrap = (path: string, file: DiskFile): DiskFile => ({
    async read(target, position) {
      check('read', path);
      return file.read(target, position);
    },
    async write(bytes, position) {
      check('write', path);
      await file.write(bytes, position);
    },
    async datasync() {
      check('datasync', path);
      await file.datasync();
    },
    async truncate(lengthBytes) {
      check('truncate', path);
      await file.truncate(lengthBytes);
    },
    size: () => file.size(),
    close: () => file.close(),
  });
  return disk;
}
