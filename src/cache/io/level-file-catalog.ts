/**
 * The file catalog on LevelDB: one entry per file under its path, in order of UTF-8 bytes, and one
 * that counts them, changed in the same durable batch.
 *
 * Invariant: changes go one after another, so the count is always that of the entries.
 */
import { ClassicLevel } from 'classic-level';

import { RingloadError } from '../../base/errors.ts';
import { failpoint } from '../../base/failpoint.ts';
import { catalogRange, endOfPrefix } from '../catalog-range.ts';
import type { FileCatalog, FileRecord } from '../file-catalog.ts';
import { compareUtf8 } from '../utf8-order.ts';
import { cacheIoError } from './cache-io-error.ts';

const FILE = 'f';
const COUNT_KEY = 'm:count';
const FORMAT_KEY = 'm:format';
const FORMAT_VERSION = 1;

type Level = ClassicLevel<string, unknown>;
type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: unknown }
  | { readonly type: 'del'; readonly key: string };

export class LevelFileCatalog implements FileCatalog {
  readonly #level: Level;
  #count: number;
  #lastChange: Promise<unknown> = Promise.resolve();

  private constructor(level: Level, count: number) {
    this.#level = level;
    this.#count = count;
  }

  /**
   * Opens or creates the catalog in a directory of its own; a damaged one is repaired, which may
   * lose entries: their files count as not loaded.
   * @throws data_dir_locked, data_dir_foreign, data_corrupt, cache_io
   */
  static async open(directoryPath: string): Promise<LevelFileCatalog> {
    const level = await openOrRepair(directoryPath);
    const format = await level.get(FORMAT_KEY);
    if (format === undefined) await level.put(FORMAT_KEY, FORMAT_VERSION, { sync: true });
    else if (format !== FORMAT_VERSION) {
      await level.close();
      throw new RingloadError(
        'data_dir_foreign',
        `open the file catalog ${directoryPath}: its format is ${JSON.stringify(format)}, ` +
          `not ${FORMAT_VERSION}`,
      );
    }
    const count = await level.get(COUNT_KEY);
    return new LevelFileCatalog(level, typeof count === 'number' ? count : 0);
  }

  async get(path: string): Promise<FileRecord | undefined> {
    return attempt('read the file catalog', async () => {
      return (await this.#level.get(FILE + path)) as FileRecord | undefined;
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
        value,
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
    const below = await attempt('scan the file catalog', () => this.#level.values(range).all());
    return [...found, ...(below as FileRecord[])];
  }

  async count(): Promise<number> {
    await this.#lastChange;
    return this.#count;
  }

  async close(): Promise<void> {
    await this.#lastChange;
    await this.#level.close();
  }

  /** Plans and writes one batch after all earlier ones. */
  #change(
    plan: () => Promise<{ operations: Operation[]; addedCount: number } | undefined>,
  ): Promise<void> {
    const change = this.#lastChange.then(() =>
      attempt('write the file catalog', async () => {
        const planned = await plan();
        if (!planned) return;
        const count = this.#count + planned.addedCount;
        const countOperation: Operation = { type: 'put', key: COUNT_KEY, value: count };
        failpoint('catalog.batch.begin');
        await this.#level.batch([...planned.operations, countOperation], { sync: true });
        failpoint('catalog.batch.written');
        this.#count = count;
      }),
    );
    this.#lastChange = change.catch(() => undefined);
    return change;
  }
}

async function openOrRepair(directoryPath: string): Promise<Level> {
  const newLevel = (): Level => new ClassicLevel(directoryPath, { valueEncoding: 'json' });
  const level = newLevel();
  try {
    await level.open();
    return level;
  } catch (error) {
    const { code } = causeOf(error);
    if (code === 'LEVEL_LOCKED') {
      throw new RingloadError(
        'data_dir_locked',
        `open the file catalog ${directoryPath}: another process uses it`,
        { cause: error },
      );
    }
    if (code !== 'LEVEL_CORRUPTION') throw cacheIoError('open the file catalog', error);
  }
  try {
    await ClassicLevel.repair(directoryPath);
    const repaired = newLevel();
    await repaired.open();
    await recount(repaired);
    return repaired;
  } catch (error) {
    throw new RingloadError('data_corrupt', `repair the file catalog ${directoryPath}`, {
      cause: error,
    });
  }
}

async function recount(level: Level): Promise<void> {
  let count = 0;
  for await (const _key of level.keys({ gte: FILE, lt: endOfPrefix(FILE) })) count++;
  await level.put(COUNT_KEY, count, { sync: true });
}

function isAfter(left: string, right: string): boolean {
  return compareUtf8(left, right) > 0;
}

function causeOf(error: unknown): { code?: unknown } {
  const { cause } = error as { cause?: { code?: unknown } };
  return cause ?? (error as { code?: unknown });
}

async function attempt<T>(action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw cacheIoError(action, error);
  }
}
