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
  readonly resolve: (stored: FileRecord) => void;
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
   * durable, with what is stored. A record of another job keeps its loader but not less replicas;
   * what is known of the object besides is kept from both.
   */
  put(record: FileRecord, reload: boolean, holder: JobId): Promise<FileRecord> {
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
        const stored = await this.#write(group.map(({ wanted }) => wanted));
        for (const [position, { wanted, resolve }] of group.entries())
          resolve(stored[position] ?? wanted.record);
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#writing = false;
  }

  async #write(group: readonly Wanted[]): Promise<FileRecord[]> {
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
    return held.map(({ record }) => record);
  }
}

/** What becomes of a record where another may be there. */
function changeOf(
  known: FileRecord | undefined,
  { record, reload }: Wanted,
): Pick<HeldRecord, 'record' | 'isNew'> {
  if (!known || !sameContent(known, record)) return { record, isNew: true };
  const { attributes = known.attributes } = record;
  if (reload) return { record: withAttributes(record, attributes), isNew: true };
  const { replicaCount } = record;
  const more = known.replicaCount < replicaCount ? withReplicas(known, record) : known;
  const stored = withAttributes(more, attributes);
  return { record: stored, isNew: stored !== known };
}

/** The record with the copies that are wanted; who loaded it stays. */
function withReplicas(known: FileRecord, wanted: FileRecord): FileRecord {
  const { loadedBy: _, ...rest } = wanted;
  return known.loadedBy === undefined ? rest : { ...rest, loadedBy: known.loadedBy };
}

/** The record itself where it has them. */
function withAttributes(record: FileRecord, attributes: FileRecord['attributes']): FileRecord {
  const isKnown = JSON.stringify(record.attributes) === JSON.stringify(attributes);
  return isKnown || !attributes ? record : { ...record, attributes };
}

function sameContent(a: FileRecord, b: FileRecord): boolean {
  return (
    a.version === b.version &&
    a.sizeBytes === b.sizeBytes &&
    a.segmentSizeBytes === b.segmentSizeBytes &&
    a.segmented === b.segmented
  );
}
