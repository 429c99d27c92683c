/**
 * Open files under a bound. A disk of ten terabytes has tens of thousands of regions; only those
 * in use, and some that were used lately, are open.
 *
 * Invariant: a file is not closed while somebody uses it; each path is open at most once.
 */
import type { Disk, DiskFile } from './disk.ts';

interface PooledFile {
  readonly file: Promise<DiskFile>;
  userCount: number;
}

export class FilePool {
  readonly #disk: Disk;
  readonly #idleMaxCount: number;
  /** In order of last use. */
  readonly #files = new Map<string, PooledFile>();
  readonly #closing = new Set<Promise<void>>();
  #isClosed = false;

  constructor(disk: Disk, idleMaxCount: number) {
    this.#disk = disk;
    this.#idleMaxCount = idleMaxCount;
  }

  /** Runs `work` with the file open. */
  async use<T>(path: string, work: (file: DiskFile) => Promise<T>): Promise<T> {
    const pooled = this.#files.get(path) ?? this.#open(path);
    this.#files.delete(path);
    this.#files.set(path, pooled);
    pooled.userCount++;
    try {
      return await work(await pooled.file);
    } finally {
      pooled.userCount--;
      if (this.#isClosed || this.#files.size > this.#idleMaxCount) this.#closeIdle();
    }
  }

  /** Closes what is idle now and everything else as soon as it is. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closeIdle();
    await Promise.all(this.#closing);
  }

  #open(path: string): PooledFile {
    const pooled = { file: this.#disk.open(path, { create: false }), userCount: 0 };
    pooled.file.catch(() => {
      if (this.#files.get(path) === pooled) this.#files.delete(path);
    });
    return pooled;
  }

  #closeIdle(): void {
    const keepCount = this.#isClosed ? 0 : this.#idleMaxCount;
    for (const [path, pooled] of this.#files) {
      if (this.#files.size <= keepCount) return;
      if (pooled.userCount > 0) continue;
      this.#files.delete(path);
      const closing = closeQuietly(pooled.file).finally(() => this.#closing.delete(closing));
      this.#closing.add(closing);
    }
  }
}

async function closeQuietly(file: Promise<DiskFile>): Promise<void> {
  try {
    await (await file).close();
  } catch {
    // Why: everything that matters was synced; a failed close of a cache file changes nothing.
  }
}
