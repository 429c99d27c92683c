/**
 * Writes into a mounted directory: a file is made beside its place, under a name that nobody lists,
 * and takes its place once all of it is on the disk.
 *
 * Directories are made as they are needed and never removed. Content type, user metadata and the
 * like are not kept: a file system has no place for them. What is left of a write that a crash has
 * cut short keeps its hidden name.
 */
import { createHash } from 'node:crypto';
import {
  link,
  lstat,
  mkdir,
  open,
  realpath,
  rename,
  unlink,
  type FileHandle,
} from 'node:fs/promises';
import type { Clock } from '../../base/clock.ts';
import { RingloadError } from '../../base/errors.ts';
import { randomInt, type Random } from '../../base/random.ts';
import { Scope, throwIfCancelled } from '../cancel.ts';
import type { UfsLimits } from '../mounts.ts';
import { isAtOrBelow, parsePath } from '../path.ts';
import type { PutRequest, StoreWriter, WriteAnswer, WriteField } from '../store-writer.ts';
import { classed, versionOf } from './file-facts.ts';
import { UNFINISHED_PREFIX } from './file-walk.ts';

export interface FileWriterParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: UfsLimits;
  readonly closing: AbortSignal;
}

/** Where a file goes. */
interface Place {
  readonly directory: string;
  readonly name: string;
}

/** Something else has the name, or no file can have it. */
const IN_THE_WAY = new Set(['ENOTDIR', 'EEXIST', 'EISDIR', 'ENOTEMPTY', 'ENAMETOOLONG']);

export class FileWriter implements StoreWriter {
  readonly #mountPath: string;
  readonly #parts: FileWriterParts;

  constructor(mountPath: string, parts: FileWriterParts) {
    this.#mountPath = mountPath;
    this.#parts = parts;
  }

  put(request: PutRequest, signal: AbortSignal): Promise<WriteAnswer> {
    const { path, fields } = request;
    return this.#run(`write ${path}`, signal, async (scope) => {
      const isNew = isForNew(fields);
      const place = await this.#placeFor(path, scope);
      const unfinished = `${place.directory}/${UNFINISHED_PREFIX}${this.#newName()}`;
      try {
        const etag = await this.#fill(unfinished, request, scope);
        await this.#putInPlace(unfinished, place, isNew);
        return { fields: [['etag', etag]] };
      } finally {
        await unlink(unfinished).catch(() => undefined);
      }
    });
  }

  delete(path: string, signal: AbortSignal): Promise<WriteAnswer> {
    return this.#run(`delete ${path}`, signal, async (scope) => {
      const place = await this.#find(path, scope);
      if (!place) return { fields: [] };
      await scope.race(unlink(`${place.directory}/${place.name}`)).catch(unlessMissing);
      await sync(place.directory);
      return { fields: [] };
    });
  }

  async #run<T>(
    action: string,
    signal: AbortSignal,
    work: (scope: Scope) => Promise<T>,
  ): Promise<T> {
    const { closing } = this.#parts;
    throwIfCancelled(closing);
    throwIfCancelled(signal);
    const scope = new Scope(action, [signal, closing]);
    try {
      return await work(scope);
    } catch (thrown) {
      const code = (thrown as NodeJS.ErrnoException).code ?? '';
      throw IN_THE_WAY.has(code) ? refused(`cannot ${action}: ${code}`) : classed(thrown, action);
    } finally {
      scope.release();
    }
  }

  /** Writes all of it and syncs it. @returns its tag */
  async #fill(unfinished: string, request: PutRequest, scope: Scope): Promise<string> {
    const { clock, limits } = this.#parts;
    const md5 = request.fields.find(([name]) => name === 'content-md5')?.[1];
    const hash = md5 === undefined ? undefined : createHash('md5');
    const file = await scope.race(open(unfinished, 'wx'), (late) => void late.close());
    try {
      for await (const piece of piecesOf(request.body)) {
        throwIfCancelled(scope.signal);
        const lift = scope.limit(clock, limits.requestTimeoutMs);
        hash?.update(piece);
        await scope.race(writeAll(file, piece));
        lift();
      }
      if (hash && hash.digest('base64') !== md5) throw otherDigest();
      scope.limit(clock, limits.listTimeoutMs);
      await scope.race(file.sync());
      return `"${versionOf(await file.stat({ bigint: true }))}"`;
    } finally {
      await file.close();
    }
  }

  async #putInPlace(unfinished: string, place: Place, isNew: boolean): Promise<void> {
    const target = `${place.directory}/${place.name}`;
    if (isNew) {
      await link(unfinished, target).catch((thrown: unknown) => {
        if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') throw exists();
        throw thrown;
      });
    } else {
      await rename(unfinished, target);
    }
    await sync(place.directory);
  }

  /** Makes the directories that are missing, one after another: none is made through a link. */
  async #placeFor(path: string, scope: Scope): Promise<Place> {
    const { mount, directory, name } = await this.#locate(path, scope);
    let reached = mount;
    for (const part of directory.slice(mount.length).split('/').slice(1)) {
      const above = reached;
      reached = `${above}/${part}`;
      const isMade = await scope.race(mkdir(reached)).then(() => true, unlessThere);
      if (isMade) await sync(above);
      else await this.#refuseOthers(path, reached, scope);
    }
    return { directory, name };
  }

  /** Undefined: there is no such file. */
  async #find(path: string, scope: Scope): Promise<Place | undefined> {
    const { directory, name } = await this.#locate(path, scope);
    const found = await scope.race(realpath(directory)).catch(unlessMissing);
    if (found === undefined) return undefined;
    if (found !== directory) throw throughLink(path);
    const stats = await scope.race(lstat(`${directory}/${name}`)).catch(unlessMissing);
    return stats?.isFile() === true ? { directory, name } : undefined;
  }

  /** With the mount's own links resolved. @throws path_not_mounted, invalid_argument */
  async #locate(path: string, scope: Scope): Promise<Place & { readonly mount: string }> {
    const { key } = parsePath(path);
    if (!isAtOrBelow(this.#mountPath, path) || path === this.#mountPath) {
      throw new RingloadError('path_not_mounted', `${path} lies outside ${this.#mountPath}`);
    }
    const name = key.slice(key.lastIndexOf('/') + 1);
    if (name.startsWith(UNFINISHED_PREFIX)) {
      throw refused(`cannot write ${path}: so are files called that are not finished`);
    }
    const root = `/${parsePath(this.#mountPath).key}`;
    const mount = await scope.race(realpath(root));
    const below = `/${key}`.slice(root.length, -name.length - 1);
    return { mount, directory: `${mount}${below}`, name };
  }

  async #refuseOthers(path: string, directory: string, scope: Scope): Promise<void> {
    const stats = await scope.race(lstat(directory));
    if (stats.isDirectory()) return;
    if (stats.isSymbolicLink()) throw throughLink(path);
    throw refused(`cannot write ${path}: ${directory} is no directory`);
  }

  #newName(): string {
    const { random } = this.#parts;
    return Array.from({ length: 4 }, () => randomInt(random, 2 ** 24).toString(36)).join('');
  }
}

/** Whether there may be no such file yet. @throws for conditions that cannot be kept */
function isForNew(fields: readonly WriteField[]): boolean {
  const asked = fields.filter(([name]) => name === 'if-match' || name === 'if-none-match');
  const [first] = asked;
  if (!first) return false;
  if (asked.length === 1 && first[0] === 'if-none-match' && first[1] === '*') return true;
  throw new RingloadError('method_not_allowed', 'a file system keeps no condition but a new file', {
    details: { s3Code: 'NotImplemented', status: 501 },
  });
}

function exists(): RingloadError {
  return new RingloadError('ufs_changed', 'there is such a file already', {
    details: { s3Code: 'PreconditionFailed', status: 412 },
  });
}

function otherDigest(): RingloadError {
  return new RingloadError('ufs_corrupt', 'the Content-MD5 is not that of the bytes', {
    details: { s3Code: 'BadDigest', status: 400 },
  });
}

async function* piecesOf(body: PutRequest['body']): AsyncGenerator<Uint8Array> {
  if (body instanceof Uint8Array) yield body;
  else yield* body;
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
  }
}

/** What a directory holds is on the disk when the directory is. */
async function sync(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function refused(message: string): RingloadError {
  return new RingloadError('invalid_argument', message, { details: { status: 400 } });
}

function throughLink(path: string): RingloadError {
  return new RingloadError('ufs_forbidden', `${path} is reached through a symbolic link`, {
    details: { status: 403 },
  });
}

function unlessThere(thrown: unknown): false {
  if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false;
  throw thrown;
}

function unlessMissing(thrown: unknown): undefined {
  if (classed(thrown, 'find it').code === 'ufs_not_found') return undefined;
  throw thrown;
}
