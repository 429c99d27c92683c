/**
 * The pages of the listing of several roots, as if it were one: in order of keys, each key once.
 *
 * The first pages of a few roots are under way at once, since a list of files costs a request a
 * line. A root at which nothing exists, or that may not be listed, is told in its place.
 */
import { toRingloadError, toWireError, type ErrorCode, type WireError } from '../base/errors.ts';
import { isAtOrBelow } from '../ufs/path.ts';
import type { ListPage, UfsObject } from '../ufs/under-store.ts';
import { itemsAfter, type RootItem } from './root-items.ts';
import type { PathList } from './path-list.ts';
import { ReadAhead, type PageRequest } from './read-ahead.ts';

/** A path that was asked for and cannot be listed: it counts as a file that failed. */
export interface UnlistedRoot {
  readonly path: string;
  readonly error: WireError;
}

export interface JobPage extends ListPage {
  /** In order of paths; between two objects where their paths lie. */
  readonly unlisted?: readonly UnlistedRoot[];
}

/** Where a pass gets its pages from. */
export interface PageSource {
  /** What comes behind `after`; who goes on from the last page's cursor has it sooner. */
  next(after: string | undefined, limit: number): Promise<JobPage>;
  /** The store has trouble: fewer requests at a time, for now. */
  slowDown(): void;
}

export interface RootPagesOptions {
  readonly list: PathList;
  /** Why a line is no root, if it is none. */
  readonly check: (line: string) => WireError | undefined;
  readonly isKeyed: (root: string) => boolean;
  /** One page of the store; a failure that is thrown is final. */
  readonly listPage: (root: string, request: PageRequest) => Promise<ListPage>;
  /** Lets others do something in the midst of much work. */
  readonly rest: () => Promise<void>;
}

const PARALLEL_MAX_COUNT = 16;
/** Of one root alone: the others can be loaded. */
const ROOT_FAILURES: ReadonlySet<ErrorCode> = new Set([
  'ufs_not_found',
  'ufs_forbidden',
  'path_not_mounted',
  'invalid_argument',
]);

type Listable = Exclude<RootItem, { readonly kind: 'rest' }>;

/** A piece whose pages are under way. */
interface Slot {
  readonly pages: ReadAhead;
  /** The one that comes next. */
  page: Promise<JobPage>;
  /** Settled without an error. */
  isReady: boolean;
}

export class RootPages implements PageSource {
  readonly #options: RootPagesOptions;
  #items: Generator<RootItem> | undefined;
  #slots: Slot[] = [];
  #given: { readonly cursor: string | undefined; readonly limit: number } | undefined;
  #parallelCount = PARALLEL_MAX_COUNT;

  constructor(options: RootPagesOptions) {
    this.#options = options;
  }

  slowDown(): void {
    this.#parallelCount = 1;
    for (const { pages } of this.#slots) pages.slowDown();
  }

  async next(after: string | undefined, limit: number): Promise<JobPage> {
    if (!this.#items || this.#given?.cursor !== after || this.#given?.limit !== limit) {
      this.#items = itemsAfter(this.#options.list, after, this.#options.check);
      this.#slots = [];
    }
    try {
      const page = await this.#gather(after, limit);
      this.#given = { cursor: page.cursor, limit };
      this.#parallelCount = Math.min(PARALLEL_MAX_COUNT, 2 * this.#parallelCount);
      return page;
    } catch (thrown) {
      this.#items = undefined;
      throw thrown;
    }
  }

  /** What is at hand, up to `limit`; waits for the first. */
  async #gather(after: string | undefined, limit: number): Promise<JobPage> {
    const objects: UfsObject[] = [];
    const unlisted: UnlistedRoot[] = [];
    let cursor = after;
    for (;;) {
      await this.#askMore(after, limit);
      const [slot] = this.#slots;
      if (!slot) break;
      const count = objects.length + unlisted.length;
      if (count >= limit || (count > 0 && !slot.isReady)) {
        return pageOf({ objects, unlisted, cursor, done: false });
      }
      const page = await slot.page;
      const taken = page.objects.slice(0, limit - count);
      objects.push(...taken);
      unlisted.push(...(page.unlisted ?? []));
      cursor = taken.at(-1)?.path ?? page.unlisted?.at(-1)?.path ?? cursor;
      this.#goOn(slot, page, taken.length, limit);
    }
    return pageOf({ objects, unlisted, cursor, done: true });
  }

  #goOn(slot: Slot, page: JobPage, takenCount: number, limit: number): void {
    if (takenCount < page.objects.length) {
      const { unlisted: _told, ...rest } = page;
      slot.page = Promise.resolve({ ...rest, objects: page.objects.slice(takenCount) });
    } else if (page.done) {
      this.#slots.shift();
    } else {
      this.#watch(slot, slot.pages.next(page.cursor, limit));
    }
  }

  async #askMore(after: string | undefined, limit: number): Promise<void> {
    while (this.#slots.length < this.#parallelCount) {
      const next = this.#items?.next();
      if (!next || next.done) return;
      if (next.value.kind === 'rest') await this.#options.rest();
      else this.#ask(next.value, after, limit);
    }
  }

  #ask(item: Listable, after: string | undefined, limit: number): void {
    const { isKeyed, listPage } = this.#options;
    const pages = new ReadAhead({
      root: item.root,
      isKeyed: item.kind !== 'bad' && isKeyed(item.root),
      list: (request) => listPage(item.root, request),
    });
    const slot: Slot = { pages, page: EMPTY, isReady: false };
    this.#watch(slot, firstPage(item, pages, after, limit));
    this.#slots.push(slot);
  }

  #watch(slot: Slot, page: Promise<JobPage>): void {
    slot.page = page;
    slot.isReady = false;
    page.then(
      () => {
        slot.isReady ||= slot.page === page;
      },
      // Whoever waits for the page hears of it.
      () => undefined,
    );
  }
}

const EMPTY: Promise<JobPage> = Promise.resolve({ objects: [], done: true });

async function firstPage(
  item: Listable,
  pages: ReadAhead,
  after: string | undefined,
  limit: number,
): Promise<JobPage> {
  const { kind, root } = item;
  if (kind === 'bad') return unlistedPage(root, item.error);
  const begin = kind === 'below' ? root : undefined;
  const from = after !== undefined && isAtOrBelow(root, after) ? after : begin;
  try {
    if (kind === 'below') return await pages.next(from ?? root, limit);
    const page = await pages.next(from, kind === 'point' ? 1 : limit);
    // Why not later: from a cursor within the root on, its emptiness says nothing.
    if (from === undefined && page.objects.length === 0 && page.done) {
      return unlistedPage(root, nothingAt(root));
    }
    if (kind === 'whole') return page;
    return { objects: page.objects.filter(({ path }) => path === root), done: true };
  } catch (thrown) {
    const error = toRingloadError(thrown);
    if (from !== undefined || !ROOT_FAILURES.has(error.code)) throw error;
    return unlistedPage(root, toWireError(error));
  }
}

function unlistedPage(path: string, error: WireError): JobPage {
  return { objects: [], unlisted: [{ path, error }], done: true, cursor: path };
}

function nothingAt(root: string): WireError {
  return { code: 'ufs_not_found', message: `nothing exists at or below ${root}` };
}

function pageOf(page: {
  readonly objects: readonly UfsObject[];
  readonly unlisted: readonly UnlistedRoot[];
  readonly cursor: string | undefined;
  readonly done: boolean;
}): JobPage {
  const { objects, unlisted, cursor, done } = page;
  return {
    objects,
    done,
    ...(unlisted.length > 0 && { unlisted }),
    ...(cursor !== undefined && { cursor }),
  };
}
