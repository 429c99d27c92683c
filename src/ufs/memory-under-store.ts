/**
 * The in-memory twin of an under store, for tests and simulators.
 *
 * Objects are kept in path order; every `put` gives a new version. A hook runs before each call
 * and may wait or throw, which is how tests script faults without a network.
 */
import { RingloadError } from '../base/errors.ts';
import { browseByList } from './browse.ts';
import { throwIfCancelled } from './cancel.ts';
import { checkRange } from './check-range.ts';
import { MemoryWriter } from './memory-writer.ts';
import { comparePaths, isAtOrBelow } from './path.ts';
import type {
  BrowsePage,
  BrowseRequest,
  ListPage,
  ListRequest,
  ObjectChecksum,
  RangeRequest,
  UfsObject,
  UnderStore,
} from './under-store.ts';

interface StoredObject extends UfsObject {
  readonly bytes: Uint8Array;
}

export interface MemoryCall {
  readonly operation: 'list' | 'stat' | 'readRange' | 'write' | 'delete';
  readonly path: string;
  /** Set for readRange. */
  readonly offset?: number;
  readonly length?: number;
}

const CHUNK_BYTES = 64 * 1024;

export class MemoryUnderStore implements UnderStore {
  readonly listsByKey = true;
  writer?: MemoryWriter;
  /** Runs before each call takes effect; a rejection is the call's result. */
  onCall: ((call: MemoryCall) => Promise<void> | void) | undefined;
  #objects: StoredObject[] = [];
  #versionCount = 0;
  #readBytes = 0;
  #writeCount = 0;

  /** Bytes yielded by readRange so far. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /** As a mount with writes=through does. */
  takeWrites(): void {
    this.writer = new MemoryWriter({
      find: (path) => this.#at(path)?.version,
      put: (path, bytes) => this.put(path, bytes, ++this.#writeCount).version,
      delete: (path) => void this.delete(path),
      called: (operation, path, signal) => this.#called({ operation, path }, signal),
    });
  }

  /** Stores `bytes` (not copied: do not change them) as a new version. */
  put(path: string, bytes: Uint8Array, mtimeMs = 0): UfsObject {
    const version = `v${++this.#versionCount}`;
    const object = { path, sizeBytes: bytes.length, version, mtimeMs, bytes };
    const index = this.#indexAtOrAfter(path);
    this.#objects.splice(index, this.#objects[index]?.path === path ? 1 : 0, object);
    return describe(object);
  }

  /** False when there was no such object. */
  delete(path: string): boolean {
    const index = this.#indexAtOrAfter(path);
    if (this.#objects[index]?.path !== path) return false;
    this.#objects.splice(index, 1);
    return true;
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ListPage> {
    await this.#called({ operation: 'list', path: request.root }, signal);
    const objects: UfsObject[] = [];
    let index = this.#indexAtOrAfter(request.root);
    if (request.after !== undefined && comparePaths(request.after, request.root) >= 0) {
      index = this.#indexAtOrAfter(request.after);
      if (this.#objects[index]?.path === request.after) index++;
    }
    // Between `a` and `a/b` there may be `a-b`, which lies outside: skipped, not the end.
    const end = this.#indexAtOrAfter(`${request.root}0`);
    for (; index < end && objects.length < request.limit; index++) {
      const object = this.#objects[index];
      if (object && isAtOrBelow(request.root, object.path)) objects.push(describe(object));
    }
    const cursor = objects.at(-1)?.path ?? request.after;
    const page = { objects, done: index >= end };
    return cursor === undefined ? page : { ...page, cursor };
  }

  browse(request: BrowseRequest, signal: AbortSignal): Promise<BrowsePage> {
    return browseByList((list) => this.list(list, signal), request);
  }

  async stat(path: string, signal: AbortSignal): Promise<UfsObject> {
    await this.#called({ operation: 'stat', path }, signal);
    return describe(this.#find(path));
  }

  async *readRange(request: RangeRequest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    checkRange(request);
    const { path, offset, length } = request;
    await this.#called({ operation: 'readRange', path, offset, length }, signal);
    const object = this.#find(path);
    if (object.version !== request.version || object.sizeBytes !== request.sizeBytes) {
      throw new RingloadError(
        'ufs_changed',
        `${path} is version ${object.version} now, not ${request.version}`,
      );
    }
    for (let done = 0; done < length;) {
      throwIfCancelled(signal);
      const chunk = object.bytes.subarray(
        offset + done,
        offset + Math.min(length, done + CHUNK_BYTES),
      );
      done += chunk.length;
      this.#readBytes += chunk.length;
      yield chunk;
    }
  }

  /** What `checksum` tells, by path; tests set it. */
  readonly checksums = new Map<string, ObjectChecksum>();

  async checksum(
    { path, version }: Pick<UfsObject, 'path' | 'version'>,
    signal: AbortSignal,
  ): Promise<ObjectChecksum | undefined> {
    await this.#called({ operation: 'stat', path }, signal);
    if (this.#find(path).version !== version) {
      throw new RingloadError('ufs_changed', `${path} is not version ${version} any more`);
    }
    return this.checksums.get(path);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #called(call: MemoryCall, signal: AbortSignal): Promise<void> {
    throwIfCancelled(signal);
    await this.onCall?.(call);
    throwIfCancelled(signal);
  }

  #find(path: string): StoredObject {
    const object = this.#at(path);
    if (object) return object;
    throw new RingloadError('ufs_not_found', `${path} does not exist`);
  }

  #at(path: string): StoredObject | undefined {
    const object = this.#objects[this.#indexAtOrAfter(path)];
    return object?.path === path ? object : undefined;
  }

  #indexAtOrAfter(path: string): number {
    let low = 0;
    let high = this.#objects.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const object = this.#objects[middle];
      if (object && comparePaths(object.path, path) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function describe({ path, sizeBytes, version, mtimeMs }: StoredObject): UfsObject {
  return { path, sizeBytes, version, mtimeMs };
}
