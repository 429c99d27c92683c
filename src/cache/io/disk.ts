/**
 * The few file operations that the cache needs, so that tests can make each of them fail and can
 * cut the power between any two. Errors are Node's own; the callers translate them.
 */
import { execFile } from 'node:child_process';
import { chmod, mkdir, open, readdir, rm, type FileHandle } from 'node:fs/promises';
import { constants } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

import { whenDescriptorsAllow } from '../../base/descriptors.ts';

export interface DiskFile {
  /** Fills `target` from `position`; returns fewer bytes only at the end of the file. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Writes all of `bytes`. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Resolves when all that was written is durable, the length included. */
  datasync(): Promise<void>;
  truncate(lengthBytes: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

export interface Disk {
  /** Creates the directory if need be, for nobody but us to enter. */
  prepareDirectory(path: string): Promise<void>;
  /** Names of the files in it. */
  list(path: string): Promise<string[]>;
  remove(path: string): Promise<void>;
  /** Opens for reading and writing; `create` makes the file when it is missing. */
  open(path: string, options: { create: boolean }): Promise<DiskFile>;
  /** Gives the file that length, with its blocks allocated where the file system can do that. */
  preallocate(path: string, lengthBytes: number): Promise<void>;
  /** Makes creations and removals in the directory durable. */
  syncDirectory(path: string): Promise<void>;
}

const run = promisify(execFile);
const PREALLOCATE_TIMEOUT_MS = 30_000;

class NodeDiskFile implements DiskFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < target.length) {
      const { bytesRead } = await this.#handle.read(
        target,
        done,
        target.length - done,
        position + done,
      );
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.#handle.write(
        bytes,
        done,
        bytes.length - done,
        position + done,
      );
      done += bytesWritten;
    }
  }

  datasync(): Promise<void> {
    return this.#handle.datasync();
  }
  truncate(lengthBytes: number): Promise<void> {
    return this.#handle.truncate(lengthBytes);
  }
  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }
  close(): Promise<void> {
    return this.#handle.close();
  }
}

export const nodeDisk: Disk = {
  async prepareDirectory(path) {
    await mkdir(path, { recursive: true, mode: 0o700 });
    await chmod(path, 0o700);
  },

  async list(path) {
    const entries = await patiently(() => readdir(path, { withFileTypes: true }));
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  },

  async remove(path) {
    await rm(path, { force: true });
  },

  async open(path, { create }) {
    const flags = constants.O_RDWR | (create ? constants.O_CREAT : 0);
    return new NodeDiskFile(await patiently(() => open(path, flags, 0o600)));
  },

  async preallocate(path, lengthBytes) {
    try {
      // Why a process: Node has no fallocate, and a region is preallocated once in its life.
      await run('fallocate', ['--length', String(lengthBytes), path], {
        timeout: PREALLOCATE_TIMEOUT_MS,
      });
    } catch (error) {
      if (/no space left/i.test(String((error as { stderr?: unknown }).stderr))) {
        throw Object.assign(new Error(`preallocate ${path}: no space left on device`), {
          code: 'ENOSPC',
          cause: error,
        });
      }
      // The tool or the file system cannot do it: a sparse file works as well, only slower.
    }
    const handle = await patiently(() => open(path, constants.O_RDWR));
    try {
      await handle.truncate(lengthBytes);
    } finally {
      await handle.close();
    }
  },

  async syncDirectory(path) {
    const flags = constants.O_RDONLY | constants.O_DIRECTORY;
    const handle = await patiently(() => open(path, flags));
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

function patiently<T>(open: () => Promise<T>): Promise<T> {
  return whenDescriptorsAllow(open, pause);
}
