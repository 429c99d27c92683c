/**
 * Files whose object an owner found changed or missing: looked up again, and started over when
 * there is another version.
 *
 * Invariant: a file starts over only when nothing of its old version is out any more, so that no
 * late write of the old version's metadata can follow one of the new.
 */
import type { WireError } from '../base/errors.ts';
import type { UfsObject } from '../ufs/under-store.ts';
import type { FileRun } from './file-run.ts';
import type { TaskRun } from './unit.ts';

export interface Restart {
  readonly file: FileRun;
  /** What found the object changed, in the order of the answers. */
  readonly reports: { readonly task: TaskRun; readonly error: WireError }[];
  /** Units of the file that were opened before. */
  readonly openedCount: number;
  /** The new version, once known. */
  found?: UfsObject;
}

export class FileRestarts {
  readonly #byPath = new Map<string, Restart>();

  /** True when the object has to be looked up; false when that is under way. */
  report(task: TaskRun, error: WireError): boolean {
    const { file } = task.unit;
    const known = this.#byPath.get(file.object.path);
    if (known) {
      known.reports.push({ task, error });
      return false;
    }
    this.#byPath.set(file.object.path, {
      file,
      reports: [{ task, error }],
      openedCount: file.openedCount,
    });
    return true;
  }

  isUnderWay(file: FileRun): boolean {
    return this.#byPath.has(file.object.path);
  }

  of(path: string): Restart | undefined {
    return this.#byPath.get(path);
  }

  end(path: string): void {
    this.#byPath.delete(path);
  }

  clear(): void {
    this.#byPath.clear();
  }

  /** Takes out the files that can start over now. */
  takeReady(): Restart[] {
    const ready: Restart[] = [];
    for (const [path, restart] of this.#byPath) {
      if (!restart.found || restart.file.inflightCount > 0) continue;
      this.#byPath.delete(path);
      ready.push(restart);
    }
    return ready;
  }
}
