/**
 * A disk that forgets. Bytes are durable after a sync only, names after a sync of the directory.
 *
 * Fault model of a crash: of the bytes that were not synced any prefix survives, or all of them
 * with some sectors reading as zeros; of the changes of names since the last directory sync a
 * prefix survives. Syncs take time, and may fail, after which the file's tail is undefined.
 */
import type { LogFile, LogFiles } from '../../../src/raft/log-files.ts';
import type { Chance } from './chance.ts';

const SECTOR_BYTES = 512;

interface Inode {
  durable: Uint8Array;
  unsynced: Uint8Array;
}

type Names = Map<string, Inode>;

/** How one life of a process reaches the disk: after a crash nothing gets through. */
export interface DiskAccess {
  /** Calls `complete` when the operation is done, unless the process died. */
  complete(kind: 'quick' | 'sync', complete: () => void): void;
  isDead(): boolean;
  shouldFailSync(): boolean;
  /** Whether syncs do nothing and say they did. */
  readonly liesAboutSync: boolean;
}

export class SimDisk {
  #names: Names = new Map();
  #durableNames: Names = new Map();
  /** Changes since the directory was synced, in order. */
  #changes: ((names: Names) => void)[] = [];
  tornCount = 0;
  lostCount = 0;

  crash(chance: Chance): void {
    const names = new Map(this.#durableNames);
    for (const change of this.#changes.slice(0, chance.whole(0, this.#changes.length))) {
      change(names);
    }
    this.#names = names;
    this.#durableNames = new Map(names);
    this.#changes = [];
    for (const inode of new Set(names.values())) this.#tear(inode, chance);
  }

  access(access: DiskAccess): LogFiles {
    return {
      describe: (name) => `sim:${name}`,
      list: () => this.#quick(access, () => [...this.#names.keys()]),
      read: (name) => this.#quick(access, () => contentOf(this.#inode(name))),
      create: (name) =>
        this.#quick(access, () => {
          const inode: Inode = { durable: new Uint8Array(), unsynced: new Uint8Array() };
          this.#change((names) => names.set(name, inode));
          return this.#open(inode, access);
        }),
      openAt: (name, sizeBytes) =>
        this.#sync(access, () => {
          const inode = this.#inode(name);
          inode.durable = contentOf(inode).slice(0, sizeBytes);
          inode.unsynced = new Uint8Array();
          return this.#open(inode, access);
        }),
      rename: (from, to) =>
        this.#quick(access, () => {
          this.#change((names) => {
            const inode = names.get(from);
            if (!inode) return;
            names.delete(from);
            names.set(to, inode);
          });
        }),
      remove: (name) =>
        this.#quick(access, () => {
          this.#change((names) => names.delete(name));
        }),
      syncDirectory: () =>
        this.#sync(access, () => {
          this.#durableNames = new Map(this.#names);
          this.#changes = [];
        }),
    };
  }

  #open(inode: Inode, access: DiskAccess): LogFile {
    return {
      append: (bytes) => {
        // At once, like a write into the page cache; it is the sync that takes time.
        if (!access.isDead()) inode.unsynced = concat(inode.unsynced, bytes);
        return this.#quick(access, () => undefined);
      },
      sync: () =>
        this.#sync(access, () => {
          if (access.shouldFailSync()) throw new Error('EIO: simulated failure of fdatasync');
          if (access.liesAboutSync) return;
          inode.durable = contentOf(inode);
          inode.unsynced = new Uint8Array();
        }),
      close: () => this.#quick(access, () => undefined),
    };
  }

  #change(change: (names: Names) => void): void {
    change(this.#names);
    this.#changes.push(change);
  }

  #inode(name: string): Inode {
    const inode = this.#names.get(name);
    if (!inode) throw new Error(`ENOENT: ${name}`);
    return inode;
  }

  #quick<Result>(access: DiskAccess, action: () => Result): Promise<Result> {
    return this.#operation(access, 'quick', action);
  }

  #sync<Result>(access: DiskAccess, action: () => Result): Promise<Result> {
    return this.#operation(access, 'sync', action);
  }

  #operation<Result>(
    access: DiskAccess,
    kind: 'quick' | 'sync',
    action: () => Result,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      access.complete(kind, () => {
        try {
          resolve(action());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  }

  #tear(inode: Inode, chance: Chance): void {
    const { unsynced } = inode;
    if (unsynced.length === 0) return;
    const durableSize = inode.durable.length;
    const fate = chance.random.next();
    let survived = unsynced;
    if (fate < 0.3) {
      survived = new Uint8Array();
      this.lostCount++;
    } else if (fate < 0.6) {
      survived = unsynced.slice(0, chance.whole(0, unsynced.length));
      this.tornCount++;
    } else if (fate < 0.8) {
      survived = withLostSectors(unsynced, durableSize, chance);
      this.tornCount++;
    }
    inode.durable = concat(inode.durable, survived);
    inode.unsynced = new Uint8Array();
  }
}

/** Sectors are those of the file, so the first one of the tail may be shared with synced bytes. */
function withLostSectors(bytes: Uint8Array, offset: number, chance: Chance): Uint8Array {
  const torn = bytes.slice();
  for (let start = 0; start < torn.length;) {
    const end = Math.min(
      torn.length,
      (Math.floor((offset + start) / SECTOR_BYTES) + 1) * SECTOR_BYTES - offset,
    );
    if (chance.hit(0.5)) torn.fill(0, start, end);
    start = end;
  }
  return torn;
}

function contentOf(inode: Inode): Uint8Array {
  return concat(inode.durable, inode.unsynced);
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (second.length === 0) return first;
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}
