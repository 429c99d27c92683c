/**
 * Files that the serving thread reads, open under a bound.
 *
 * What the kernel has in memory is read at once: a trip through the thread pool costs as much as a
 * read of 64 KiB. A read that took longer came from a disk, and others would have waited for it: for
 * a while then, reads go through the pool.
 */
import { close, open, read, readSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { whenDescriptorsAllow } from '../../../base/descriptors.ts';

/** Longer than a copy of a chunk in memory takes, shorter than what anybody notices. */
const SLOW_READ_MS = 2;
/** How long reads go through the pool after a slow one. */
const SLOW_REST_MS = 100;

interface SourceFile {
  fd: number | undefined;
  readonly opened: Promise<number>;
  userCount: number;
}

export class SourceFiles {
  readonly #openMaxCount: number;
  readonly #nowMs: () => number;
  /** In order of last use. */
  readonly #files = new Map<string, SourceFile>();
  #slowUntilMs = 0;

  constructor(openMaxCount: number, nowMs: () => number) {
    this.#openMaxCount = openMaxCount;
    this.#nowMs = nowMs;
  }

  /**
   * Fills `target` from `position`; false when the file ends before. Not a promise where it is done
   * at once. @throws what the system says.
   */
  read(path: string, target: Buffer, position: number): boolean | Promise<boolean> {
    const file = this.#use(path);
    const startMs = this.#nowMs();
    if (file.fd === undefined || startMs < this.#slowUntilMs) {
      return this.#readLater(file, target, position);
    }
    try {
      for (let done = 0; done < target.length;) {
        const count = readSync(file.fd, target, done, target.length - done, position + done);
        if (count === 0) return false;
        done += count;
      }
      return true;
    } finally {
      this.#release(file);
      const endMs = this.#nowMs();
      if (endMs - startMs > SLOW_READ_MS) this.#slowUntilMs = endMs + SLOW_REST_MS;
    }
  }

  async #readLater(file: SourceFile, target: Buffer, position: number): Promise<boolean> {
    try {
      const fd = await file.opened;
      for (let done = 0; done < target.length;) {
        const count = await readSome(fd, target.subarray(done), position + done);
        if (count === 0) return false;
        done += count;
      }
      return true;
    } finally {
      this.#release(file);
    }
  }

  #use(path: string): SourceFile {
    let file = this.#files.get(path);
    if (!file) {
      const opened = whenDescriptorsAllow(() => openForReading(path), pause);
      const fresh: SourceFile = { fd: undefined, opened, userCount: 0 };
      file = fresh;
      opened.then(
        (fd) => (fresh.fd = fd),
        // Why: a file that could not be opened is tried again by the next read.
        () => this.#files.delete(path),
      );
    }
    this.#files.delete(path);
    this.#files.set(path, file);
    file.userCount++;
    return file;
  }

  #release(file: SourceFile): void {
    file.userCount--;
    if (this.#files.size <= this.#openMaxCount) return;
    for (const [path, idle] of this.#files) {
      if (this.#files.size <= this.#openMaxCount) return;
      if (idle.userCount > 0 || idle.fd === undefined) continue;
      this.#files.delete(path);
      close(idle.fd, () => undefined);
    }
  }
}

function openForReading(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, 'r', (error, fd) => {
      if (error) reject(error);
      else resolve(fd);
    });
  });
}

function readSome(fd: number, target: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, target, 0, target.length, position, (error, count) => {
      if (error) reject(error);
      else resolve(count);
    });
  });
}
