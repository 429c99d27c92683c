/**
 * The Raft log in a real directory: one directory for one member, held by one process.
 *
 * Every operation goes through the thread pool; nothing is retried after a failed sync, because
 * the kernel marks the pages clean and a second sync would lie.
 */
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { whenDescriptorsAllow } from '../../base/descriptors.ts';
import type { Logger } from '../../base/logger.ts';
import type { LogFile, LogFiles } from '../log-files.ts';
import { WalLogStorage } from '../wal-log-storage.ts';

/** @param directory is created when it is missing. */
export async function openFileLogStorage(
  directory: string,
  logger: Logger,
): Promise<WalLogStorage> {
  const created = await mkdir(directory, { recursive: true });
  if (created !== undefined) await syncDirectory(dirname(resolve(created)));
  return new WalLogStorage(new DirectoryLogFiles(directory), logger);
}

export class DirectoryLogFiles implements LogFiles {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  describe(name: string): string {
    return this.#path(name);
  }

  list(): Promise<readonly string[]> {
    return patiently(() => readdir(this.#directory));
  }

  read(name: string): Promise<Uint8Array> {
    return patiently(() => readFile(this.#path(name)));
  }

  async create(name: string): Promise<LogFile> {
    return new HandleLogFile(await patiently(() => open(this.#path(name), 'w', 0o600)), 0);
  }

  async openAt(name: string, sizeBytes: number): Promise<LogFile> {
    const handle = await patiently(() => open(this.#path(name), constants.O_RDWR));
    try {
      const { size } = await handle.stat();
      if (size > sizeBytes) {
        await handle.truncate(sizeBytes);
        await handle.sync();
      }
      return new HandleLogFile(handle, sizeBytes);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  rename(from: string, to: string): Promise<void> {
    return rename(this.#path(from), this.#path(to));
  }

  remove(name: string): Promise<void> {
    return rm(this.#path(name), { force: true });
  }

  syncDirectory(): Promise<void> {
    return syncDirectory(this.#directory);
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}

class HandleLogFile implements LogFile {
  readonly #handle: FileHandle;
  #sizeBytes: number;

  constructor(handle: FileHandle, sizeBytes: number) {
    this.#handle = handle;
    this.#sizeBytes = sizeBytes;
  }

  async append(bytes: Uint8Array): Promise<void> {
    let written = 0;
    while (written < bytes.length) {
      const rest = bytes.length - written;
      const result = await this.#handle.write(bytes, written, rest, this.#sizeBytes);
      written += result.bytesWritten;
      this.#sizeBytes += result.bytesWritten;
    }
  }

  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await patiently(() => open(path, constants.O_RDONLY));
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Only openings: they have changed nothing when there is no descriptor for them. */
function patiently<T>(open: () => Promise<T>): Promise<T> {
  return whenDescriptorsAllow(open, pause);
}
