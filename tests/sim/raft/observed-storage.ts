/** Tells the history what becomes durable, as seen right above the real log. */
import type { RaftId } from '../../../src/base/ids.ts';
import type { LogBatch, LogImage, LogStorage } from '../../../src/raft/log-storage.ts';
import { overwriteFrom } from '../../../src/raft/log-storage.ts';
import type { History } from './history.ts';

export class ObservedStorage implements LogStorage {
  readonly #inner: LogStorage;
  readonly #history: History;
  readonly #id: RaftId;
  readonly #guard: (check: () => void) => void;
  readonly #voters: () => readonly RaftId[];

  /**
   * @param guard runs a check unless this life is over, and records its violation.
   * @param voters of the configuration that is in force at this member.
   */
  constructor(
    inner: LogStorage,
    history: History,
    id: RaftId,
    guard: (check: () => void) => void,
    voters: () => readonly RaftId[],
  ) {
    this.#inner = inner;
    this.#history = history;
    this.#id = id;
    this.#guard = guard;
    this.#voters = voters;
  }

  async load(): Promise<LogImage | undefined> {
    const image = await this.#inner.load();
    this.#guard(() => {
      this.#history.loaded(this.#id, image);
    });
    return image;
  }

  async persist(batch: LogBatch): Promise<void> {
    const durable = this.#history.durableOf(this.#id);
    const voters = this.#voters();
    const isWritten = batch.mustSync || batch.entries.length > 0;
    if (isWritten && durable) {
      const entries = overwriteFrom(durable.entries, batch.entries);
      const image = { snapshot: durable.snapshot, hardState: batch.hardState, entries };
      this.#history.storing(this.#id, image, voters);
    }
    await this.#inner.persist(batch);
    this.#guard(() => {
      if (isWritten) this.#history.stored(this.#id);
      this.#history.commitKnown(this.#id, batch.hardState.commit, voters);
    });
  }

  async replaceWith(image: LogImage): Promise<void> {
    this.#history.storing(this.#id, image, this.#voters());
    await this.#inner.replaceWith(image);
    this.#guard(() => {
      this.#history.stored(this.#id);
    });
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
