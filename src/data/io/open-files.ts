/**
 * Files of a thread that stay open while they are used, and some of them afterwards: beyond a bound
 * the one that was used longest ago is closed first.
 */
import { close, open } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { whenDescriptorsAllow } from '../../base/descriptors.ts';

export interface OpenFile {
  /** Undefined while it is being opened. */
  fd: number | undefined;
  readonly opened: Promise<number>;
  /** Whoever uses it now; it is not closed meanwhile. */
  userCount: number;
}

export class OpenFiles {
  readonly #maxCount: number;
  /** In order of last use. */
  readonly #files = new Map<string, OpenFile>();

  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  /** Stays open until it is released. @param flags as the system's `open` takes them */
  use(path: string, flags: number): OpenFile {
    const key = `${flags} ${path}`;
    const file = this.#files.get(key) ?? this.#open(key, path, flags);
    this.#files.delete(key);
    this.#files.set(key, file);
    file.userCount++;
    return file;
  }

  release(file: OpenFile): void {
    file.userCount--;
    for (const [key, idle] of this.#files) {
      if (this.#files.size <= this.#maxCount) return;
      if (idle.userCount > 0) continue;
      this.#files.delete(key);
      idle.opened.then(closeQuietly, () => undefined);
    }
  }

  #open(key: string, path: string, flags: number): OpenFile {
    const opened = whenDescriptorsAllow(() => openFile(path, flags), pause);
    const file: OpenFile = { fd: undefined, opened, userCount: 0 };
    opened.then(
      (fd) => (file.fd = fd),
      // Why: a file that could not be opened is tried again by whoever uses it next.
      () => this.#files.delete(key),
    );
    return file;
  }
}

function openFile(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, flags, (error, fd) => {
      if (error) reject(error);
      else resolve(fd);
    });
  });
}

function closeQuietly(fd: number): void {
  close(fd, () => undefined);
}
