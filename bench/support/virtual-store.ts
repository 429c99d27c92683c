/** An under store of any number of objects, computed when they are listed and never stored. */
import type {
  ListPage,
  ListRequest,
  ObjectChecksum,
  UfsObject,
  UnderStore,
} from '../../src/ufs/under-store.ts';

const OBJECTS_PER_FOLDER = 10_000;

export class VirtualStore implements UnderStore {
  readonly root = 's3://virtual/warehouse/events';
  readonly #count: number;
  readonly #sizeBytes: number;
  /** Told of each page, with the objects that were listed so far. */
  readonly #onPage: (listedCount: number) => void;

  constructor(options: {
    readonly count: number;
    readonly sizeBytes: number;
    readonly onPage: (listedCount: number) => void;
  }) {
    this.#count = options.count;
    this.#sizeBytes = options.sizeBytes;
    this.#onPage = options.onPage;
  }

  async list({ after, limit }: ListRequest): Promise<ListPage> {
    const first = after === undefined ? 0 : numberOf(after) + 1;
    const end = Math.min(this.#count, first + limit);
    const objects: UfsObject[] = [];
    for (let number = first; number < end; number++) objects.push(this.#object(number));
    this.#onPage(end);
    const cursor = objects.at(-1)?.path ?? after;
    const done = end === this.#count;
    return cursor === undefined ? { objects, done } : { objects, done, cursor };
  }

  /** Names as long as real ones are: `…/part-00012/0000003456.parquet`. */
  #object(number: number): UfsObject {
    const folder = String(Math.floor(number / OBJECTS_PER_FOLDER)).padStart(6, '0');
    const name = String(number).padStart(10, '0');
    const path = `${this.root}/part-${folder}/${name}.parquet`;
    const version = `"${name}d41d8cd98f00b204e980"`;
    return { path, sizeBytes: this.#sizeBytes, version, mtimeMs: 1_767_225_600_000 };
  }

  async stat(): Promise<UfsObject> {
    throw new Error('nothing here ever changes');
  }

  readRange(): AsyncIterable<Uint8Array> {
    throw new Error('nobody fetches here');
  }

  async checksum(): Promise<ObjectChecksum | undefined> {
    return undefined;
  }

  async close(): Promise<void> {
    // Nothing is open.
  }
}

function numberOf(path: string): number {
  return Number(path.slice(path.lastIndexOf('/') + 1, -'.parquet'.length));
}
