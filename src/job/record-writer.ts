/**
 * Writes file metadata in groups: records that arrive while a write is under way share the next
 * one, so that a million small files do not cost a million syncs.
 */
import type { JobId } from '../base/ids.ts';
import type { FileCatalog, FileRecord, HeldRecord } from '../cache/file-catalog.ts';

/** A record that a task brings, and who counts on it. */
interface Wanted {
  readonly record: FileRecord;
  readonly reload: boolean;
  readonly holder: JobId;
}

interface Waiting {
  readonly wanted: Wanted;
  readonly resolve: (isOurs: boolean) => void;
  readonly reject: (error: unknown) => void;
}

export class RecordWriter {
  readonly #catalog: FileCatalog;
  #waiting: Waiting[] = [];
  #writing = false;

  constructor(catalog: FileCatalog) {
    this.#catalog = catalog;
  }

  /**
   * Stores the record unless an equal one is there, and holds it for `holder`; resolves when
   * durable. True when this job put it there, now or before. A record of another job keeps its
   * loader but not less replicas.
   */
  put(record: FileRecord, reload: boolean, holder: JobId): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ wanted: { record, reload, holder }, resolve, reject });
      void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        const areOurs = await this.#write(group.map(({ wanted }) => wanted));
        for (const [position, { resolve }] of group.entries()) resolve(areOurs[position] ?? false);
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#writing = false;
  }

  async #write(group: readonly Wanted[]): Promise<boolean[]> {
    const known = await this.#catalog.getAll(group.map(({ record }) => record.path));
    const byPath = new Map(group.map(({ record: { path } }, position) => [path, known[position]]));
    const held = group.map((wanted): HeldRecord => {
      const { path } = wanted.record;
      const change = changeOf(byPath.get(path), wanted);
      // Why: the next one of this group comes after it.
      byPath.set(path, change.record);
      return { ...change, holder: wanted.holder };
    });
    await this.#catalog.hold(held);
    return held.map(({ record }, position) => record.loadedBy === group[position]?.record.loadedBy);
  }
}

/** What becomes of a record where another may be there. */
function changeOf(
  known: FileRecord | undefined,
  { record, reload }: Wanted,
): Pick<HeldRecord, 'record' | 'isNew'> {
  if (!known || reload || !sameContent(known, record)) return { record, isNew: true };
  const more = withMoreReplicas(known, record);
  return { record: more ?? known, isNew: more !== undefined };
}

/** The record that is there with more copies asked for; undefined when it has enough. */
function withMoreReplicas(known: FileRecord, wanted: FileRecord): FileRecord | undefined {
  if (known.replicaCount >= wanted.replicaCount) return undefined;
  const { loadedBy: _, ...rest } = wanted;
  return known.loadedBy === undefined ? rest : { ...rest, loadedBy: known.loadedBy };
}

function sameContent(a: FileRecord, b: FileRecord): boolean {
  return (
    a.version === b.version &&
    a.sizeBytes === b.sizeBytes &&
    a.segmentSizeBytes === b.segmentSizeBytes &&
    a.segmented === b.segmented
  );
}
