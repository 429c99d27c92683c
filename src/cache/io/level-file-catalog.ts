/**
 * The file catalog on LevelDB: one entry per file under its path, in order of UTF-8 bytes, and one
 * that counts them, changed in the same durable batch.
 *
 * Each entry carries a checksum of its key and value, because LevelDB does not check what it reads:
 * a damaged entry counts as not there, so its file counts as not loaded.
 *
 * Invariant: changes go one after another, so the count is always that of the entries.
 */
import { RingloadError } from '../../base/errors.ts';
import { failpoint } from '../../base/failpoint.ts';
import { silentLogger, type Logger } from '../../base/logger.ts';
import { catalogRange, endOfPrefix } from '../catalog-range.ts';
import type { FileCatalog, FileRecord } from '../file-catalog.ts';
import { compareUtf8 } from '../utf8-order.ts';
import { cacheIoError } from './cache-io-error.ts';
import { isCorruption, lockLevel, openLevel, type Level } from './open-level.ts';
import { openEntry, sealEntry } from './sealed-entry.ts';

const FILE = 'f';
const COUNT_KEY = 'm:count';
const FORMAT_KEY = 'm:format';
const FORMAT_VERSION = 2;

type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string };

export class LevelFileCatalog implements FileCatalog {
  readonly #directoryPath: string;
  readonly #logger: Logger;
  readonly #lock: Level;
  #level: Level;
  #count: number;
  #lastChange: Promise<unknown> = Promise.resolve();
  /** Set while the database is being opened anew. */
  #mending: Promise<void> | undefined;
  /** LevelDB takes no more writes after one failed, and damage stays: both want a new start. */
  #mustMend = false;
  #isClosed = false;

  private constructor(parts: {
    directoryPath: string;
    logger: Logger;
    lock: Level;
    level: Level;
    count: number;
  }) {
    this.#directoryPath = parts.directoryPath;
    this.#logger = parts.logger;
    this.#lock = parts.lock;
    this.#level = parts.level;
    this.#count = parts.count;
  }

  /**
   * Opens or creates the catalog in a directory of its own; a damaged one is repaired, which may
   * lose entries: their files count as not loaded.
   * @throws data_dir_locked, data_dir_foreign, data_corrupt, cache_io
   */
  static async open(directoryPath: string, logger = silentLogger): Promise<LevelFileCatalog> {
    const lock = await lockLevel(directoryPath);
    try {
      const opened = await openDatabase(directoryPath, logger);
      return new LevelFileCatalog({ directoryPath, logger, lock, ...opened });
    } catch (error) {
      await lock.close();
      throw error;
    }
  }

  async get(path: string): Promise<FileRecord | undefined> {
    return this.#attempt('read the file catalog', async () => {
      const sealed = await this.#level.get(FILE + path);
      return sealed === undefined ? undefined : this.#open(path, sealed);
    });
  }

  async putAll(records: readonly FileRecord[]): Promise<void> {
    if (records.length === 0) return;
    const byPath = new Map(records.map((record) => [record.path, record]));
    await this.#change(async () => {
      const keys = [...byPath.keys()].map((path) => FILE + path);
      const known = await this.#level.hasMany(keys);
      const operations = [...byPath].map(([path, value]): Operation => ({
        type: 'put',
        key: FILE + path,
        value: sealEntry(path, value),
      }));
      return { operations, addedCount: known.filter((isKnown) => !isKnown).length };
    });
  }

  async delete(path: string): Promise<void> {
    await this.#change(async () => {
      if (!(await this.#level.has(FILE + path))) return undefined;
      return { operations: [{ type: 'del', key: FILE + path }], addedCount: -1 };
    });
  }

  async scan(request: {
    root: string;
    after?: string;
    limit: number;
  }): Promise<readonly FileRecord[]> {
    const { exact, prefix } = catalogRange(request.root);
    const after = request.after === undefined ? undefined : FILE + request.after;
    const found: FileRecord[] = [];
    if (exact !== undefined && (after === undefined || isAfter(FILE + exact, after))) {
      const record = await this.get(exact);
      if (record) found.push(record);
    }
    const first = FILE + prefix;
    const end = endOfPrefix(first);
    const isPastStart = after !== undefined && !isAfter(first, after);
    if (isPastStart && !isAfter(end, after)) return found.slice(0, request.limit);
    const limit = request.limit - found.length;
    if (limit <= 0) return found.slice(0, request.limit);
    const range = isPastStart ? { gt: after, lt: end, limit } : { gte: first, lt: end, limit };
    const below = await this.#attempt('scan the file catalog', () =>
      this.#level.iterator(range).all(),
    );
    for (const [key, sealed] of below) {
      const record = this.#open(key.slice(FILE.length), sealed);
      if (record) found.push(record);
    }
    return found;
  }

  async count(): Promise<number> {
    await this.#lastChange;
    return this.#count;
  }

  async close(): Promise<void> {
    await this.#lastChange;
    this.#isClosed = true;
    await this.#mending?.catch(() => undefined);
    await this.#level.close();
    await this.#lock.close();
  }

  /** Undefined, and told, when the entry is damaged. */
  #open(path: string, sealed: string): FileRecord | undefined {
    const record = openEntry(path, sealed) as FileRecord | undefined;
    if (!record) this.#logger.warn('passed over a damaged entry of the file catalogue', { path });
    return record;
  }

  /** Plans and writes one batch after all earlier ones. */
  #change(
    plan: () => Promise<{ operations: Operation[]; addedCount: number } | undefined>,
  ): Promise<void> {
    const change = this.#lastChange.then(async () => {
      if (this.#mustMend) await this.#mend();
      await this.#attempt('write the file catalog', async () => {
        const planned = await plan();
        if (!planned) return;
        const count = this.#count + planned.addedCount;
        const countOperation: Operation = { type: 'put', key: COUNT_KEY, value: String(count) };
        failpoint('catalog.batch.begin');
        try {
          await this.#level.batch([...planned.operations, countOperation], { sync: true });
        } catch (error) {
          this.#mustMend = true;
          throw error;
        }
        failpoint('catalog.batch.written');
        this.#count = count;
      });
    });
    this.#lastChange = change.catch(() => undefined);
    return change;
  }

  /** Runs `work`; where it meets damage, once more after the database was repaired. */
  async #attempt<T>(action: string, work: () => Promise<T>): Promise<T> {
    try {
      await this.#mending;
      try {
        return await work();
      } catch (error) {
        if (!isCorruption(error) || this.#isClosed) throw error;
        await this.#mend();
        return await work();
      }
    } catch (error) {
      throw cacheIoError(action, error);
    }
  }

  /** Closes the database and opens it again, repaired where it is damaged. */
  #mend(): Promise<void> {
    this.#mending ??= (async () => {
      this.#logger.warn('opening the file catalogue anew after an error');
      await this.#level.close();
      const { level, count } = await openDatabase(this.#directoryPath, this.#logger);
      this.#level = level;
      this.#count = count;
      this.#mustMend = false;
    })().finally(() => {
      this.#mending = undefined;
    });
    return this.#mending;
  }
}

async function openDatabase(
  directoryPath: string,
  logger: Logger,
): Promise<{ level: Level; count: number }> {
  const { level, isRepaired } = await openLevel(directoryPath, logger);
  try {
    await checkFormat(level, directoryPath);
    if (isRepaired) return { level, count: await recount(level) };
    return { level, count: Number((await level.get(COUNT_KEY)) ?? 0) };
  } catch (error) {
    await level.close();
    throw cacheIoError(`open the file catalog ${directoryPath}`, error);
  }
}

async function checkFormat(level: Level, directoryPath: string): Promise<void> {
  const format = await level.get(FORMAT_KEY);
  if (format === undefined) await level.put(FORMAT_KEY, String(FORMAT_VERSION), { sync: true });
  else if (format !== String(FORMAT_VERSION)) {
    throw new RingloadError(
      'data_dir_foreign',
      `open the file catalog ${directoryPath}: its format is ${format}, not ${FORMAT_VERSION}`,
    );
  }
}

async function recount(level: Level): Promise<number> {
  let count = 0;
  for await (const _key of level.keys({ gte: FILE, lt: endOfPrefix(FILE) })) count++;
  await level.put(COUNT_KEY, String(count), { sync: true });
  return count;
}

function isAfter(left: string, right: string): boolean {
  return compareUtf8(left, right) > 0;
}
