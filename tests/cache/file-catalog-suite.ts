/** What every file catalog promises, run on each implementation. */
import type { ExecutionContext, TestFn } from 'ava';

import { jobId, type JobId } from '../../src/base/ids.ts';
import { addDigests, formatDigest, recordDigest } from '../../src/cache/digest.ts';
import type { FileCatalog, FileRecord, HeldRecord } from '../../src/cache/file-catalog.ts';
import { SeededRandom, randomInt } from '../../src/base/random.ts';
import { testSeed } from './support/fixtures.ts';

export function recordOf(path: string, version = 'v1'): FileRecord {
  return {
    path,
    sizeBytes: 50 * 10 ** 12,
    version,
    mtimeMs: 1_700_000_000_123,
    segmentSizeBytes: 8 * 1024 * 1024,
    segmented: true,
    replicaCount: 2,
  };
}

const PATHS = [
  's3://b/a',
  's3://b/a!',
  's3://b/a-b',
  's3://b/a.txt',
  's3://b/a/',
  's3://b/a/1',
  's3://b/a/2/x',
  's3://b/a//',
  's3://b/a/\uffee',
  's3://b/a/\u{1f600}',
  's3://b/a/é',
  's3://b/a0',
  's3://b/__proto__',
  's3://bb/z',
  's3://b/\n\u0001?#%41',
];

const inUtf8Order = (paths: readonly string[]): string[] =>
  [...paths].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));

export function fileCatalogSuite(
  test: TestFn,
  name: string,
  create: () => Promise<{ catalog: FileCatalog } & AsyncDisposable>,
): void {
  const check = (
    title: string,
    body: (t: ExecutionContext, catalog: FileCatalog) => Promise<void>,
  ): void => {
    test(`${name}: ${title}`, async (t) => {
      await using under = await create();
      await body(t, under.catalog);
    });
  };
  const scanPaths = async (
    catalog: FileCatalog,
    request: { root: string; after?: string; limit: number },
  ): Promise<string[]> => (await catalog.scan(request)).map(({ path }) => path);

  check(
    'deleteAll: these are gone in one go, the others and their holders stay',
    async (t, catalog) => {
      const holder = jobId('j/1.1');
      await catalog.hold(PATHS.map((path) => ({ record: recordOf(path), holder, isNew: true })));
      const gone = PATHS.slice(2, 9);
      await catalog.deleteAll([...gone, 's3://b/never', ...gone]);
      t.is(await catalog.count(), PATHS.length - gone.length);
      const left = PATHS.filter((path) => !gone.includes(path));
      t.deepEqual(
        (await catalog.getAll(PATHS)).flatMap((record) => record?.path ?? []),
        left,
      );
      await catalog.putAll([recordOf('s3://b/a')]);
      const below = left.filter((path) => path === 's3://b/a' || path.startsWith('s3://b/a/'));
      t.is((await catalog.heldInventory(holder, 's3://b/a')).recordCount, below.length);
      await catalog.putAll(gone.map((path) => recordOf(path)));
      t.is((await catalog.heldInventory(holder, 's3://b/a')).recordCount, below.length);
      await catalog.deleteAll([]);
      t.is(await catalog.count(), PATHS.length);
    },
  );

  check('records come back whole', async (t, catalog) => {
    const loaded: FileRecord = { ...recordOf('s3://b/x'), loadedBy: jobId('j'), segmented: false };
    await catalog.putAll([loaded, recordOf('s3://b/y')]);
    t.deepEqual(await catalog.get('s3://b/x'), loaded);
    t.deepEqual(await catalog.get('s3://b/y'), recordOf('s3://b/y'));
    t.is(await catalog.get('s3://b/'), undefined);
  });

  check('a later record replaces the earlier, also within a batch', async (t, catalog) => {
    await catalog.putAll([recordOf('a', 'v1'), recordOf('a', 'v2')]);
    t.is((await catalog.get('a'))?.version, 'v2');
    await catalog.putAll([recordOf('a', 'v3')]);
    t.is((await catalog.get('a'))?.version, 'v3');
    t.is(await catalog.count(), 1);
  });

  check('a scan covers the root and what is below, in order of bytes', async (t, catalog) => {
    await catalog.putAll(PATHS.map((path) => recordOf(path)));
    const below = inUtf8Order(
      PATHS.filter((path) => path === 's3://b/a' || path.startsWith('s3://b/a/')),
    );
    t.deepEqual(await scanPaths(catalog, { root: 's3://b/a', limit: 100 }), below);
    t.deepEqual(await scanPaths(catalog, { root: '', limit: 100 }), inUtf8Order(PATHS));
    t.deepEqual(
      await scanPaths(catalog, { root: 's3://b/a/', limit: 100 }),
      below.filter((path) => path !== 's3://b/a'),
    );
    t.deepEqual(await scanPaths(catalog, { root: 's3://b', limit: 100 }).then((p) => p.length), 14);
    t.deepEqual(await scanPaths(catalog, { root: 's3://b/a.txt', limit: 9 }), ['s3://b/a.txt']);
    t.deepEqual(await scanPaths(catalog, { root: 's3://none', limit: 9 }), []);
  });

  check('pages of any size give the same listing', async (t, catalog) => {
    await catalog.putAll(PATHS.map((path) => recordOf(path)));
    for (const root of ['', 's3://b/a', 's3://b/', 's3://b']) {
      const whole = await scanPaths(catalog, { root, limit: 100 });
      for (const limit of [1, 2, 5]) {
        const paged: string[] = [];
        for (let after: string | undefined; ; after = paged.at(-1)) {
          const page = await scanPaths(catalog, {
            root,
            limit,
            ...(after === undefined ? {} : { after }),
          });
          t.true(page.length <= limit);
          if (page.length === 0 || paged.length > PATHS.length) break;
          paged.push(...page);
        }
        t.deepEqual(paged, whole, `root '${root}', pages of ${limit}`);
      }
    }
    const beyond = { root: 's3://b/a', after: 's3://z', limit: 5 };
    t.deepEqual(await scanPaths(catalog, beyond), []);
    t.deepEqual(await scanPaths(catalog, { root: 's3://b/a', after: 'a', limit: 1 }), ['s3://b/a']);
  });

  check('what a pass holds is counted as it is stored now', async (t, catalog) => {
    const [one, two, later] = [jobId('j/1.1'), jobId('k/1.1'), jobId('j/1.2')];
    const paths = ['r', 'r/a', 'r/a\u{1f600}', 'r/b'];
    const held = (path: string, holder: JobId, isNew: boolean): HeldRecord => ({
      ...{ record: recordOf(path), holder, isNew },
    });
    await catalog.hold([...paths, 'elsewhere'].map((path) => held(path, one, true)));
    await catalog.hold([held('r/b', two, false)]);
    await catalog.hold([held('r/b', two, false), held('r/c', two, false)]);
    const sumOf = (...records: FileRecord[]): string =>
      formatDigest(records.map((record) => recordDigest(record)).reduce(addDigests, 0n));
    const all = sumOf(...paths.map((path) => recordOf(path)));
    t.deepEqual(await catalog.heldInventory(one, 'r'), { recordCount: 4, digest: all });
    t.is((await catalog.heldInventory(one, '')).recordCount, 5);
    t.is((await catalog.heldInventory(two, 'r')).digest, sumOf(recordOf('r/b'), recordOf('r/c')));
    await catalog.putAll([recordOf('r/b', 'v2')]);
    await catalog.delete('r/a');
    t.is((await catalog.heldInventory(one, 'r')).recordCount, 3);
    t.is(
      (await catalog.heldInventory(two, 'r')).digest,
      sumOf(recordOf('r/b', 'v2'), recordOf('r/c')),
    );
    t.deepEqual(await catalog.get('r/b'), recordOf('r/b', 'v2'), 'holders do not show');
    t.deepEqual(await catalog.scan({ root: 'r/b', limit: 1 }), [recordOf('r/b', 'v2')]);
    await catalog.hold([held('r/b', later, false)]);
    t.is((await catalog.get('r/b'))?.version, 'v2', 'what is there stays');
    t.is((await catalog.heldInventory(later, 'r')).recordCount, 1);
    t.is((await catalog.heldInventory(one, 'r')).recordCount, 2, 'an earlier pass let go');
    t.is((await catalog.heldInventory(two, 'r')).recordCount, 2);
    t.is(await catalog.count(), 5);
  });

  check('a pass may hold more than a page of records', async (t, catalog) => {
    const holder = jobId('j/1.1');
    const records = Array.from({ length: 2500 }, (_unused, n) => recordOf(`p/${n}`));
    await catalog.hold(records.map((record) => ({ record, holder, isNew: true })));
    t.is((await catalog.heldInventory(holder, 'p')).recordCount, 2500);
    t.is(await catalog.count(), 2500);
  });

  check('the count follows every change', async (t, catalog) => {
    const seed = testSeed(8);
    const random = new SeededRandom(seed);
    const model = new Set<string>();
    const pending: Promise<void>[] = [];
    for (let step = 0; step < 120; step++) {
      const path = `p${randomInt(random, 30)}`;
      if (randomInt(random, 3) === 0) {
        model.delete(path);
        pending.push(catalog.delete(path));
      } else {
        const other = `p${randomInt(random, 30)}`;
        model.add(path).add(other);
        pending.push(catalog.putAll([recordOf(path), recordOf(other)]));
      }
    }
    await Promise.all(pending);
    t.is(await catalog.count(), model.size, `SEED=${seed}`);
    t.deepEqual(await scanPaths(catalog, { root: '', limit: 100 }), inUtf8Order([...model]));
  });
}
