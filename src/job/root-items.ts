/**
 * What has to be listed for a sorted list of roots, cut so that the keys of one piece come before
 * those of the next: then the whole is in order of keys, and any key is a cursor.
 *
 * A root stands for an object of its name and for all below `root/`. Keys of other roots may lie
 * between these two (`a`, `a-b`, `a/c`), so a root is listed in two pieces where one does. A root
 * below another one adds nothing and is left out.
 */
import type { WireError } from '../base/errors.ts';
import { comparePaths } from '../ufs/path.ts';
import type { PathList } from './path-list.ts';

export type RootItem =
  /** The object and what lies below. */
  | { readonly kind: 'whole'; readonly root: string }
  /** The object only; what lies below comes later. */
  | { readonly kind: 'point'; readonly root: string }
  /** What lies below; the object came before. */
  | { readonly kind: 'below'; readonly root: string }
  /** No root at all. */
  | { readonly kind: 'bad'; readonly root: string; readonly error: WireError }
  /** Nothing, after much work: others may want to do something. */
  | { readonly kind: 'rest' };

const LINES_AT_ONCE = 1000;

/**
 * The pieces with keys greater than `after`, in order.
 * @param check why a line of the list is no root, if it is none.
 */
export function* itemsAfter(
  list: PathList,
  after: string | undefined,
  check: (line: string) => WireError | undefined,
): Generator<RootItem> {
  for (const item of items(linesAfter(list, after), check)) {
    if (after === undefined || hasKeysAfter(item, after)) yield item;
  }
}

/** Lines up to `after` whose keys may go on behind it, and all lines greater than it. */
function* linesAfter(list: PathList, after: string | undefined): Generator<string> {
  if (after !== undefined) {
    for (let end = 1; end <= after.length; end += 1) {
      const isOpen = end === after.length || after.charAt(end) <= '/';
      if (isOpen && list.has(after.slice(0, end))) yield after.slice(0, end);
    }
  }
  yield* list.after(after);
}

function hasKeysAfter(item: RootItem, after: string): boolean {
  if (item.kind === 'rest') return true;
  if (item.kind === 'point' || item.kind === 'bad') return comparePaths(item.root, after) > 0;
  return comparePaths(after, endOf(item.root)) < 0;
}

/** The least key that is greater than all below `root/`. */
function endOf(root: string): string {
  return `${root}0`;
}

function* items(
  lines: Iterable<string>,
  check: (line: string) => WireError | undefined,
): Generator<RootItem> {
  /** Roots whose keys may go on, each a prefix of the next; what lies below the last comes first. */
  const open: { readonly root: string; readonly isListed: boolean }[] = [];
  /** The last root: how it is listed depends on the line after it. */
  let last: string | undefined;
  let lineCount = 0;
  for (const line of lines) {
    if (++lineCount % LINES_AT_ONCE === 0) yield { kind: 'rest' };
    if (last !== undefined) {
      const isSplit = comparePaths(line, `${last}/`) < 0;
      yield { kind: isSplit ? 'point' : 'whole', root: last };
      open.push({ root: last, isListed: !isSplit });
      last = undefined;
    }
    for (
      let top = open.at(-1);
      top && comparePaths(line, endOf(top.root)) >= 0;
      top = open.at(-1)
    ) {
      open.pop();
      if (!top.isListed) yield { kind: 'below', root: top.root };
    }
    const top = open.at(-1);
    if (top && line.startsWith(`${top.root}/`)) continue;
    const error = check(line);
    if (error) yield { kind: 'bad', root: line, error };
    else last = line;
  }
  if (last !== undefined) yield { kind: 'whole', root: last };
  for (let top = open.pop(); top; top = open.pop()) {
    if (!top.isListed) yield { kind: 'below', root: top.root };
  }
}
