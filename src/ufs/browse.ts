/**
 * One level of a store's keys, as S3 lists with a delimiter, for stores that list only all of them.
 * A group is passed with one more request, however much it holds.
 */
import { comparePaths } from './path.ts';
import type { BrowsePage, BrowseRequest, ListPage, ListRequest, UfsObject } from './under-store.ts';

/** Sorts behind every path of a group but those that go on with the same character. */
const HIGHEST = '\u{10ffff}';
const LIST_LIMIT = 1_000;

/** The group that a path belongs to: up to the first delimiter behind the prefix. */
export function groupOf(
  path: string,
  { prefix, delimiter }: Pick<BrowseRequest, 'prefix' | 'delimiter'>,
): string | undefined {
  const cut = delimiter === '' ? -1 : path.indexOf(delimiter, prefix.length);
  return cut < 0 ? undefined : path.slice(0, cut + delimiter.length);
}

/** Where to go on after an entry: behind all of a group when it is one. */
export function beyond(after: string, request: BrowseRequest): string {
  const isGroup = after.startsWith(request.prefix) && groupOf(after, request) === after;
  return isGroup ? after + HIGHEST : after;
}

type List = (request: ListRequest) => Promise<ListPage>;

export async function browseByList(list: List, request: BrowseRequest): Promise<BrowsePage> {
  const { prefix, after = '', limit } = request;
  const root = prefix.slice(0, prefix.lastIndexOf('/'));
  const objects: UfsObject[] = [];
  const groups: string[] = [];
  // What begins with the prefix is greater than the prefix without its last character.
  const first = prefix.endsWith('/') ? root : prefix.slice(0, -1);
  let from = comparePaths(after, first) > 0 ? beyond(after, request) : first;
  for (;;) {
    const page = await list({ root, after: from, limit: LIST_LIMIT });
    for (const object of page.objects) {
      const { path } = object;
      if (!path.startsWith(prefix)) {
        if (comparePaths(path, prefix) > 0) return { objects, groups, done: true };
        continue;
      }
      const group = groupOf(path, request);
      // A marker inside of a group leaves the rest of the group; one that is the group, nothing.
      if (group !== undefined && (group === groups.at(-1) || group === after)) continue;
      if (objects.length + groups.length === limit) return { objects, groups, done: false };
      if (group === undefined) objects.push(object);
      else groups.push(group);
    }
    const last = page.objects.at(-1)?.path ?? page.cursor;
    if (page.done || last === undefined) return { objects, groups, done: true };
    const group = last.startsWith(prefix) ? groupOf(last, request) : undefined;
    from = group === undefined ? last : group + HIGHEST;
  }
}
