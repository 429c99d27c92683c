/**
 * Walks a directory tree in the order of the UTF-8 bytes of the whole path, holding only the
 * directories on the way to the current file.
 *
 * Names are handled as latin1 strings, one character per byte, so that `<` on strings is byte
 * order and no name is lost in translation. A directory sorts as its name with a slash, which is
 * what makes depth first the order of the whole paths (`a-b` < `a/b` < `ab`). Of a huge directory
 * at most `2 * chunkMaxCount` names are held; it is read again for each further chunk. Symbolic
 * links and everything else that is neither file nor directory are left out.
 */
import type { Dirent } from 'node:fs';
import { opendir } from 'node:fs/promises';

/** Most names taken from one directory at a time. */
const CHUNK_MAX_COUNT = 50_000;
const READ_AHEAD_COUNT = 1_024;

interface Frame {
  /** Path below the walk's top as latin1, with trailing slash; empty for the top. */
  readonly prefix: string;
  names: readonly string[];
  next: number;
  /** More names follow the last of `names`. */
  truncated: boolean;
  /** What the cursor asks to skip inside the first directory of `names`, when it points there. */
  readonly skipTo: string;
}

export class FileWalk {
  readonly #top: Buffer;
  readonly #chunkMaxCount: number;
  readonly #frames: Frame[] = [];
  #pending: { prefix: string; skipTo: string } | undefined;
  readonly #isFlat: boolean;

  /**
   * @param top absolute directory.
   * @param after relative path (latin1) to start behind; empty for the start.
   * @param isFlat directories are given with a slash in place of what they hold.
   */
  constructor(top: Buffer, after: string, chunkMaxCount = CHUNK_MAX_COUNT, isFlat = false) {
    this.#isFlat = isFlat;
    this.#top = top;
    this.#chunkMaxCount = chunkMaxCount;
    this.#pending = { prefix: '', skipTo: after };
  }

  /** Relative path (latin1) of the next file or, in a flat walk, directory, undefined at the end. @throws errors of opendir */
  async next(): Promise<string | undefined> {
    for (;;) {
      if (this.#pending) await this.#enter();
      const frame = this.#frames.at(-1);
      if (!frame) return undefined;
      const name = frame.names[frame.next++];
      if (name === undefined) {
        await this.#refillOrLeave(frame);
      } else if (name.endsWith('/') && !this.#isFlat) {
        const skipTo = frame.skipTo.startsWith(name) ? frame.skipTo.slice(name.length) : '';
        this.#pending = { prefix: frame.prefix + name, skipTo };
      } else {
        return frame.prefix + name;
      }
    }
  }

  async #enter(): Promise<void> {
    const { prefix, skipTo } = this.#pending ?? { prefix: '', skipTo: '' };
    const chunk = await this.#read(
      prefix,
      (name) =>
        name > skipTo ||
        (name.endsWith('/') && skipTo.startsWith(name) && !(this.#isFlat && name === skipTo)),
    );
    this.#pending = undefined;
    this.#frames.push({ prefix, skipTo, next: 0, ...chunk });
  }

  async #refillOrLeave(frame: Frame): Promise<void> {
    const last = frame.names.at(-1);
    if (!frame.truncated || last === undefined) {
      this.#frames.pop();
      return;
    }
    const chunk = await this.#read(frame.prefix, (name) => name > last);
    frame.names = chunk.names;
    frame.truncated = chunk.truncated;
    frame.next = 0;
  }

  /** The first names of a directory, in order, among those that `wanted` accepts. */
  async #read(
    prefix: string,
    wanted: (name: string) => boolean,
  ): Promise<{ names: readonly string[]; truncated: boolean }> {
    let names: string[] = [];
    let truncated = false;
    let bound: string | undefined;
    for await (const entry of await this.#open(prefix)) {
      const name = sortName(entry);
      if (name === undefined || !wanted(name) || (bound !== undefined && name > bound)) continue;
      names.push(name);
      if (names.length < 2 * this.#chunkMaxCount) continue;
      names = names.sort(byteOrder).slice(0, this.#chunkMaxCount);
      bound = names.at(-1);
      truncated = true;
    }
    names.sort(byteOrder);
    if (names.length > this.#chunkMaxCount) truncated = true;
    return { names: names.slice(0, this.#chunkMaxCount), truncated };
  }

  async #open(prefix: string): Promise<AsyncIterable<Dirent>> {
    const path = Buffer.concat([this.#top, Buffer.from(`/${prefix}`, 'latin1')]);
    try {
      // A Buffer path is fine at run time; the type declaration does not know it for opendir.
      const encoded = path as unknown as string;
      return await opendir(encoded, { encoding: 'latin1', bufferSize: READ_AHEAD_COUNT });
    } catch (thrown) {
      // Removed or replaced since its parent was read: it has no files now.
      const code = (thrown as NodeJS.ErrnoException).code;
      if (prefix !== '' && (code === 'ENOENT' || code === 'ENOTDIR')) return nothing();
      throw thrown;
    }
  }
}

/** Files that are being written begin with this: nobody lists them. */
export const UNFINISHED_PREFIX = '.ringload-unfinished-';

function sortName(entry: Dirent): string | undefined {
  if (entry.name.startsWith(UNFINISHED_PREFIX)) return undefined;
  if (entry.isFile()) return entry.name;
  return entry.isDirectory() ? `${entry.name}/` : undefined;
}

function byteOrder(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

async function* nothing(): AsyncGenerator<never> {
  // Nothing to yield.
}
