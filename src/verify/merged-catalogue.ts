/**
 * The catalogues of all peers as one, in order of paths: who knows which record of a file. A page
 * of each peer is in memory, whatever the number of files.
 */
import type { PeerId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import { compareUtf8 } from '../cache/utf8-order.ts';
import type { VerifyNetwork, VerifyPlacement } from './verify-network.ts';

const PAGE_MAX_COUNT = 500;

export type CatalogueNetwork = Pick<VerifyNetwork, 'scan'>;
export type CataloguePlacement = Pick<VerifyPlacement, 'members' | 'isReachable'>;

export interface KnownFile {
  readonly path: string;
  readonly records: ReadonlyMap<PeerId, FileRecord>;
}

export class MergedCatalogue {
  /** Peers whose catalogue could not be read to its end. */
  readonly unread = new Set<PeerId>();
  readonly #roots: readonly string[];
  readonly #network: CatalogueNetwork;
  readonly #placement: CataloguePlacement;

  constructor(roots: readonly string[], network: CatalogueNetwork, placement: CataloguePlacement) {
    this.#roots = roots;
    this.#network = network;
    this.#placement = placement;
  }

  async *files(): AsyncGenerator<KnownFile> {
    for (const root of this.#roots) yield* this.#filesBelow(root);
  }

  async *#filesBelow(root: string): AsyncGenerator<KnownFile> {
    const heads = this.#placement.members.map((peer) => new Head(peer, root, this));
    for (;;) {
      await Promise.all(heads.map((head) => head.fill()));
      let path: string | undefined;
      for (const { record } of heads) {
        if (record && (path === undefined || compareUtf8(record.path, path) < 0)) {
          path = record.path;
        }
      }
      if (path === undefined) return;
      const records = new Map<PeerId, FileRecord>();
      for (const head of heads) {
        const { record } = head;
        if (record?.path !== path) continue;
        records.set(head.peer, record);
        head.next();
      }
      yield { path, records };
    }
  }

  /** The page after `after`, the shorter the nearer the end; of an unreachable peer, nothing. */
  async page(
    peer: PeerId,
    root: string,
    after: string | undefined,
  ): Promise<readonly FileRecord[]> {
    try {
      if (!this.#placement.isReachable(peer)) throw new Error('not linked');
      const request = { root, limit: PAGE_MAX_COUNT };
      return await this.#network.scan(peer, after === undefined ? request : { ...request, after });
    } catch {
      this.unread.add(peer);
      return [];
    }
  }
}

/** Where the merge is in one peer's catalogue. */
class Head {
  readonly peer: PeerId;
  readonly #root: string;
  readonly #catalogue: MergedCatalogue;
  #page: readonly FileRecord[] = [];
  #position = 0;
  #after: string | undefined;
  #isAtEnd = false;

  constructor(peer: PeerId, root: string, catalogue: MergedCatalogue) {
    this.peer = peer;
    this.#root = root;
    this.#catalogue = catalogue;
  }

  get record(): FileRecord | undefined {
    return this.#page[this.#position];
  }

  next(): void {
    this.#position += 1;
  }

  /** Makes sure that {@link record} is the next one, if there is one. */
  async fill(): Promise<void> {
    if (this.#isAtEnd || this.record) return;
    this.#page = await this.#catalogue.page(this.peer, this.#root, this.#after);
    this.#position = 0;
    this.#after = this.#page.at(-1)?.path ?? this.#after;
    this.#isAtEnd = this.#page.length === 0;
  }
}
