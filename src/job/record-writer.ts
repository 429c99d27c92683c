/**
 * Writes file metadata in groups: records that arrive while a write is under way share the next
 * one, so that a million small files do not cost a million syncs.
 */
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';

interface Waiting {
  readonly record: FileRecord;
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
   * Stores the record unless an equal one is there; resolves when durable. True when this job put
   * it there, now or before. A record of another job keeps its loader but not less replicas.
   */
  async put(record: FileRecord, reload: boolean): Promise<boolean> {
    const known = await this.#catalog.get(record.path);
    if (known && !reload && sameContent(known, record)) {
      if (known.replicaCount >= record.replicaCount) return known.loadedBy === record.loadedBy;
      const { loadedBy: _, ...rest } = record;
      await this.#write(
        known.loadedBy === undefined ? rest : { ...rest, loadedBy: known.loadedBy },
      );
      return known.loadedBy === record.loadedBy;
    }
    await this.#write(record);
    return true;
  }

  #write(record: FileRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ record, resolve, reject });
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
        await this.#catalog.putAll(group.map(({ record }) => record));
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#writing = false;
  }
}

function sameContent(a: FileRecord, b: FileRecord): boolean {
  return (
    a.version === b.version &&
    a.sizeBytes === b.sizeBytes &&
    a.segmentSizeBytes === b.segmentSizeBytes &&
    a.segmented === b.segmented
  );
}
