/** The file catalog in memory: the twin of the durable one, for simulations and tests. */
import type { JobId } from '../base/ids.ts';
import { catalogRange } from './catalog-range.ts';
import { addDigests, formatDigest, recordDigest } from './digest.ts';
import type { FileCatalog, FileRecord, HeldRecord, RecordInventory } from './file-catalog.ts';
import { withHolder } from './holders.ts';
import { compareUtf8 } from './utf8-order.ts';

export class MemoryFileCatalog implements FileCatalog {
  readonly #records = new Map<string, FileRecord>();
  /** Paths in order, made by the first scan after a path came or went. */
  #sortedPaths: string[] | undefined;
  readonly #holders = new Map<string, readonly JobId[]>();

  get(path: string): Promise<FileRecord | undefined> {
    return Promise.resolve(this.#records.get(path));
  }

  getAll(paths: readonly string[]): Promise<readonly (FileRecord | undefined)[]> {
    return Promise.resolve(paths.map((path) => this.#records.get(path)));
  }

  putAll(records: readonly FileRecord[]): Promise<void> {
    for (const record of records) {
      if (!this.#records.has(record.path)) this.#sortedPaths = undefined;
      this.#records.set(record.path, { ...record });
    }
    return Promise.resolve();
  }

  async hold(held: readonly HeldRecord[]): Promise<void> {
    await this.putAll(
      held.flatMap(({ record, isNew }) =>
        isNew || !this.#records.has(record.path) ? [record] : [],
      ),
    );
    for (const { record, holder } of held) {
      const { path } = record;
      this.#holders.set(path, withHolder(this.#holders.get(path) ?? [], holder));
    }
  }

  async heldInventory(holder: JobId, root: string): Promise<RecordInventory> {
    let recordCount = 0;
    let digest = 0n;
    for (const record of await this.scan({ root, limit: Infinity })) {
      if (!this.#holders.get(record.path)?.includes(holder)) continue;
      recordCount++;
      digest = addDigests(digest, recordDigest(record));
    }
    return { recordCount, digest: formatDigest(digest) };
  }

  delete(path: string): Promise<void> {
    return this.deleteAll([path]);
  }

  deleteAll(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      if (this.#records.delete(path)) this.#sortedPaths = undefined;
      this.#holders.delete(path);
    }
    return Promise.resolve();
  }

  scan(request: { root: string; after?: string; limit: number }): Promise<readonly FileRecord[]> {
    const { exact, prefix } = catalogRange(request.root);
    this.#sortedPaths ??= [...this.#records.keys()].sort(compareUtf8);
    const { after } = request;
    const first =
      after !== undefined && compareUtf8(after, request.root) > 0 ? after : request.root;
    const found: FileRecord[] = [];
    for (let at = lowerBound(this.#sortedPaths, first); found.length < request.limit; at++) {
      const path = this.#sortedPaths[at];
      if (path === undefined) break;
      const record = this.#records.get(path);
      const isCovered = path === exact || path.startsWith(prefix);
      if (record && isCovered && path !== after) found.push(record);
      // Why not the first miss: `root!` sorts between `root` and what is below `root/`.
      if (!isCovered && compareUtf8(path, prefix) > 0) break;
    }
    return Promise.resolve(found);
  }

  count(): Promise<number> {
    return Promise.resolve(this.#records.size);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Position of the first path that is not less than `first`. */
function lowerBound(sorted: readonly string[], first: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareUtf8(sorted[middle] ?? '', first) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
