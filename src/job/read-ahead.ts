/**
 * The pages of a listing, in order, several of them under way at once.
 *
 * A store that lists by key answers a page at a time, each as far as the last one's round trip. So
 * the key space behind what is known is cut at guessed keys, and the pieces are listed side by side.
 * Each piece is the keys greater than its `after` and not greater than its `end`, so together they
 * hold every key once, wherever the cuts are: a bad guess costs requests and nothing else. The
 * fewer keys the pieces turn out to have, the fewer are asked for at once, down to one page ahead.
 *
 * Bounded: a few pages wait to be taken, and no more are asked for.
 */
import { comparePaths } from '../ufs/path.ts';
import type { ListPage, UfsObject } from '../ufs/under-store.ts';
import { KeyRuler } from './key-ruler.ts';

export interface ReadAheadOptions {
  readonly root: string;
  /** Pages may be asked for out of turn; false: one after another, when they are wanted. */
  readonly isKeyed: boolean;
  /** One page of the store; a failure that is thrown is final. */
  readonly list: (request: PageRequest) => Promise<ListPage>;
}

export interface PageRequest {
  readonly after?: string;
  readonly limit: number;
}

/** Requests under way. */
const PARALLEL_MAX_COUNT = 8;
/** Pieces that wait, are under way or are listed; the one that is wanted next always may be. */
const PIECE_MAX_COUNT = 9;
/** Of a page: so much is guessed to lie in a piece, so that seldom a few keys are left over. */
const FILL = 0.93;
/** Guesses that leave so much of a page to a piece are good enough to go on with. */
const FILL_MIN = 0.7;
/** A page of which less is of use came of a bad guess. */
const POOR_SHARE = 0.1;
const GOOD_SHARE = 0.5;

interface Piece {
  readonly after: string | undefined;
  /** The last key that may be in it; undefined: up to the end of the listing. */
  end: string | undefined;
  isAsked: boolean;
  /** Once it is listed. */
  outcome?: { readonly objects: readonly UfsObject[] } | { readonly thrown: unknown };
}

interface Waiting {
  readonly resolve: (page: ListPage) => void;
  readonly reject: (thrown: unknown) => void;
}

export class ReadAhead {
  readonly #options: ReadAheadOptions;
  /** In order, without gaps; the last one has no end until the end of the listing is known. */
  #pieces: Piece[] = [];
  /** What was given out last; undefined: nothing goes on from here. */
  #given: { readonly cursor: string | undefined; readonly limit: number } | undefined;
  #waiting: Waiting | undefined;
  #parallelCount = 1;
  /** Requests under way, those for pieces that were dropped included. */
  #runningCount = 0;
  #ruler: KeyRuler | undefined;

  constructor(options: ReadAheadOptions) {
    this.#options = options;
  }

  /** The page behind `after`; who goes on from the last page's cursor has it sooner. */
  next(after: string | undefined, limit: number): Promise<ListPage> {
    if (!this.#options.isKeyed) return this.#options.list(requestFor(after, limit));
    const goesOn = this.#given?.cursor === after && this.#given?.limit === limit;
    if (!goesOn || this.#pieces.length === 0) {
      this.#given = { cursor: after, limit };
      this.#pieces = [{ after, end: undefined, isAsked: false }];
      this.#parallelCount = 1;
      this.#ruler = undefined;
    }
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#goOn();
    });
  }

  /** The store has trouble: one request at a time, for now. */
  slowDown(): void {
    this.#parallelCount = 1;
  }

  #goOn(): void {
    const limit = this.#given?.limit;
    if (limit === undefined) return;
    this.#give(limit);
    this.#askMore(limit);
  }

  /** Gives out the first piece, once it is listed. Those without a key are passed over. */
  #give(limit: number): void {
    for (let [first] = this.#pieces; this.#waiting && first?.outcome; [first] = this.#pieces) {
      const { outcome } = first;
      const { resolve, reject } = this.#waiting;
      this.#pieces.shift();
      if ('thrown' in outcome) {
        this.#waiting = undefined;
        this.#given = undefined;
        this.#pieces = [];
        reject(outcome.thrown);
        return;
      }
      const { objects } = outcome;
      const done = this.#pieces.length === 0;
      if (objects.length === 0 && !done) continue;
      const cursor = objects.at(-1)?.path ?? this.#given?.cursor;
      this.#waiting = undefined;
      this.#given = { cursor, limit };
      resolve(cursor === undefined ? { objects, done } : { objects, done, cursor });
    }
  }

  #askMore(limit: number): void {
    for (;;) {
      const piece = this.#pieces.find(({ isAsked }) => !isAsked);
      if (!piece) return;
      const hasRoom =
        this.#runningCount < this.#parallelCount && this.#pieces.length < PIECE_MAX_COUNT;
      if (!hasRoom && piece !== this.#pieces[0]) return;
      this.#cut(piece);
      this.#ask(piece, limit);
    }
  }

  /** Leaves what lies behind the next guess to another piece. */
  #cut(piece: Piece): void {
    if (piece.end !== undefined || piece.after === undefined || this.#parallelCount === 1) return;
    const end = this.#ruler?.guessBehind(piece.after);
    if (end === undefined) return;
    piece.end = end;
    this.#pieces.push({ after: end, end: undefined, isAsked: false });
  }

  #ask(piece: Piece, limit: number): void {
    piece.isAsked = true;
    this.#runningCount += 1;
    void this.#options
      .list(requestFor(piece.after, limit))
      .then((page) => {
        if (this.#pieces.includes(piece)) this.#take(piece, page, limit);
      })
      .catch((thrown: unknown) => {
        piece.outcome = { thrown };
      })
      .then(() => {
        this.#runningCount -= 1;
        this.#goOn();
      });
  }

  #take(piece: Piece, page: ListPage, limit: number): void {
    const { after, end } = piece;
    const behind =
      end === undefined ? -1 : page.objects.findIndex(({ path }) => comparePaths(path, end) > 0);
    const objects = behind < 0 ? page.objects : page.objects.slice(0, behind);
    piece.outcome = { objects };
    const at = this.#pieces.indexOf(piece);
    const cursor = page.cursor ?? after;
    if (behind < 0 && page.done) {
      // Nothing lies behind this page, whatever was guessed.
      this.#pieces.splice(at + 1);
    } else if (behind < 0 && !isAtOrBehind(cursor, end)) {
      this.#pieces.splice(at + 1, 0, { after: cursor, end, isAsked: false });
    }
    this.#learn(piece, page, objects.length, limit);
  }

  #learn({ end }: Piece, { objects }: ListPage, keptCount: number, limit: number): void {
    const share = keptCount / Math.max(1, objects.length);
    if (share < POOR_SHARE) this.#parallelCount = Math.max(1, this.#parallelCount >> 1);
    else if (share >= GOOD_SHARE) {
      this.#parallelCount = Math.min(PARALLEL_MAX_COUNT, this.#parallelCount * 2);
    }
    const isGuessGood = end !== undefined && keptCount >= FILL_MIN * limit && keptCount < limit;
    if (isGuessGood || objects.length < limit / 2) return;
    const below = `${this.#options.root}/`;
    const paths = objects.map(({ path }) => path).filter((path) => path.startsWith(below));
    this.#ruler = KeyRuler.from(paths, { fixedLength: below.length, stride: FILL * limit });
  }
}

function requestFor(after: string | undefined, limit: number): PageRequest {
  return after === undefined ? { limit } : { after, limit };
}

function isAtOrBehind(cursor: string | undefined, end: string | undefined): boolean {
  return cursor !== undefined && end !== undefined && comparePaths(cursor, end) >= 0;
}
