/**
 * The file catalog on LevelDB: one entry per file under its path, in order of UTF-8 bytes, and one
 * that counts them, changed in the same batch. A file's entry also names those who hold it.
 *
 * Each entry carries a checksum of its key and value, because LevelDB does not check what it reads:
 * a damaged entry counts as not there, so its file counts as not loaded.
 *
 * Invariant: changes go one after another, so the count is always that of the entries.
 */
import type { ChangeMarks } from '../../base/change-marks.ts';
import { RingloadError } from '../../base/errors.ts';
import { failpoint } from '../../base/failpoint.ts';
import { silentLogger, type Logger } from '../../base/logger.ts';
import type { JobId } from '../../base/ids.ts';
import { catalogRange, endOfPrefix } from '../catalog-range.ts';
import { addDigests, formatDigest, recordDigest } from '../digest.ts';
import type { FileCatalog, FileRecord, HeldRecord, RecordInventory } from '../file-catalog.ts';
import { withHolder } from '../holders.ts';
import { compareUtf8 } from '../utf8-order.ts';
import { cacheIoError } from './cache-io-error.ts';
import { isCorruption, lockLevel, openLevel, type Level } from './open-level.ts';
import { RecentRecords } from './recent-records.ts';
import { openEntry, sealEntry } from './sealed-entry.ts';

const FILE = 'f';
/** Entries that an inventory reads at once. */
const INVENTORY_PAGE_COUNT = 1000;
const COUNT_KEY = 'm:count';
const FORMAT_KEY = 'm:format';
const FORMAT_VERSION = 2;
const MEND_INTERVAL_MS = 1_000;

type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string };
/** A record as it is stored. */
type Entry = FileRecord & { readonly heldBy?: readonly JobId[] };
type EntryChange = Omit<HeldRecord, 'holder'> & { readonly holder: JobId | undefined };

interface ScanRequest {
  readonly root: string;
  readonly after?: string;
  readonly limit: number;
}

interface PlannedChange {
  readonly operations: readonly Operation[];
  readonly addedCount: number;
  readonly isDurable: boolean;
}

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
  /** When it was last opened anew, and after what. */
  #mended = { atMs: Number.NEGATIVE_INFINITY, reason: '' };
  readonly #recent: RecentRecords;
  #isClosed = false;

  private constructor(parts: {
    directoryPath: string;
    logger: Logger;
    lock: Level;
    level: Level;
    count: number;
    marks: ChangeMarks | undefined;
  }) {
    this.#directoryPath = parts.directoryPath;
    this.#logger = parts.logger;
    this.#lock = parts.lock;
    this.#level = parts.level;
    this.#count = parts.count;
    this.#recent = new RecentRecords(parts.marks);
  }

  /**
   * Opens or creates the catalog in a directory of its own; a damaged one is repaired, which may
   * lose entries: their files count as not loaded.
   * @param marks raised for each record that changes, by its path.
   * @throws data_dir_locked, data_dir_foreign, data_corrupt, cache_io
   */
  static async open(
    directoryPath: string,
    logger = silentLogger,
    marks?: ChangeMarks,
  ): Promise<LevelFileCatalog> {
    const lock = await lockLevel(directoryPath);
    try {
      const opened = await openDatabase(directoryPath, logger);
      return new LevelFileCatalog({ directoryPath, logger, lock, marks, ...opened });
    } catch (error) {
      await lock.close();
      throw error;
    }
  }

  async get(path: string): Promise<FileRecord | undefined> {
    const known = this.#recent.get(path);
    if (known && !this.#isClosed) return known;
    const { moment } = this.#recent;
    const [record] = await this.getAll([path]);
    if (record) this.#recent.remember(moment, path, record);
    return record;
  }

  async getAll(paths: readonly string[]): Promise<readonly (FileRecord | undefined)[]> {
    return this.#attempt('read the file catalog', async () => {
      const entries = await this.#read(paths);
      return entries.map((entry) => entry && recordOf(entry));
    });
  }

  async putAll(records: readonly FileRecord[]): Promise<void> {
    await this.#put(records.map((record) => ({ record, holder: undefined, isNew: true })));
  }

  async hold(held: readonly HeldRecord[]): Promise<void> {
    await this.#put(held);
  }

  async heldInventory(holder: JobId, root: string): Promise<RecordInventory> {
    await this.#lastChange;
    let recordCount = 0;
    let digest = 0n;
    let after: string | undefined;
    for (;;) {
      const request = { root, limit: INVENTORY_PAGE_COUNT };
      const page = await this.#scan(after === undefined ? request : { ...request, after });
      for (const entry of page) {
        if (!entry.heldBy?.includes(holder)) continue;
        recordCount++;
        digest = addDigests(digest, recordDigest(entry));
      }
      if (page.length < INVENTORY_PAGE_COUNT) break;
      after = page.at(-1)?.path;
    }
    return { recordCount, digest: formatDigest(digest) };
  }

  async delete(path: string): Promise<void> {
    await this.deleteAll([path]);
  }

  async deleteAll(paths: readonly string[]): Promise<void> {
    await this.#change(async () => {
      const operations: Operation[] = [];
      for (const path of new Set(paths)) {
        const key = FILE + path;
        if (await this.#level.has(key)) operations.push({ type: 'del', key });
      }
      // Why also those that are not here: who drains may have told of them.
      await this.#recent.changing(paths, () => Promise.resolve());
      if (operations.length === 0) return undefined;
      return { operations, addedCount: -operations.length, isDurable: true };
    });
  }

  async scan(request: ScanRequest): Promise<readonly FileRecord[]> {
    return (await this.#scan(request)).map(recordOf);
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

  /** Fewer than `limit` only at the end of the range: damaged entries make no page shorter. */
  async #scan(request: ScanRequest): Promise<readonly Entry[]> {
    const { root, limit } = request;
    const { exact, prefix } = catalogRange(root);
    const after = request.after === undefined ? undefined : FILE + request.after;
    const found: Entry[] = [];
    if (exact !== undefined && (after === undefined || isAfter(FILE + exact, after))) {
      const [entry] = await this.#attempt('scan the file catalog', () => this.#read([exact]));
      if (entry) found.push(entry);
    }
    const first = FILE + prefix;
    const lt = endOfPrefix(first);
    let start: { gt: string } | { gte: string } = { gte: first };
    if (after !== undefined && !isAfter(first, after)) start = { gt: after };
    while (found.length < limit) {
      if ('gt' in start && !isAfter(lt, start.gt)) break;
      const range = { ...start, lt, limit: limit - found.length };
      const page = await this.#attempt('scan the file catalog', () =>
        this.#level.iterator(range).all(),
      );
      for (const [key, sealed] of page) {
        const entry = this.#open(key.slice(FILE.length), sealed);
        if (entry) found.push(entry);
      }
      const last = page.at(-1)?.[0];
      if (last === undefined || page.length < range.limit) break;
      start = { gt: last };
    }
    return found.slice(0, limit);
  }

  async #read(paths: readonly string[]): Promise<(Entry | undefined)[]> {
    const sealed = await this.#level.getMany(paths.map((path) => FILE + path));
    return paths.map((path, position) => this.#openKnown(path, sealed[position]));
  }

  #openKnown(path: string, sealed: string | undefined): Entry | undefined {
    return sealed === undefined ? undefined : this.#open(path, sealed);
  }

  /** Undefined, and told, when the entry is damaged. */
  #open(path: string, sealed: string): Entry | undefined {
    const entry = openEntry(path, sealed) as Entry | undefined;
    if (!entry) this.#logger.warn('passed over a damaged entry of the file catalogue', { path });
    return entry;
  }

  /** The last one of a path counts; its holders are those of all, and of what was there. */
  async #put(changes: readonly EntryChange[]): Promise<void> {
    if (changes.length === 0) return;
    await this.#change(async () => {
      const paths = [...new Set(changes.map(({ record }) => record.path))];
      const known = await this.#level.getMany(paths.map((path) => FILE + path));
      const entries = new Map(
        paths.map((path, position) => [path, this.#openKnown(path, known[position])]),
      );
      for (const change of changes) {
        const { path } = change.record;
        entries.set(path, changedEntry(entries.get(path), change));
      }
      const operations = [...entries].map(([path, entry]): Operation => ({
        type: 'put',
        key: FILE + path,
        value: sealEntry(path, entry),
      }));
      return {
        operations,
        addedCount: known.filter((sealed) => sealed === undefined).length,
        isDurable: changes.some(({ isNew }) => isNew),
      };
    });
  }

  /** Plans and writes one batch after all earlier ones. */
  #change(plan: () => Promise<PlannedChange | undefined>): Promise<void> {
    const change = this.#lastChange.then(async () => {
      if (this.#mustMend) await this.#mendAgain();
      await this.#attempt('write the file catalog', async () => {
        const planned = await plan();
        if (!planned) return;
        const count = this.#count + planned.addedCount;
        const countOperation: Operation = { type: 'put', key: COUNT_KEY, value: String(count) };
        failpoint('catalog.batch.begin');
        try {
          const sync = planned.isDurable;
          const paths = planned.operations.map(({ key }) => key.slice(FILE.length));
          await this.#recent.changing(paths, () =>
            this.#level.batch([...planned.operations, countOperation], { sync }),
          );
        } catch (error) {
          this.#mustMend = true;
          this.#mended.reason = String(error);
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
      // Why here: where the last attempt to open it failed, readers must not wait for a writer.
      if (this.#level.status !== 'open' && !this.#isClosed) await this.#mendAgain();
      try {
        return await work();
      } catch (error) {
        if (!isCorruption(error) || this.#isClosed) throw error;
        this.#mended.reason = String(error);
        await this.#mend();
        return await work();
      }
    } catch (error) {
      throw cacheIoError(action, error);
    }
  }

  /** Not at every call, where a disk stays broken. @throws cache_io */
  async #mendAgain(): Promise<void> {
    const { atMs, reason } = this.#mended;
    const isDue = this.#mending !== undefined || performance.now() - atMs >= MEND_INTERVAL_MS;
    if (isDue) await this.#mend();
    else throw new RingloadError('cache_io', `use the file catalog: it failed just now: ${reason}`);
  }

  /** Closes the database and opens it again, repaired where it is damaged. */
  #mend(): Promise<void> {
    this.#mending ??= (async () => {
      const { reason } = this.#mended;
      this.#logger.warn('opening the file catalogue anew after an error', { reason });
      this.#mended.atMs = performance.now();
      this.#recent.clear();
      await this.#level.close();
      const { level, count } = await openDatabase(this.#directoryPath, this.#logger);
      this.#level = level;
      this.#count = count;
      this.#mustMend = false;
    })()
      .catch((error: unknown) => {
        // Why another code: this process has the directory, whatever kept it from opening it now.
        throw cacheIoError('open the file catalog anew', new Error(String(error)));
      })
      .finally(() => {
        this.#mending = undefined;
      });
    return this.#mending;
  }
}

function changedEntry(known: Entry | undefined, { record, holder, isNew }: EntryChange): Entry {
  const heldBy = known?.heldBy ?? [];
  const content = known && !isNew ? recordOf(known) : record;
  const holders = holder === undefined ? heldBy : withHolder(heldBy, holder);
  return holders.length === 0 ? content : { ...content, heldBy: holders };
}

function recordOf(entry: Entry): FileRecord {
  if (entry.heldBy === undefined) return entry;
  const { heldBy: _, ...record } = entry;
  return record;
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
