/**
 * Files that the serving thread reads, open under a bound.
 *
 * What the kernel has in memory is read at once: a trip through the thread pool costs as much as a
 * read of 64 KiB. A read that took longer came from a disk, and others would have waited for it: for
 * a while then, reads go through the pool.
 */
import { constants, read, readSync } from 'node:fs';
import { type OpenFile, OpenFiles } from '../open-files.ts';

/** Longer than a copy of a chunk in memory takes, shorter than what anybody notices. */
const SLOW_READ_MS = 2;
/** How long reads go through the pool after a slow one. */
const SLOW_REST_MS = 100;

export class SourceFiles {
  readonly #files: OpenFiles;
  readonly #nowMs: () => number;
  #slowUntilMs = 0;

  constructor(openMaxCount: number, nowMs: () => number) {
    this.#files = new OpenFiles(openMaxCount);
    this.#nowMs = nowMs;
  }

  /**
   * Fills `target` from `position`; false when the file ends before. Not a promise where it is done
   * at once. @throws what the system says.
   */
  read(path: string, target: Buffer, position: number): boolean | Promise<boolean> {
    const file = this.#files.use(path, constants.O_RDONLY);
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
      this.#files.release(file);
      const endMs = this.#nowMs();
      if (endMs - startMs > SLOW_READ_MS) this.#slowUntilMs = endMs + SLOW_REST_MS;
    }
  }

  async #readLater(file: OpenFile, target: Buffer, position: number): Promise<boolean> {
    try {
      const fd = await file.opened;
      for (let done = 0; done < target.length;) {
        const count = await readSome(fd, target.subarray(done), position + done);
        if (count === 0) return false;
        done += count;
      }
      return true;
    } finally {
      this.#files.release(file);
    }
  }
}

function readSome(fd: number, target: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, target, 0, target.length, position, (error, count) => {
      if (error) reject(error);
      else resolve(count);
    });
  });
}
