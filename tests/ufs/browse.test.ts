/** One level of a store, the same on every implementation. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'ava';
import { browseByList } from '../../src/ufs/browse.ts';
import { FileUnderStore } from '../../src/ufs/io/file-under-store.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import { comparePaths } from '../../src/ufs/path.ts';
import type { BrowsePage, BrowseRequest, UnderStore } from '../../src/ufs/under-store.ts';
import { FaultyOrigin } from '../support/faulty-origin.ts';
import { S3Fixture } from '../support/s3-fixture.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { ufsDependencies } from '../support/ufs-dependencies.ts';

const KEYS = ['a-b', 'a/1', 'a/2/x', 'ab', 'b/c/d/e', 'c', 'ü/1', '\u{1f642}/1', '\uffee'];
const { signal } = new AbortController();

interface Opened {
  readonly store: UnderStore;
  /** What stands before a key. */
  readonly base: string;
  close(): PromiseLike<void>;
}

const KINDS: Readonly<Record<string, () => Promise<Opened>>> = {
  memory: () => {
    const store = new MemoryUnderStore();
    for (const key of KEYS) store.put(`s3://b/${key}`, Buffer.from(key));
    return Promise.resolve({ store, base: 's3://b/', close: () => store.close() });
  },
  file: async () => {
    const folder = await tempFolder('browse');
    for (const key of KEYS) {
      await mkdir(dirname(join(folder.path, key)), { recursive: true });
      await writeFile(join(folder.path, key), key);
    }
    const path = `file://${folder.path}`;
    const store = new FileUnderStore({ path }, ufsDependencies({}));
    return { store, base: `${path}/`, close: () => folder[Symbol.asyncDispose]() };
  },
  s3: async () => {
    const sizes = KEYS.map((key) => [key, Buffer.byteLength(key)] as const);
    const fixture = await S3Fixture.open(Object.fromEntries(sizes));
    const base = `s3://${FaultyOrigin.BUCKET}/`;
    return { store: fixture.store, base, close: () => fixture[Symbol.asyncDispose]() };
  },
};

function browse(store: UnderStore, request: BrowseRequest): Promise<BrowsePage> {
  if (store.browse) return store.browse(request, signal);
  return browseByList((list) => store.list(list, signal), request);
}

for (const [kind, open] of Object.entries(KINDS)) {
  test(`browse ${kind}: objects and groups of each level, whatever the prefix`, async (t) => {
    const { store, base, close } = await open();
    for (const [prefix, delimiter, keys, groups] of [
      ['', '/', ['a-b', 'ab', 'c', '\uffee'], ['a/', 'b/', 'ü/', '\u{1f642}/']],
      ['a', '/', ['a-b', 'ab'], ['a/']],
      ['a/', '/', ['a/1'], ['a/2/']],
      ['b/c/', '/', [], ['b/c/d/']],
      ['b/c/d/e', '/', ['b/c/d/e'], []],
      ['nothing', '/', [], []],
      ['nothing/below', '/', [], []],
      ['c/', '/', [], []],
      ['', '', [...KEYS].sort(comparePaths), []],
      ['a/', '', ['a/1', 'a/2/x'], []],
      ['', 'b', ['a/1', 'a/2/x', 'c', 'ü/1', '\uffee', '\u{1f642}/1'], ['a-b', 'ab', 'b']],
    ] as const) {
      const page = await browse(store, { prefix: base + prefix, delimiter, limit: 1000 });
      const what = `prefix "${prefix}", delimiter "${delimiter}"`;
      t.deepEqual(
        page.objects.map(({ path }) => path.slice(base.length)),
        keys,
        what,
      );
      t.deepEqual(
        page.groups.map((path) => path.slice(base.length)),
        groups,
        what,
      );
      t.true(page.done, what);
    }
    await close();
  });

  test(`browse ${kind}: pages of every size give everything once`, async (t) => {
    const { store, base, close } = await open();
    for (const delimiter of ['/', '']) {
      const all = await browse(store, { prefix: base, delimiter, limit: 1000 });
      const whole = entriesOf(all);
      for (let limit = 1; limit <= whole.length + 1; limit++) {
        const seen: string[] = [];
        for (let after: string | undefined; ;) {
          const from = after === undefined ? {} : { after };
          const page = await browse(store, { prefix: base, delimiter, limit, ...from });
          const found = entriesOf(page);
          t.true(found.length <= limit);
          seen.push(...found);
          after = found.at(-1);
          if (page.done || found.length === 0) break;
        }
        t.deepEqual(seen, whole, `limit ${limit}, delimiter "${delimiter}"`);
      }
    }
    await close();
  });

  test(`browse ${kind}: an object is described as stat describes it`, async (t) => {
    const { store, base, close } = await open();
    const { objects } = await browse(store, { prefix: `${base}a/1`, delimiter: '/', limit: 1 });
    const { path, sizeBytes, version } = await store.stat(`${base}a/1`, signal);
    t.like(objects[0], { path, sizeBytes, version });
    await close();
  });
}

function entriesOf({ objects, groups }: BrowsePage): string[] {
  return [...objects.map(({ path }) => path), ...groups].sort(comparePaths);
}
