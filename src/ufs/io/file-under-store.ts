/**
 * `file://`: a directory of a mounted file system as an under store.
 *
 * Only regular files exist here. Symbolic links are neither listed nor followed below the mount
 * (the mount's own path may be one), so nothing outside it is ever read. A version is size, mtime
 * in nanoseconds and inode, checked before the first and before the last byte is given out; a
 * writer that restores the mtime, or writes within one tick of it, is not seen.
 */
import { setMaxListeners } from 'node:events';
import type { BigIntStats } from 'node:fs';
import { constants, lstat, open, realpath, type FileHandle } from 'node:fs/promises';

import { RingloadError } from '../../base/errors.ts';
import { browseByList } from '../browse.ts';
import { Scope, throwIfCancelled } from '../cancel.ts';
import { checkRange } from '../check-range.ts';
import { checkMount, UFS_DEFAULT_LIMITS, type MountConfig, type UfsLimits } from '../mounts.ts';
import { comparePaths, isAtOrBelow, parsePath } from '../path.ts';
import type {
  BrowsePage,
  BrowseRequest,
  ListPage,
  ListRequest,
  RangeRequest,
  UfsObject,
  UnderStore,
} from '../under-store.ts';
import type { UnderStoreDependencies } from './dependencies.ts';
import { classed, describe, versionOf } from './file-facts.ts';
import { FileWalk } from './file-walk.ts';
import { FileWriter } from './file-writer.ts';

const CHUNK_BYTES = 256 * 1024;
const STAT_CONCURRENCY = 16;
/** Walks kept between pages, so that a directory is not read again for each of them. */
const KEPT_WALK_MAX_COUNT = 4;

export class FileUnderStore implements UnderStore {
  readonly writer?: FileWriter;
  readonly #mountPath: string;
  readonly #dependencies: UnderStoreDependencies;
  readonly #limits: UfsLimits;
  readonly #walks = new Map<string, FileWalk>();
  readonly #closing = new AbortController();

  /** @throws config_invalid */
  constructor(mount: MountConfig, dependencies: UnderStoreDependencies) {
    this.#mountPath = checkMount(mount).path;
    this.#dependencies = dependencies;
    this.#limits = { ...UFS_DEFAULT_LIMITS, ...mount.limits };
    if (mount.writes !== 'through') return;
    const { clock, random } = dependencies;
    const closing = this.#closing.signal;
    this.writer = new FileWriter(this.#mountPath, {
      ...{ clock, random, limits: this.#limits, closing },
    });
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ListPage> {
    const scope = this.#scope(`list ${request.root}`, signal);
    scope.limit(this.#dependencies.clock, this.#limits.listTimeoutMs);
    try {
      return await this.#list(request, scope);
    } catch (thrown) {
      throw classed(thrown, scope.action);
    } finally {
      scope.release();
    }
  }

  async browse(request: BrowseRequest, signal: AbortSignal): Promise<BrowsePage> {
    if (request.delimiter !== '/') {
      return browseByList((list) => this.list(list, signal), request);
    }
    const scope = this.#scope(`browse ${request.prefix}`, signal);
    scope.limit(this.#dependencies.clock, this.#limits.listTimeoutMs);
    try {
      return await this.#browseDirectory(request, scope);
    } catch (thrown) {
      throw classed(thrown, scope.action);
    } finally {
      scope.release();
    }
  }

  async stat(path: string, signal: AbortSignal): Promise<UfsObject> {
    const scope = this.#scope(`stat ${path}`, signal);
    scope.limit(this.#dependencies.clock, this.#limits.requestTimeoutMs);
    try {
      const { file, stats } = await this.#openFile(path, scope);
      release(file);
      return describe(path, stats);
    } catch (thrown) {
      throw classed(thrown, scope.action);
    } finally {
      scope.release();
    }
  }

  async *readRange(request: RangeRequest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    checkRange(request);
    const { path, offset, length } = request;
    const scope = this.#scope(`read ${path}`, signal);
    let opened: FileHandle | undefined;
    try {
      let lift = scope.limit(this.#dependencies.clock, this.#limits.requestTimeoutMs);
      const { file, stats } = await this.#openFile(path, scope);
      opened = file;
      checkVersion(request, stats);
      for (let done = 0; done < length;) {
        const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, length - done));
        const reading = file.read(chunk, 0, chunk.length, offset + done);
        const { bytesRead } = await scope.race(reading);
        if (bytesRead === 0) throw changed(path, `it ends at ${offset + done}`);
        done += bytesRead;
        // Before the last byte: a consumer that counts to `length` does not ask again.
        if (done === length) {
          checkVersion(request, await scope.race(file.stat({ bigint: true })));
        }
        lift();
        yield chunk.subarray(0, bytesRead);
        throwIfCancelled(scope.signal);
        lift = scope.limit(this.#dependencies.clock, this.#limits.requestTimeoutMs);
      }
    } catch (thrown) {
      throw classed(thrown, scope.action);
    } finally {
      scope.release();
      if (opened) release(opened);
    }
  }

  /** File systems keep no checksums. */
  checksum(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  close(): Promise<void> {
    this.#closing.abort(new RingloadError('cancelled', 'the under store is closed'));
    this.#walks.clear();
    return Promise.resolve();
  }

  #scope(action: string, signal: AbortSignal): Scope {
    throwIfCancelled(this.#closing.signal);
    throwIfCancelled(signal);
    // One signal for hundreds of calls is what we expect, not a leak.
    setMaxListeners(0, signal, this.#closing.signal);
    return new Scope(action, [signal, this.#closing.signal]);
  }

  async #list(request: ListRequest, scope: Scope): Promise<ListPage> {
    const { root, after } = request;
    const top = await this.#resolve(root, scope);
    const stats = top && (await scope.race(lstatOrNothing(top)));
    if (!top || !stats) return { objects: [], done: true };
    if (stats.isFile()) {
      const isPassed = after !== undefined && comparePaths(after, root) >= 0;
      return { objects: isPassed ? [] : [describe(root, stats)], done: true, cursor: root };
    }
    if (!stats.isDirectory()) return { objects: [], done: true };

    const walk = this.#takeWalk(root, after, top);
    const { names, done } = await nextNames(walk, request.limit, scope);
    const objects = await statAll(root, top, names, scope);
    const lastName = names.at(-1);
    const cursor = lastName === undefined ? after : `${root}/${textOf(root, lastName)}`;
    if (cursor === undefined) return { objects, done };
    if (!done) this.#keepWalk(root, cursor, walk);
    return { objects, done, cursor };
  }

  /** Directories are groups, empty ones as well: whether one holds files is not looked at. */
  async #browseDirectory(request: BrowseRequest, scope: Scope): Promise<BrowsePage> {
    const { prefix, after = '', limit } = request;
    const root = prefix.slice(0, prefix.lastIndexOf('/'));
    const top = await this.#resolve(root, scope);
    const stats = top && (await scope.race(lstatOrNothing(top)));
    if (!top || !stats?.isDirectory()) return { objects: [], groups: [], done: true };
    const wanted = latin1(prefix.slice(root.length + 1));
    const isBelow = after.startsWith(`${root}/`);
    if (!isBelow && comparePaths(after, `${root}/`) > 0) {
      return { objects: [], groups: [], done: true };
    }
    const marker = isBelow ? latin1(after.slice(root.length + 1)) : '';
    // What begins with the prefix is greater than the prefix without its last byte.
    const from = marker > wanted ? marker : wanted.slice(0, -1);
    const walk = new FileWalk(top, from, undefined, true);
    const names: string[] = [];
    for (;;) {
      const name = await scope.race(walk.next());
      const isPast = name === undefined || (name > wanted && !name.startsWith(wanted));
      if (isPast || names.length === limit) {
        const files = names.filter((one) => !one.endsWith('/'));
        const groups = names.filter((one) => one.endsWith('/'));
        return {
          objects: await statAll(root, top, files, scope),
          groups: groups.map((one) => `${root}/${textOf(root, one)}`),
          done: isPast,
        };
      }
      if (name.startsWith(wanted)) names.push(name);
    }
  }

  /**
   * Absolute path with the mount's own links resolved; undefined when the mount or the path does
   * not exist. @throws ufs_forbidden when a link lies on the way below the mount.
   */
  async #resolve(path: string, scope: Scope): Promise<Buffer | undefined> {
    const { key } = parsePath(path);
    if (!isAtOrBelow(this.#mountPath, path)) {
      throw new RingloadError('path_not_mounted', `${path} lies outside ${this.#mountPath}`);
    }
    const mountDirectory = await resolveLinks(`/${parsePath(this.#mountPath).key}`, scope);
    if (!mountDirectory) return undefined;
    const below = Buffer.from(`/${key}`.slice(`/${parsePath(this.#mountPath).key}`.length));
    const expected = Buffer.concat([mountDirectory, below]);
    const actual = await resolveLinks(expected, scope);
    if (actual && !actual.equals(expected)) {
      throw new RingloadError('ufs_forbidden', `${path} is reached through a symbolic link`);
    }
    return actual;
  }

  async #openFile(path: string, scope: Scope): Promise<{ file: FileHandle; stats: BigIntStats }> {
    const resolved = await this.#resolve(path, scope);
    if (!resolved) throw new RingloadError('ufs_not_found', `${path} does not exist`);
    // NONBLOCK: opening a FIFO would wait for its writer.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const file = await scope.race(open(resolved, flags), release);
    try {
      const stats = await scope.race(file.stat({ bigint: true }));
      if (stats.isFile()) return { file, stats };
      throw new RingloadError('ufs_not_found', `${path} is not a regular file`);
    } catch (thrown) {
      release(file);
      throw thrown;
    }
  }

  #takeWalk(root: string, after: string | undefined, top: Buffer): FileWalk {
    const key = walkKey(root, after ?? '');
    const kept = this.#walks.get(key);
    if (kept) {
      this.#walks.delete(key);
      return kept;
    }
    const below = after !== undefined && comparePaths(after, `${root}/`) > 0;
    if (!below) return new FileWalk(top, '');
    // Past `root/` without being below it: past everything below it.
    const relative = after.startsWith(`${root}/`) ? after.slice(root.length + 1) : '\u{10ffff}';
    return new FileWalk(top, Buffer.from(relative).toString('latin1'));
  }

  #keepWalk(root: string, cursor: string, walk: FileWalk): void {
    this.#walks.set(walkKey(root, cursor), walk);
    for (const key of this.#walks.keys()) {
      if (this.#walks.size <= KEPT_WALK_MAX_COUNT) break;
      this.#walks.delete(key);
    }
  }
}

/** Not awaited: closing waits for a read that hangs, which its deadline has just given up on. */
function release(file: FileHandle): void {
  file.close().catch(() => undefined);
}

function latin1(text: string): string {
  return Buffer.from(text).toString('latin1');
}

function walkKey(root: string, cursor: string): string {
  return `${root}\0${cursor}`;
}

function checkVersion(request: RangeRequest, stats: BigIntStats): void {
  const version = versionOf(stats);
  if (version !== request.version || Number(stats.size) !== request.sizeBytes) {
    throw changed(request.path, `it is version ${version} now, not ${request.version}`);
  }
}

function changed(path: string, how: string): RingloadError {
  return new RingloadError('ufs_changed', `${path} changed: ${how}`);
}

/** A name as text. @throws invalid_argument: the path of such a file cannot be written down. */
function textOf(root: string, latin1: string): string {
  const bytes = Buffer.from(latin1, 'latin1');
  const text = bytes.toString('utf8');
  if (Buffer.from(text).equals(bytes)) return text;
  throw new RingloadError(
    'invalid_argument',
    `below ${root} there is a file name that is not valid UTF-8: hex ${bytes.toString('hex')}`,
  );
}

/** The next file names of a walk, relative, as latin1. */
async function nextNames(
  walk: FileWalk,
  limit: number,
  scope: Scope,
): Promise<{ readonly names: readonly string[]; readonly done: boolean }> {
  const names: string[] = [];
  while (names.length < limit) {
    const name = await scope.race(walk.next());
    if (name === undefined) return { names, done: true };
    names.push(name);
  }
  return { names, done: false };
}

/** What still is a regular file among `names`, in their order. */
async function statAll(
  root: string,
  top: Buffer,
  names: readonly string[],
  scope: Scope,
): Promise<readonly UfsObject[]> {
  const objects: UfsObject[] = [];
  for (let start = 0; start < names.length; start += STAT_CONCURRENCY) {
    const described = names.slice(start, start + STAT_CONCURRENCY).map(async (name) => {
      const stats = await lstatOrNothing(Buffer.concat([top, Buffer.from(`/${name}`, 'latin1')]));
      return stats?.isFile() ? describe(`${root}/${textOf(root, name)}`, stats) : undefined;
    });
    for (const object of await scope.race(Promise.all(described))) {
      if (object) objects.push(object);
    }
  }
  return objects;
}

async function resolveLinks(path: string | Buffer, scope: Scope): Promise<Buffer | undefined> {
  try {
    return await scope.race(realpath(path, { encoding: 'buffer' }));
  } catch (thrown) {
    if (classed(thrown, scope.action).code === 'ufs_not_found') return undefined;
    throw thrown;
  }
}

async function lstatOrNothing(path: Buffer): Promise<BigIntStats | undefined> {
  try {
    return await lstat(path, { bigint: true });
  } catch (thrown) {
    if (classed(thrown, 'stat').code === 'ufs_not_found') return undefined;
    throw thrown;
  }
}
