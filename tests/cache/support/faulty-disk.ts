/** Files, real ones unless told otherwise, whose operations fail when a test says so. */
import { nodeDisk, type Disk, type DiskFile } from '../../../src/cache/io/disk.ts';

export type DiskOperation =
  | 'open'
  | 'read'
  | 'write'
  | 'datasync'
  | 'truncate'
  | 'size'
  | 'close'
  | 'prepare'
  | 'preallocate'
  | 'list'
  | 'remove'
  | 'syncDirectory';

export interface FaultyDisk extends Disk {
  /** Asked before each operation: a code such as EIO makes it fail. */
  fault: ((operation: DiskOperation, path: string) => string | undefined) | undefined;
  readonly counts: Map<DiskOperation, number>;
}

export function newFaultyDisk(base: Disk = nodeDisk): FaultyDisk {
  const check = (operation: DiskOperation, path: string): void => {
    disk.counts.set(operation, (disk.counts.get(operation) ?? 0) + 1);
    const code = disk.fault?.(operation, path);
    if (code) throw Object.assign(new Error(`${code}: injected, ${operation} ${path}`), { code });
  };
  const disk: FaultyDisk = {
    fault: undefined,
    counts: new Map(),
    async prepareDirectory(path) {
      check('prepare', path);
      await base.prepareDirectory(path);
    },
    async preallocate(path, lengthBytes) {
      check('preallocate', path);
      await base.preallocate(path, lengthBytes);
    },
    async open(path, options) {
      check('open', path);
      return wrap(path, await base.open(path, options));
    },
    async list(path) {
      check('list', path);
      return base.list(path);
    },
    async remove(path) {
      check('remove', path);
      await base.remove(path);
    },
    async syncDirectory(path) {
      check('syncDirectory', path);
      await base.syncDirectory(path);
    },
  };
  const wrap = (path: string, file: DiskFile): DiskFile => ({
    async read(target, position) {
      check('read', path);
      return file.read(target, position);
    },
    async write(bytes, position) {
      try {
        check('write', path);
      } catch (error) {
        // As a disk does that becomes full, or breaks, in the middle of a write.
        await file.write(bytes.subarray(0, bytes.length / 2), position);
        throw error;
      }
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
    async size() {
      check('size', path);
      return file.size();
    },
    async close() {
      await file.close();
      check('close', path);
    },
  });
  return disk;
}
