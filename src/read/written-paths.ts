/**
 * Paths that clients write through peers, so that what was known of them before is not relied on.
 *
 * While a path is being written, its version is asked of the under store for each read. After that
 * what this peer knew is forgotten, and the path stays noted for a while: a load that listed it
 * before the write may yet record the version that was replaced, and such a record counts only if
 * the store still has that version.
 */
import type { Clock } from '../base/clock.ts';

/** `open`: somebody is writing it; `noted`: somebody has, lately. */
export type WriteState = 'open' | 'noted';

interface Note {
  /** Writes under way, by who writes and which it is. */
  readonly writes: Set<string>;
  endedMs: number;
}

/** A few hundred bytes each. */
const NOTE_MAX_COUNT = 100_000;

export class WrittenPaths {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #noteMaxCount: number;
  /** The longest untouched first. */
  readonly #notes = new Map<string, Note>();

  constructor(clock: Pick<Clock, 'nowMs'>, noteMaxCount = NOTE_MAX_COUNT) {
    this.#clock = clock;
    this.#noteMaxCount = noteMaxCount;
  }

  stateOf(path: string): WriteState | undefined {
    const note = this.#notes.get(path);
    if (!note) return undefined;
    return note.writes.size > 0 ? 'open' : 'noted';
  }

  begin(path: string, write: string): void {
    const note = this.#notes.get(path) ?? { writes: new Set(), endedMs: -Infinity };
    note.writes.add(write);
    this.#touch(path, note);
  }

  /** @param mayHaveChanged false: the path is as it was before this write. */
  end(path: string, write: string, mayHaveChanged: boolean): void {
    const note = this.#notes.get(path) ?? { writes: new Set(), endedMs: -Infinity };
    note.writes.delete(write);
    if (mayHaveChanged) note.endedMs = this.#clock.nowMs();
    if (note.writes.size === 0 && note.endedMs === -Infinity) this.#notes.delete(path);
    else this.#touch(path, note);
  }

  /** Writes of whom nobody hears any more: what became of them is not known. */
  openOf(isBy: (write: string) => boolean): { readonly path: string; readonly write: string }[] {
    const found: { path: string; write: string }[] = [];
    for (const [path, { writes }] of this.#notes) {
      for (const write of writes) if (isBy(write)) found.push({ path, write });
    }
    return found;
  }

  /** Paths that nobody writes, and nobody has written for so long. */
  restingFor(ms: number): string[] {
    const untilMs = this.#clock.nowMs() - ms;
    return [...this.#notes]
      .filter(([, { writes, endedMs }]) => writes.size === 0 && endedMs <= untilMs)
      .map(([path]) => path);
  }

  /** Whatever is recorded of it from now on is right. */
  drop(path: string): void {
    if (this.#notes.get(path)?.writes.size === 0) this.#notes.delete(path);
  }

  #touch(path: string, note: Note): void {
    this.#notes.delete(path);
    this.#notes.set(path, note);
    const [oldest] = this.#notes.keys();
    if (this.#notes.size > this.#noteMaxCount && oldest !== undefined) this.#notes.delete(oldest);
  }
}
