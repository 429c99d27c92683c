/**
 * What the under store said lately about files: their versions, and that they do not exist. An
 * answer is as old as the question, so that "not older than" is kept however long answers take.
 *
 * Questions are not shared: an answer to one that was asked before a write may come after it.
 */
import type { Clock } from '../base/clock.ts';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import { isAtOrBelow } from '../ufs/path.ts';
import type { UfsObject } from '../ufs/under-store.ts';

/** A few hundred bytes each. */
const ENTRY_MAX_COUNT = 20_000;

interface Entry {
  readonly askedMs: number;
  /** Absent: there was no such file. */
  readonly object?: UfsObject;
  /** Nothing is known of the file, and no answer to a question that was asked before will tell. */
  readonly isForgotten?: true;
}

export class HeadCache {
  readonly #clock: Clock;
  readonly #ask: (path: string) => Promise<UfsObject>;
  /** The longest unused first. */
  readonly #entries = new Map<string, Entry>();
  /** Answers to what was asked before are not remembered. */
  #forgotMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, ask: (path: string) => Promise<UfsObject>) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /**
   * @param absentMaxAgeMs of the word that there is no such file; at most `maxAgeMs` counts
   * @throws ufs_not_found, also from memory; ufs_*
   */
  async get(path: string, maxAgeMs: number, absentMaxAgeMs = maxAgeMs): Promise<UfsObject> {
    const nowMs = this.#clock.nowMs();
    const entry = this.#entries.get(path);
    const entryMaxAgeMs = entry?.object ? maxAgeMs : Math.min(maxAgeMs, absentMaxAgeMs);
    if (entry && entry.isForgotten !== true && nowMs - entry.askedMs < entryMaxAgeMs) {
      this.#entries.delete(path);
      this.#entries.set(path, entry);
      if (entry.object) return entry.object;
      throw new RingloadError('ufs_not_found', `no object ${path} a moment ago`);
    }
    try {
      const object = await this.#ask(path);
      this.#remember(path, { askedMs: nowMs, object });
      return object;
    } catch (thrown) {
      const error = toRingloadError(thrown);
      if (error.code === 'ufs_not_found') this.#remember(path, { askedMs: nowMs });
      throw error;
    }
  }

  forget(path: string): void {
    this.#keep(path, { askedMs: this.#clock.nowMs(), isForgotten: true });
  }

  /** Also what is being asked just now. */
  forgetBelow(root: string): void {
    this.#forgotMs = this.#clock.nowMs();
    for (const path of [...this.#entries.keys()])
      if (isAtOrBelow(root, path)) this.#entries.delete(path);
  }

  #remember(path: string, entry: Entry): void {
    const known = this.#entries.get(path);
    if (entry.askedMs < this.#forgotMs) return;
    // An answer that was overtaken by the answer to a later question.
    if (known && known.askedMs > entry.askedMs) return;
    // Of the same moment: whether it was asked before or after, nobody can tell.
    if (known?.isForgotten === true && known.askedMs === entry.askedMs) return;
    this.#keep(path, entry);
  }

  #keep(path: string, entry: Entry): void {
    this.#entries.delete(path);
    this.#entries.set(path, entry);
    const oldest = this.#entries.keys().next().value;
    if (this.#entries.size > ENTRY_MAX_COUNT && oldest !== undefined) this.#entries.delete(oldest);
  }
}
