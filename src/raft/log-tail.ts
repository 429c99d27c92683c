/**
 * The part of the log that is held in memory: the latest snapshot and the entries around and
 * behind it. The library reads it synchronously; only the driver changes it, after the same change
 * became durable.
 *
 * Invariant: entries are contiguous, `offset <= snapshot.index <= lastIndex`, and the term at
 * `offset` is known although its entry is gone.
 */
import { invariant } from '../base/invariant.ts';
import type { LogEntry, LogImage, SnapshotRecord } from './log-storage.ts';

/** What an entry costs besides its data, in a message or on disk. */
export const ENTRY_OVERHEAD_BYTES = 32;

export function entrySizeBytes(entry: LogEntry): number {
  const data = entry.data;
  if (data === null) return ENTRY_OVERHEAD_BYTES;
  return ENTRY_OVERHEAD_BYTES + (typeof data === 'string' ? data.length : 256);
}

export class LogTail {
  #snapshot: SnapshotRecord;
  #offset = 0;
  #offsetTerm = 0;
  #entries: LogEntry[] = [];

  constructor(image: LogImage) {
    this.#snapshot = image.snapshot;
    this.replaceWith(image);
  }

  get snapshot(): SnapshotRecord {
    return this.#snapshot;
  }
  get firstIndex(): number {
    return this.#offset + 1;
  }
  get lastIndex(): number {
    return this.#offset + this.#entries.length;
  }

  /** Undefined outside of [firstIndex - 1, lastIndex]. */
  term(index: number): number | undefined {
    if (index === this.#offset) return this.#offsetTerm;
    return this.#entries[index - this.#offset - 1]?.term;
  }

  /** The entries of [from, until), cut after `maxBytes` but never before the first one. */
  slice(from: number, until: number, maxBytes: number): LogEntry[] {
    invariant(from > this.#offset && until <= this.lastIndex + 1, `slice ${from}..${until}`);
    let end = from - this.#offset - 1;
    const limit = until - this.#offset - 1;
    const start = end;
    for (let bytes = 0; end < limit; end++) {
      const entry = this.#entries[end];
      if (!entry) break;
      bytes += entrySizeBytes(entry);
      if (bytes > maxBytes && end > start) break;
    }
    return this.#entries.slice(start, end);
  }

  /** Adds `entries`, first dropping whatever stands at their place and behind it. */
  append(entries: readonly LogEntry[]): void {
    const first = entries[0];
    if (!first) return;
    invariant(
      first.index > this.#offset && first.index <= this.lastIndex + 1,
      `append at ${first.index} to a log of ${this.firstIndex}..${this.lastIndex}`,
    );
    this.#entries.length = first.index - this.#offset - 1;
    for (const entry of entries) this.#entries.push(entry);
  }

  replaceWith(image: LogImage): void {
    const first = image.entries[0];
    this.#snapshot = image.snapshot;
    if (first && first.index <= image.snapshot.index) {
      this.#offset = first.index;
      this.#offsetTerm = first.term;
      this.#entries = image.entries.slice(1);
    } else {
      this.#offset = image.snapshot.index;
      this.#offsetTerm = image.snapshot.term;
      this.#entries = [...image.entries];
    }
    invariant(this.lastIndex >= image.snapshot.index, 'a log that ends before its snapshot');
  }

  /** What a compaction to `snapshot` leaves, keeping `keepCount` entries in front of its end. */
  imageAfter(snapshot: SnapshotRecord, keepCount: number): Pick<LogImage, 'snapshot' | 'entries'> {
    const from = Math.max(snapshot.index - keepCount, this.#offset);
    const behind = this.#entries.slice(from - this.#offset);
    if (from === snapshot.index) return { snapshot, entries: behind };
    const marker = { index: from, term: this.term(from) ?? 0, type: 0, data: null };
    return { snapshot, entries: [marker, ...behind] };
  }
}
