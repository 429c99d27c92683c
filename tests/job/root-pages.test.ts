/**
 * The listing of several roots, compared with a plain one. `ROOT_PAGES_SEED=n` replays a run of the
 * property.
 */
import test from 'ava';
import fc from 'fast-check';
import { RingloadError } from '../../src/base/errors.ts';
import { PathList } from '../../src/job/path-list.ts';
import { RootPages, type JobPage } from '../../src/job/root-pages.ts';
import { unfitRoot } from '../../src/job/roots.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import { comparePaths, isAtOrBelow } from '../../src/ufs/path.ts';

const SIGNAL = new AbortController().signal;

function pagesOf(
  store: MemoryUnderStore,
  lines: readonly string[],
  options: { isKeyed?: boolean; mounts?: readonly string[] } = {},
): RootPages {
  const { isKeyed = false, mounts = ['s3://b'] } = options;
  const stores = {
    mounts,
    storeOf: (path: string) => {
      if (mounts.some((mount) => isAtOrBelow(mount, path))) return store;
      throw new RingloadError('path_not_mounted', `${path} is not mounted`);
    },
  };
  return new RootPages({
    list: PathList.of(lines),
    check: (line) => unfitRoot(line, stores),
    isKeyed: () => isKeyed,
    listPage: (root, { after, limit }) =>
      store.list({ root, limit, ...(after !== undefined && { after }) }, SIGNAL),
    rest: () => Promise.resolve(),
  });
}

/** What comes behind `after`, as `o path` for objects and `x path` for what cannot be listed. */
async function entriesOf(
  open: () => RootPages,
  limit: number,
  /** Drawn after every page: whether somebody else goes on from the cursor. */
  changes: () => boolean = () => false,
): Promise<string[]> {
  const entries: string[] = [];
  let pages = open();
  let after: string | undefined;
  for (;;) {
    const page: JobPage = await pages.next(after, limit);
    const { objects, unlisted = [] } = page;
    if (objects.length + unlisted.length > limit) throw new Error('a page is over its limit');
    const both = [
      ...objects.map(({ path }) => ({ path, text: `o ${path}` })),
      ...unlisted.map(({ path }) => ({ path, text: `x ${path}` })),
    ].sort((left, right) => comparePaths(left.path, right.path));
    for (const { path, text } of both) {
      if (after !== undefined && comparePaths(path, after) <= 0) throw new Error(`${path} again`);
      after = path;
      entries.push(text);
    }
    if (page.done) return entries;
    if (changes()) pages = open();
    else after = page.cursor;
  }
}

/** The same, without any cleverness. */
function expected(paths: readonly string[], lines: readonly string[]): string[] {
  const roots = [...new Set(lines)].filter(
    (line) => !lines.some((other) => other !== line && isAtOrBelow(other, line)),
  );
  const found = paths.filter((path) => roots.some((root) => isAtOrBelow(root, path)));
  const missing = roots.filter((root) => !paths.some((path) => isAtOrBelow(root, path)));
  return [
    ...found.map((path) => ({ path, text: `o ${path}` })),
    ...missing.map((path) => ({ path, text: `x ${path}` })),
  ]
    .sort((left, right) => comparePaths(left.path, right.path))
    .map(({ text }) => text);
}

const given = process.env['ROOT_PAGES_SEED'];

test('root pages: every key once and in order, whoever goes on from whichever page', async (t) => {
  // Few letters, with those around the slash: names that are prefixes of each other are the rule.
  const name = fc.stringMatching(/^[a!.0][a!.0]{0,2}$/);
  const path = fc
    .array(name, { minLength: 1, maxLength: 4 })
    .map((names) => `s3://b/${names.join('/')}`);
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(path, { maxLength: 40 }),
      fc.array(path, { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 7 }),
      fc.boolean(),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }),
      async (paths, lines, limit, isKeyed, changes) => {
        const store = new MemoryUnderStore();
        for (const each of paths) store.put(each, new Uint8Array(1));
        let turn = 0;
        const entries = await entriesOf(
          () => pagesOf(store, lines, { isKeyed }),
          limit,
          () => changes[turn++ % changes.length] === true,
        );
        t.deepEqual(entries, expected(paths, lines));
      },
    ),
    { numRuns: 400, ...(given !== undefined && { seed: Number(given) }) },
  );
});

test('root pages: what is no path, or lies in no mount, fails alone and covers nothing', async (t) => {
  const store = new MemoryUnderStore();
  store.put('s3://b/p/f', new Uint8Array(1));
  const lines = ['no path', 's3://b', 's3://b/p/f', 'ftp//x', `s3://b/p/${'x'.repeat(3000)}`];
  const entries = await entriesOf(() => pagesOf(store, lines, { mounts: ['s3://b/p'] }), 10);
  t.deepEqual(
    entries.map((entry) => entry.slice(0, 14)),
    ['x ftp//x', 'x no path', 'x s3://b', 'o s3://b/p/f', 'x s3://b/p/xxx'],
  );
});

test('root pages: a root that is forbidden fails alone, a store that is away fails the listing', async (t) => {
  const store = new MemoryUnderStore();
  store.put('s3://b/a', new Uint8Array(1));
  store.put('s3://b/c', new Uint8Array(1));
  let code: 'ufs_forbidden' | 'ufs_unavailable' = 'ufs_forbidden';
  store.onCall = ({ path }) => {
    if (path === 's3://b/b') throw new RingloadError(code, 'no');
  };
  const lines = ['s3://b/c', 's3://b/b', 's3://b/a'];
  const entries = await entriesOf(() => pagesOf(store, lines), 10);
  t.deepEqual(entries, ['o s3://b/a', 'x s3://b/b', 'o s3://b/c']);
  code = 'ufs_unavailable';
  const pages = pagesOf(store, lines);
  const seen: string[] = [];
  const error = await t.throwsAsync(async () => {
    for (let after: string | undefined; ;) {
      const page = await pages.next(after, 1);
      seen.push(...page.objects.map(({ path }) => path));
      after = page.cursor;
    }
  });
  t.like(error, { code: 'ufs_unavailable' });
  t.deepEqual(seen, ['s3://b/a']);
});

test('root pages: roots are asked for side by side, and big ones page by page', async (t) => {
  const store = new MemoryUnderStore();
  const lines = Array.from({ length: 40 }, (_, n) => `s3://b/f${String(n).padStart(2, '0')}`);
  for (const line of lines) store.put(line, new Uint8Array(1));
  for (let n = 0; n < 25; n += 1) store.put(`s3://b/g/${n}`, new Uint8Array(1));
  let running = 0;
  let most = 0;
  store.onCall = async () => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
  };
  const entries = await entriesOf(() => pagesOf(store, [...lines, 's3://b/g']), 10);
  t.is(entries.length, 65);
  t.is(most, 16);
});
