/**
 * Records that were read lately, so that a file whose ranges are read again and again is not looked
 * up in the database each time.
 *
 * Invariant: what is remembered is what the database has. While a change is under way nothing new is
 * remembered of what was read before it.
 */
import { hashOfText, type ChangeMarks } from '../../base/change-marks.ts';
import type { FileRecord } from '../file-catalog.ts';

const MAX_COUNT = 4096;

export class RecentRecords {
  readonly #marks: ChangeMarks | undefined;
  readonly #records = new Map<string, FileRecord>();
  #changeCount = 0;
  #changingCount = 0;

  /** @param marks raised for each record that changes, by its path. */
  constructor(marks?: ChangeMarks) {
    this.#marks = marks;
  }

  get(path: string): FileRecord | undefined {
    return this.#records.get(path);
  }

  /** To be asked before a read: what it finds may be remembered under this moment. */
  get moment(): number {
    return this.#changingCount > 0 ? -1 : this.#changeCount;
  }

  remember(moment: number, path: string, record: FileRecord): void {
    if (moment !== this.#changeCount || this.#changingCount > 0) return;
    const oldest = this.#records.keys().next().value;
    if (this.#records.size >= MAX_COUNT && oldest !== undefined) this.#records.delete(oldest);
    this.#records.set(path, record);
  }

  /** Runs a change of these paths. */
  async changing<T>(paths: readonly string[], change: () => Promise<T>): Promise<T> {
    this.#changingCount++;
    for (const path of paths) this.#records.delete(path);
    this.#raise(paths);
    try {
      return await change();
    } finally {
      this.#changingCount--;
      this.#changeCount++;
      // Why again: who looked meanwhile may have found what was there before.
      this.#raise(paths);
    }
  }

  /** Nobody knows what the database has now. */
  clear(): void {
    this.#changeCount++;
    this.#records.clear();
    this.#marks?.raiseAll();
  }

  #raise(paths: readonly string[]): void {
    for (const path of paths) this.#marks?.raise(hashOfText(path));
  }
}
