/** The file catalogue of a peer: what is written stays, from one life of the process to the next. */
import type { JobId } from '../../../src/base/ids.ts';
import type {
  FileCatalog,
  FileRecord,
  HeldRecord,
  RecordInventory,
} from '../../../src/cache/file-catalog.ts';
import { MemoryFileCatalog } from '../../../src/cache/memory-file-catalog.ts';
import type { Chance } from '../raft/chance.ts';
import type { Life } from './life.ts';

export class DurableCatalog extends MemoryFileCatalog {}

/** One life's way to it: a batch takes a while to become durable, and then is so as a whole. */
export class SimCatalog implements FileCatalog {
  readonly #durable: DurableCatalog;
  readonly #life: Life;
  readonly #chance: Chance;
  #lastAtMs = 0;

  constructor(durable: DurableCatalog, life: Life, chance: Chance) {
    this.#durable = durable;
    this.#life = life;
    this.#chance = chance;
  }

  getAll(paths: readonly string[]): Promise<readonly (FileRecord | undefined)[]> {
    return this.#durable.getAll(paths);
  }

  get(path: string): Promise<FileRecord | undefined> {
    return this.#durable.get(path);
  }

  putAll(records: readonly FileRecord[]): Promise<void> {
    return this.#write(() => this.#durable.putAll(records));
  }

  hold(held: readonly HeldRecord[]): Promise<void> {
    return this.#write(() => this.#durable.hold(held));
  }

  heldInventory(holder: JobId, root: string): Promise<RecordInventory> {
    return this.#durable.heldInventory(holder, root);
  }

  delete(path: string): Promise<void> {
    return this.deleteAll([path]);
  }

  deleteAll(paths: readonly string[]): Promise<void> {
    return this.#write(() => this.#durable.deleteAll(paths));
  }

  scan(request: { root: string; after?: string; limit: number }): Promise<readonly FileRecord[]> {
    return this.#durable.scan(request);
  }

  count(): Promise<number> {
    return this.#durable.count();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #write(action: () => Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#life.begin()) return;
      const { clock } = this.#life;
      // Batches take effect in the order in which they were given.
      this.#lastAtMs = Math.max(this.#lastAtMs, clock.nowMs() + this.#chance.between(0.1, 2));
      clock.setTimer(this.#lastAtMs - clock.nowMs(), () => {
        void action();
        resolve();
      });
    });
  }
}
