/**
 * Files that lanes write into, open under a bound, with and without direct I/O.
 *
 * Direct I/O goes around the page cache: large writes cost a fifth of the processor time and never
 * wait for memory. Where a file system refuses it, the same file is written as usual.
 */
import { close, constants, open, writeSync, writev } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { whenDescriptorsAllow } from '../../../base/descriptors.ts';
import { LARGE_BUFFER_BYTES, PAGE_BYTES } from './page-buffers.ts';
import { WriteGatherer } from './write-gatherer.ts';

export type DirectIo = 'auto' | 'off';

interface TargetFile {
  readonly fd: Promise<number>;
  readonly gatherer: WriteGatherer;
  userCount: number;
}

export class TargetFiles {
  readonly #directIo: DirectIo;
  readonly #openMaxCount: number;
  /** In order of last use. */
  readonly #files = new Map<string, TargetFile>();
  /** Directories whose file system refuses direct I/O would be few: one answer stands for all. */
  #isRefused = false;

  constructor(directIo: DirectIo, openMaxCount: number) {
    this.#directIo = directIo;
    this.#openMaxCount = openMaxCount;
  }

  /** Whether a write of that place may go directly: whole pages from aligned memory. */
  canGoDirect(offset: number, isDirect: boolean): boolean {
    return this.#directIo === 'auto' && !this.#isRefused && isDirect && offset % PAGE_BYTES === 0;
  }

  /** Writes all of `bytes`; with `direct` these are whole pages. */
  async write(path: string, bytes: Uint8Array, position: number, direct: boolean): Promise<void> {
    const file = this.#use(path, direct && !this.#isRefused);
    try {
      const fd = await file.fd;
      if (bytes.length < LARGE_BUFFER_BYTES) await file.gatherer.write(bytes, position);
      else await writeAll(fd, [bytes], position);
    } catch (error) {
      if (!direct || this.#isRefused || !isRefusal(error)) throw error;
      this.#isRefused = true;
      await this.write(path, bytes, position, false);
    } finally {
      this.#release(file);
    }
  }

  /** For small pieces: a trip through the thread pool would cost more than the write. */
  async writeSmall(path: string, bytes: Uint8Array, position: number): Promise<void> {
    const file = this.#use(path, false);
    try {
      const fd = await file.fd;
      for (let done = 0; done < bytes.length;) {
        done += writeSync(fd, bytes, done, bytes.length - done, position + done);
      }
    } finally {
      this.#release(file);
    }
  }

  #use(path: string, direct: boolean): TargetFile {
    const key = `${direct ? 'direct' : 'plain'} ${path}`;
    let file = this.#files.get(key);
    if (!file) {
      const fd = whenDescriptorsAllow(() => openForWriting(path, direct), pause);
      const gatherer = new WriteGatherer(async (buffers, at) => {
        await writeAll(await fd, buffers, at);
      });
      file = { fd, gatherer, userCount: 0 };
      // Why: a file that could not be opened is tried again by the next write.
      file.fd.catch(() => this.#files.delete(key));
    }
    this.#files.delete(key);
    this.#files.set(key, file);
    file.userCount++;
    return file;
  }

  #release(file: TargetFile): void {
    file.userCount--;
    for (const [key, idle] of this.#files) {
      if (this.#files.size <= this.#openMaxCount) return;
      if (idle.userCount > 0) continue;
      this.#files.delete(key);
      idle.fd.then(closeQuietly, () => undefined);
    }
  }
}

function openForWriting(path: string, direct: boolean): Promise<number> {
  const flags = constants.O_WRONLY | (direct ? constants.O_DIRECT : 0);
  return new Promise((resolve, reject) => {
    open(path, flags, (error, fd) => {
      if (error) reject(error);
      else resolve(fd);
    });
  });
}

async function writeAll(
  fd: number,
  buffers: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let rest = buffers;
  for (let at = position; rest.length > 0;) {
    const writtenBytes = await writeSome(fd, rest, at);
    at += writtenBytes;
    rest = behind(rest, writtenBytes);
  }
}

function writeSome(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    writev(fd, buffers, position, (error, writtenBytes) => {
      if (error) reject(error);
      else resolve(writtenBytes);
    });
  });
}

/** What of the buffers lies behind their first `byteCount` bytes. */
function behind(buffers: readonly Uint8Array[], byteCount: number): readonly Uint8Array[] {
  let skipped = byteCount;
  return buffers.flatMap((buffer) => {
    const rest = buffer.subarray(Math.min(skipped, buffer.length));
    skipped -= buffer.length - rest.length;
    return rest.length > 0 ? [rest] : [];
  });
}

function closeQuietly(fd: number): void {
  close(fd, () => undefined);
}

function isRefusal(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EINVAL' || code === 'ENOTSUP' || code === 'EOPNOTSUPP';
}
