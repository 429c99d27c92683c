/**
 * Data of members that drain: they own nothing any more, but until all of it has moved they are
 * asked before the under store is.
 */
import type { JobId, PeerId } from '../base/ids.ts';
import type {
  FileCatalog,
  FileRecord,
  HeldRecord,
  RecordInventory,
} from '../cache/file-catalog.ts';
import { SegmentLoader, type LoadOutcome, type LoadRequest } from '../data/segment-loader.ts';

/** Brings segments in from members that drain, where others would have to ask the under store. */
export class DrainAwareLoader extends SegmentLoader {
  /** Data endpoints of the members that drain and can be reached. */
  drainingEndpoints: () => readonly string[] = () => [];

  override load(request: LoadRequest, signal: AbortSignal): Promise<LoadOutcome> {
    const isAllowed = request.allowUfs && request.reload !== true;
    const endpoints = isAllowed ? this.drainingEndpoints() : [];
    if (endpoints.length === 0) return super.load(request, signal);
    const peerEndpoints = [...new Set([...request.peerEndpoints, ...endpoints])];
    return super.load({ ...request, peerEndpoints }, signal);
  }
}

export interface DrainAwareCatalogOptions {
  readonly catalog: FileCatalog;
  readonly drainingPeers: () => readonly PeerId[];
  readonly recordAt: (peer: PeerId, path: string) => Promise<FileRecord | undefined>;
}

/** A catalogue that finds the records of members that drain too; for readers. */
export class DrainAwareCatalog implements FileCatalog {
  readonly #options: DrainAwareCatalogOptions;

  constructor(options: DrainAwareCatalogOptions) {
    this.#options = options;
  }

  async get(path: string): Promise<FileRecord | undefined> {
    const { catalog, drainingPeers, recordAt } = this.#options;
    const here = await catalog.get(path);
    if (here) return here;
    for (const peer of drainingPeers()) {
      const record = await recordAt(peer, path).catch(() => undefined);
      if (record) return record;
    }
    return undefined;
  }

  getAll(paths: readonly string[]): Promise<readonly (FileRecord | undefined)[]> {
    return Promise.all(paths.map((path) => this.get(path)));
  }

  putAll(records: readonly FileRecord[]): Promise<void> {
    return this.#options.catalog.putAll(records);
  }

  hold(held: readonly HeldRecord[]): Promise<void> {
    return this.#options.catalog.hold(held);
  }

  heldInventory(holder: JobId, root: string): Promise<RecordInventory> {
    return this.#options.catalog.heldInventory(holder, root);
  }

  delete(path: string): Promise<void> {
    return this.#options.catalog.delete(path);
  }

  deleteAll(paths: readonly string[]): Promise<void> {
    return this.#options.catalog.deleteAll(paths);
  }

  scan(request: { root: string; after?: string; limit: number }): Promise<readonly FileRecord[]> {
    return this.#options.catalog.scan(request);
  }

  count(): Promise<number> {
    return this.#options.catalog.count();
  }

  close(): Promise<void> {
    return this.#options.catalog.close();
  }
}
