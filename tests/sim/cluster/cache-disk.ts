/**
 * The disk under a peer's cache, across the lives of its process. A kill leaves it as it is; a
 * power cut takes back, sector by sector, what was not synced, and names whose directory was not.
 */
import type { Disk, DiskFile } from '../../../src/cache/io/disk.ts';
import type { Chance } from '../raft/chance.ts';
import type { Life } from './life.ts';

export const USUAL_SYNC_MS = 2;
const SECTOR_BYTES = 512;

interface Inode {
  bytes: Uint8Array;
  length: number;
  /** What writes since the last sync replaced, oldest first. */
  undo: { readonly position: number; readonly before: Uint8Array; readonly length: number }[];
}

export interface DiskWeather {
  /** Longest sync. */
  syncMaxMs: number;
  /** Writes and new files find no space. */
  isFull: boolean;
}

export class SimCacheDisk {
  readonly weather: DiskWeather = { syncMaxMs: USUAL_SYNC_MS, isFull: false };
  #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  /** Told of what goes wrong, by kind. */
  readonly #count: (what: string, by: number) => void;

  constructor(count: (what: string, by: number) => void) {
    this.#count = count;
  }

  /** Files that lie elsewhere than in that directory. */
  strays(directory: string): string[] {
    return [...this.#names.keys()].filter((name) => !name.startsWith(`${directory}/`));
  }

  powerCut(chance: Chance): void {
    const survivors = new Map<string, Inode>();
    const all = new Map([...this.#durableNames, ...this.#names]);
    for (const [name, inode] of all) {
      const isCertain = this.#names.get(name) === inode && this.#durableNames.get(name) === inode;
      if (isCertain || chance.hit(0.5)) survivors.set(name, inode);
    }
    this.#count('disk.lostNames', all.size - survivors.size);
    this.#names = survivors;
    this.#durableNames = new Map(survivors);
    for (const inode of survivors.values()) this.#tear(inode, chance);
  }

  /** Flips one bit of what segments are kept in; false when there is nothing yet. */
  rot(chance: Chance): boolean {
    const files = [...this.#names].filter(([name]) => name.endsWith('.dat'));
    const inode = chance.pick(files.map(([, each]) => each));
    const used = inode ? usedBytesOf(inode) : 0;
    if (!inode || used === 0) return false;
    const position = chance.whole(0, used - 1);
    inode.bytes[position] = (inode.bytes[position] ?? 0) ^ (1 << chance.whole(0, 7));
    return true;
  }

  /** The disk as one life of the process uses it. */
  access(life: Life, chance: Chance): Disk {
    const { weather } = this;
    const quick = <T>(action: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        if (!life.begin()) return;
        life.deliver(() => {
          settle(action, resolve, reject);
        });
      });
    const sync = (action: () => void): Promise<void> =>
      new Promise((resolve, reject) => {
        if (!life.begin()) return;
        const latencyMs = chance.between(0.1, weather.syncMaxMs);
        if (latencyMs > USUAL_SYNC_MS) this.#count('disk.slowSyncs', 1);
        life.clock.setTimer(latencyMs, () => {
          settle(action, resolve, reject);
        });
      });
    const file = (inode: Inode): DiskFile => ({
      read: (target, position) => quick(() => readFrom(inode, target, position)),
      write: (bytes, position) =>
        quick(() => {
          this.#checkRoom();
          writeTo(inode, bytes, position);
        }),
      datasync: () =>
        sync(() => {
          inode.undo = [];
        }),
      truncate: (lengthBytes) =>
        quick(() => {
          resize(inode, lengthBytes);
        }),
      size: () => quick(() => inode.length),
      close: () => Promise.resolve(),
    });
    return {
      prepareDirectory: () => quick(() => undefined),
      list: (path) =>
        quick(() =>
          [...this.#names.keys()]
            .filter((name) => name.startsWith(`${path}/`))
            .map((name) => name.slice(path.length + 1)),
        ),
      remove: (path) => quick(() => void this.#names.delete(path)),
      open: (path, { create }) => quick(() => file(this.#open(path, create))),
      preallocate: (path, lengthBytes) =>
        quick(() => {
          this.#checkRoom();
          resize(this.#open(path, false), lengthBytes);
        }),
      syncDirectory: () =>
        sync(() => {
          this.#durableNames = new Map(this.#names);
        }),
    };
  }

  #open(path: string, create: boolean): Inode {
    const known = this.#names.get(path);
    if (known) return known;
    if (!create) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    this.#checkRoom();
    const inode: Inode = { bytes: new Uint8Array(1024), length: 0, undo: [] };
    this.#names.set(path, inode);
    return inode;
  }

  #checkRoom(): void {
    if (!this.weather.isFull) return;
    this.#count('disk.noSpace', 1);
    throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  }

  /** Each sector that was written since the last sync is as before or as after. */
  #tear(inode: Inode, chance: Chance): void {
    const { undo } = inode;
    inode.undo = [];
    for (const { position, before, length } of undo.reverse()) {
      if (length < inode.length && chance.hit(0.5)) {
        this.#count('disk.lostTails', 1);
        resize(inode, length);
      }
      for (let at = 0; at < before.length;) {
        const end = Math.min(before.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES));
        if (chance.hit(0.5) && position + end <= inode.length) {
          inode.bytes.set(before.subarray(at, end), position + at);
          this.#count('disk.lostSectors', 1);
        }
        at = end;
      }
    }
    inode.undo = [];
  }
}

function settle<T>(
  action: () => T,
  resolve: (value: T) => void,
  reject: (error: Error) => void,
): void {
  try {
    resolve(action());
  } catch (error) {
    reject(error as Error);
  }
}

function readFrom(inode: Inode, target: Uint8Array, position: number): number {
  const part = inode.bytes.subarray(
    Math.min(position, inode.length),
    Math.min(inode.length, position + target.length),
  );
  target.set(part);
  return part.length;
}

function writeTo(inode: Inode, bytes: Uint8Array, position: number): void {
  const { length } = inode;
  const end = position + bytes.length;
  const before = new Uint8Array(bytes.length);
  readFrom(inode, before, position);
  if (end > length) grow(inode, end);
  inode.undo.push({ position, before, length });
  inode.bytes.set(bytes, position);
}

function grow(inode: Inode, length: number): void {
  if (length > inode.bytes.length) {
    const larger = new Uint8Array(Math.max(length, 2 * inode.bytes.length));
    larger.set(inode.bytes.subarray(0, inode.length));
    inode.bytes = larger;
  }
  inode.bytes.fill(0, inode.length, length);
  inode.length = length;
}

function resize(inode: Inode, length: number): void {
  if (length >= inode.length) {
    inode.undo.push({ position: 0, before: new Uint8Array(), length: inode.length });
    grow(inode, length);
    return;
  }
  const before = inode.bytes.slice(length, inode.length);
  inode.undo.push({ position: length, before, length: inode.length });
  inode.length = length;
}

/** Up to the last byte that is not zero: regions are filled from their start. */
function usedBytesOf({ bytes, length }: Inode): number {
  let used = length;
  while (used > 0 && bytes[used - 1] === 0) used -= 1;
  return used;
}
