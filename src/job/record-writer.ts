/**
 * Writes file metadata in groups: records that arrive while a write is under way share the next
 * one, so that a million small files do not cost a million syncs.
 */
import type { JobId } from '../base/ids.ts';
import type { FileCatalog, FileRecord, HeldRecord } from '../cache/file-catalog.ts';

interface Waiting {
  readonly held: HeldRecord;
  readonly resolve: () => void;
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
  async put(record: FileRecord, reload: boolean, holder: JobId): Promise<boolean> {
    const known = await this.#catalog.get(record.path);
    if (!known || reload || !sameContent(known, record)) {
      await this.#write({ record, holder, isNew: true });
      return true;
    }
    const more = withMoreReplicas(known, record);
    await this.#write({ record: more ?? known, holder, isNew: more !== undefined });
    return known.loadedBy === record.loadedBy;
  }

  #write(held: HeldRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ held, resolve, reject });
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
        await this.#catalog.hold(group.map(({ held }) => held));
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#writing = false;
  }
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
