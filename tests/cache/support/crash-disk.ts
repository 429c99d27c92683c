/**
 * A disk in memory that can lose power: what was not synced may be there or not, page by page, as
 * a seed decides. Names are durable only after their directory was synced.
 */
import { randomInt, type Random } from '../../../src/base/random.ts';
import type { Disk, DiskFile } from '../../../src/cache/io/disk.ts';

const PAGE_BYTES = 512;

interface Inode {
  bytes: Uint8Array;
  /** What is certain to survive. */
  durable: Uint8Array;
}

export class CrashDisk implements Disk {
  #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  #isOff = false;

  /** A disk that holds these files, all durable. */
  static of(contents: ReadonlyMap<string, Uint8Array>): CrashDisk {
    const disk = new CrashDisk();
    for (const [path, content] of contents) {
      const inode = { bytes: Uint8Array.from(content), durable: Uint8Array.from(content) };
      disk.#names.set(path, inode);
      disk.#durableNames.set(path, inode);
    }
    return disk;
  }

  /** Copies of all files. */
  contents(): Map<string, Uint8Array> {
    return new Map([...this.#names].map(([path, { bytes }]) => [path, Uint8Array.from(bytes)]));
  }

  /** The disk as it is found after the power came back. This one refuses everything from now. */
  crash(random: Random): CrashDisk {
    this.#isOff = true;
    const after = new CrashDisk();
    const survivors = new Map(this.#durableNames);
    for (const [path, inode] of this.#names) if (random.next() < 0.5) survivors.set(path, inode);
    for (const [path, inode] of survivors) {
      if (!this.#names.has(path) && random.next() < 0.5) continue;
      const bytes = tear(inode, random);
      const copy = { bytes, durable: Uint8Array.from(bytes) };
      after.#names.set(path, copy);
      after.#durableNames.set(path, copy);
    }
    return after;
  }

  async prepareDirectory(): Promise<void> {
    await this.#turn();
  }

  async list(path: string): Promise<string[]> {
    await this.#turn();
    const start = `${path}/`;
    return [...this.#names.keys()]
      .filter((name) => name.startsWith(start))
      .map((name) => name.slice(start.length));
  }

  async remove(path: string): Promise<void> {
    await this.#turn();
    this.#names.delete(path);
  }

  async open(path: string, { create }: { create: boolean }): Promise<DiskFile> {
    await this.#turn();
    let inode = this.#names.get(path);
    if (!inode) {
      if (!create) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
      inode = { bytes: new Uint8Array(), durable: new Uint8Array() };
      this.#names.set(path, inode);
    }
    return this.#file(inode);
  }

  async preallocate(path: string, lengthBytes: number): Promise<void> {
    const file = await this.open(path, { create: false });
    await file.truncate(lengthBytes);
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#turn();
    const start = `${path}/`;
    for (const name of [...this.#durableNames.keys()]) {
      if (name.startsWith(start) && !this.#names.has(name)) this.#durableNames.delete(name);
    }
    for (const [name, inode] of this.#names) {
      if (name.startsWith(start)) this.#durableNames.set(name, inode);
    }
  }

  #file(inode: Inode): DiskFile {
    return {
      read: async (target, position) => {
        await this.#turn();
        const part = inode.bytes.subarray(position, position + target.length);
        target.set(part);
        return part.length;
      },
      write: async (bytes, position) => {
        await this.#turn();
        const end = position + bytes.length;
        if (end > inode.bytes.length) inode.bytes = resized(inode.bytes, end);
        inode.bytes.set(bytes, position);
      },
      datasync: async () => {
        await this.#turn();
        inode.durable = inode.bytes.slice();
      },
      truncate: async (lengthBytes) => {
        await this.#turn();
        inode.bytes = resized(inode.bytes, lengthBytes);
      },
      size: async () => {
        await this.#turn();
        return inode.bytes.length;
      },
      close: () => Promise.resolve(),
    };
  }

  /** Other work gets in between, and a disk without power does nothing. */
  async #turn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#isOff) throw Object.assign(new Error('EIO: no power'), { code: 'EIO' });
  }
}

function resized(bytes: Uint8Array, length: number): Uint8Array {
  const other = new Uint8Array(length);
  other.set(bytes.subarray(0, length));
  return other;
}

/** Each page is either what was synced or what was written last; so is the length. */
function tear({ bytes, durable }: Inode, random: Random): Uint8Array {
  const torn = resized(durable, random.next() < 0.5 ? durable.length : bytes.length);
  const pageCount = Math.ceil(Math.min(torn.length, bytes.length) / PAGE_BYTES);
  for (let page = 0; page < pageCount; page++) {
    if (randomInt(random, 2) === 0) continue;
    const start = page * PAGE_BYTES;
    torn.set(bytes.subarray(start, Math.min(start + PAGE_BYTES, torn.length)), start);
  }
  return torn;
}
