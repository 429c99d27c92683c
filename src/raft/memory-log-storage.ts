/**
 * The in-memory twin of the file storage: for tests and for members that need no durability.
 *
 * Handing the same object to the next life of a member is its restart.
 */
import { invariant } from '../base/invariant.ts';
import type { LogBatch, LogImage, LogStorage } from './log-storage.ts';
import { overwriteFrom } from './log-storage.ts';

export class MemoryLogStorage implements LogStorage {
  #image: LogImage | undefined;

  load(): Promise<LogImage | undefined> {
    return Promise.resolve(this.#image);
  }

  persist(batch: LogBatch): Promise<void> {
    invariant(this.#image, 'a log is started with replaceWith');
    this.#image = {
      snapshot: this.#image.snapshot,
      hardState: batch.hardState,
      entries: this.#extended(this.#image.entries, batch),
    };
    return Promise.resolve();
  }

  replaceWith(image: LogImage): Promise<void> {
    this.#image = { ...image, entries: [...image.entries] };
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Appends in place where nothing is overwritten: copying the log each time is quadratic. */
  #extended(entries: LogImage['entries'], batch: LogBatch): LogImage['entries'] {
    const first = batch.entries[0];
    const last = entries.at(-1);
    if (first && last && first.index === last.index + 1) {
      const owned = entries as LogImage['entries'][number][];
      for (const entry of batch.entries) owned.push(entry);
      return owned;
    }
    return overwriteFrom(entries, batch.entries);
  }
}
