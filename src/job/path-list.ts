/**
 * Many paths in little memory, given out in order of their UTF-8 bytes, each once.
 *
 * They are kept in sorted runs of packed bytes, merged when they are read: a million lines are
 * some hundred megabytes as strings, and a sort of all at once would hold up everything else.
 */
import { comparePaths } from '../ufs/path.ts';

const RUN_MAX_COUNT = 10_000;

export class PathList {
  readonly #runs: Run[] = [];
  #pending: string[] = [];
  #byteCount = 0;

  static of(paths: Iterable<string>): PathList {
    const list = new PathList();
    for (const path of paths) list.add(path);
    return list;
  }

  /** UTF-8 bytes of all that is sealed into runs. */
  get byteCount(): number {
    return this.#byteCount;
  }

  add(path: string): void {
    this.#pending.push(path);
    if (this.#pending.length >= RUN_MAX_COUNT) this.#seal();
  }

  has(path: string): boolean {
    this.#seal();
    return this.#runs.some((run) => run.get(run.firstFrom(path)) === path);
  }

  /** Paths greater than `after`, in order, without duplicates. */
  *after(after?: string): Generator<string> {
    this.#seal();
    const heads = new HeadHeap();
    for (const run of this.#runs) {
      const at = after === undefined ? 0 : run.firstFrom(after);
      heads.add({ run, at });
    }
    let previous = after;
    for (let path = heads.take(); path !== undefined; path = heads.take()) {
      if (path === previous) continue;
      previous = path;
      yield path;
    }
  }

  #seal(): void {
    if (this.#pending.length === 0) return;
    const run = new Run(this.#pending.sort(comparePaths));
    this.#byteCount += run.byteCount;
    this.#runs.push(run);
    this.#pending = [];
  }
}

/** A sorted list of strings as one piece of memory. */
class Run {
  readonly #bytes: Uint8Array;
  /** Where each path begins, and the end of the last one. */
  readonly #starts: Uint32Array;

  constructor(sorted: readonly string[]) {
    const encoder = new TextEncoder();
    const encoded = sorted.map((path) => encoder.encode(path));
    this.#starts = new Uint32Array(sorted.length + 1);
    let end = 0;
    for (const [index, bytes] of encoded.entries()) this.#starts[index + 1] = end += bytes.length;
    this.#bytes = new Uint8Array(end);
    for (const [index, bytes] of encoded.entries()) {
      this.#bytes.set(bytes, this.#starts[index] ?? 0);
    }
  }

  get byteCount(): number {
    return this.#bytes.length;
  }

  get(index: number): string | undefined {
    const end = this.#starts[index + 1];
    if (end === undefined) return undefined;
    return DECODER.decode(this.#bytes.subarray(this.#starts[index], end));
  }

  /** Index of the first path that is `from` or greater. */
  firstFrom(from: string): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (comparePaths(this.get(middle) ?? '', from) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Why ignoreBOM: a path that begins with U+FEFF has to come back as it went in. */
const DECODER = new TextDecoder('utf-8', { ignoreBOM: true });

interface Head {
  readonly run: Run;
  at: number;
  path: string;
}

/** The next path of each run, the least on top. */
class HeadHeap {
  readonly #heads: Head[] = [];

  add({ run, at }: { readonly run: Run; readonly at: number }): void {
    const path = run.get(at);
    if (path === undefined) return;
    this.#heads.push({ run, at, path });
    for (let child = this.#heads.length - 1; child > 0;) {
      const parent = (child - 1) >> 1;
      if (!this.#isLess(child, parent)) return;
      this.#swap(child, parent);
      child = parent;
    }
  }

  take(): string | undefined {
    const [top] = this.#heads;
    if (!top) return undefined;
    const { path } = top;
    const next = top.run.get(++top.at);
    if (next !== undefined) top.path = next;
    else {
      const last = this.#heads.pop();
      if (last && last !== top) this.#heads[0] = last;
    }
    this.#sink();
    return path;
  }

  #sink(): void {
    for (let parent = 0; ;) {
      let least = parent;
      for (const child of [2 * parent + 1, 2 * parent + 2]) {
        if (child < this.#heads.length && this.#isLess(child, least)) least = child;
      }
      if (least === parent) return;
      this.#swap(parent, least);
      parent = least;
    }
  }

  #isLess(left: number, right: number): boolean {
    return comparePaths(this.#heads[left]?.path ?? '', this.#heads[right]?.path ?? '') < 0;
  }

  #swap(left: number, right: number): void {
    const [a, b] = [this.#heads[left], this.#heads[right]];
    if (!a || !b) return;
    this.#heads[left] = b;
    this.#heads[right] = a;
  }
}
