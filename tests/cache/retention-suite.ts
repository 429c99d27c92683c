/** What every segment store keeps and lets go of by rules, run on each implementation. */
import type { ExecutionContext, TestFn } from 'ava';

import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError } from '../../src/base/errors.ts';
import { jobId } from '../../src/base/ids.ts';
import type { PathRule } from '../../src/base/path-rule.ts';
import { randomInt, SeededRandom } from '../../src/base/random.ts';
import type { Retention } from '../../src/cache/retention.ts';
import type { Admission, SegmentKey } from '../../src/cache/segment-store.ts';
import { RuleBook } from '../../src/cluster/rule-book.ts';
import { retentionOf } from '../../src/node/retention-of.ts';
import { bytesOf, checksumsOf, loadBytes, testSeed, type TestStore } from './support/fixtures.ts';

/** Of a store that can keep 48 of them, of which one region's worth is lost to compaction. */
const SIZE = 16 * 1024;
const JOB = jobId('00000000-0000-4000-8000-00000000000a');

const keyAt = (path: string): SegmentKey => ({
  path,
  version: 'v1',
  segmentSizeBytes: SIZE,
  index: 0,
});

const rulesOf = (...rules: PathRule[]): Retention => retentionOf(new RuleBook(rules), 1);

async function put(
  store: TestStore,
  path: string,
  admission: Admission = 'wanted',
  job?: typeof JOB,
): Promise<void> {
  const bytes = bytesOf(path.length, SIZE);
  const reservation = await store.reserve(keyAt(path), SIZE, job, admission);
  await store.write(reservation.extent, 0, bytes);
  await reservation.commit(checksumsOf(bytes));
}

const has = async (store: TestStore, path: string): Promise<boolean> =>
  (await store.lookup(keyAt(path))) !== undefined;

async function countOf(store: TestStore, root: string): Promise<number> {
  let count = 0;
  for await (const { key } of store.segments()) if (key.path.startsWith(root)) count += 1;
  return count;
}

/** Files `root/0` … `root/count-1`. */
async function fill(
  store: TestStore,
  root: string,
  count: number,
  admission?: Admission,
): Promise<void> {
  for (let n = 0; n < count; n += 1) await put(store, `${root}/${n}`, admission);
}

/** @param create makes a store that can keep 768 KiB. */
export function retentionSuite(
  test: TestFn,
  name: string,
  create: (clock: ManualClock) => Promise<{ readonly store: TestStore } & AsyncDisposable>,
): void {
  const check = (
    title: string,
    body: (t: ExecutionContext, store: TestStore, clock: ManualClock) => Promise<void>,
  ): void => {
    test(`${name}: ${title}`, async (t) => {
      const clock = new ManualClock();
      await using under = await create(clock);
      await body(t, under.store, clock);
    });
  };

  check('what is pinned is never evicted, before and after the rule', async (t, store) => {
    await fill(store, 's3://b/early', 6);
    await store.setRetention(
      rulesOf({ path: 's3://b/early', pinned: true }, { path: 's3://b/late', pinned: true }),
    );
    await fill(store, 's3://b/late', 6);
    await fill(store, 's3://b/x', 150);
    t.is(await countOf(store, 's3://b/early/'), 6);
    t.is(await countOf(store, 's3://b/late/'), 6);
    t.is(store.usage().pinnedBytes, 12 * SIZE);
    t.deepEqual(await loadBytes(store, keyAt('s3://b/early/0')), bytesOf(14, SIZE));
    await store.setRetention(rulesOf({ path: 's3://b/late', pinned: true }));
    await fill(store, 's3://b/y', 150);
    t.is(await countOf(store, 's3://b/early/'), 0, 'unpinned, it goes as the others do');
    t.is(await countOf(store, 's3://b/late/'), 6);
  });

  check('when all is pinned the load is told so, and nothing is lost', async (t, store) => {
    await store.setRetention(rulesOf({ path: 's3://b', pinned: true }));
    let count = 0;
    const error = await t.throwsAsync(
      async () => {
        for (; count < 100; count += 1) await put(store, `s3://b/${count}`);
      },
      { instanceOf: RingloadError },
    );
    t.is(error.code, 'cache_full');
    t.regex(error.message, /rules pin \d+/);
    t.true(count >= 16, `${count} segments`);
    t.is(await countOf(store, 's3://b/'), count);
    t.is(store.usage().evictedSegmentCount, 0);
    await store.setRetention(rulesOf());
    await put(store, 's3://b/more');
  });

  check('low goes before medium, medium before high', async (t, store) => {
    await store.setRetention(
      rulesOf({ path: 's3://b/low', priority: 'low' }, { path: 's3://b/high', priority: 'high' }),
    );
    await fill(store, 's3://b/high', 8);
    await fill(store, 's3://b/medium', 8);
    await fill(store, 's3://b/low', 16);
    // Why twice as often: a region goes as a whole, so what lies beside the low ones is moved.
    await fill(store, 's3://b/new', 24);
    t.is(await countOf(store, 's3://b/high/'), 8);
    t.is(await countOf(store, 's3://b/medium/'), 8, 'there was enough of low priority');
    t.true((await countOf(store, 's3://b/low/')) <= 8);
    await fill(store, 's3://b/newer', 100);
    t.is(await countOf(store, 's3://b/high/'), 8);
    t.is(await countOf(store, 's3://b/medium/'), 0);
    t.is(await countOf(store, 's3://b/low/'), 0);
    await store.setRetention(rulesOf({ path: 's3://b', priority: 'high' }));
    await fill(store, 's3://b/newest', 100);
    t.is(await countOf(store, 's3://b/high/'), 0, 'where all is high, high goes, too');
  });

  check('a pin is by path component, and the longest path decides', async (t, store) => {
    await store.setRetention(
      rulesOf(
        { path: 's3://b/a', pinned: true },
        {
          path: 's3://b/a/not',
          pinned: false,
        },
      ),
    );
    for (const path of ['s3://b/a/1', 's3://b/ab', 's3://b/a/not/1']) await put(store, path);
    await fill(store, 's3://b/x', 150);
    t.true(await has(store, 's3://b/a/1'));
    t.false(await has(store, 's3://b/ab'));
    t.false(await has(store, 's3://b/a/not/1'));
  });

  check(
    'what is older than its rule allows is let go of, leased and pinned stay',
    async (t, store, clock) => {
      await store.setRetention(
        rulesOf({ path: 's3://b/tmp', ttlMs: 10_000 }, { path: 's3://b/tmp/keep', pinned: true }),
      );
      await put(store, 's3://b/tmp/1');
      await put(store, 's3://b/tmp/keep/1');
      await put(store, 's3://b/tmp/busy', 'wanted', JOB);
      await put(store, 's3://b/other');
      clock.advance(6000);
      await put(store, 's3://b/tmp/2');
      clock.advance(3999);
      t.is(await store.expire(), 0);
      clock.advance(1);
      t.is(await store.expire(), 1);
      t.false(await has(store, 's3://b/tmp/1'));
      clock.advance(60_000);
      t.is(await store.expire(), 1);
      t.false(await has(store, 's3://b/tmp/2'));
      store.releaseLease(JOB);
      t.is(await store.expire(), 1);
      t.is(await countOf(store, 's3://b/'), 2);
      await store.setRetention(rulesOf({ path: 's3://b/other', ttlMs: 1000 }));
      t.is(await store.expire(), 1, 'a rule that comes later counts from when the segment came');
      t.true(await has(store, 's3://b/tmp/keep/1'));
    },
  );

  check(
    'a quota is kept to the byte, the oldest of its path goes first',
    async (t, store, clock) => {
      await store.setRetention(rulesOf({ path: 's3://b/q', quotaBytes: 4 * SIZE + SIZE / 2 }));
      for (let n = 0; n < 9; n += 1) {
        clock.advance(1000);
        await put(store, `s3://b/q/${n}`);
        await put(store, `s3://b/free/${n}`);
        t.true((await countOf(store, 's3://b/q/')) <= 4);
      }
      t.is(await countOf(store, 's3://b/q/'), 4);
      for (const n of [5, 6, 7, 8]) t.true(await has(store, `s3://b/q/${n}`));
      t.is(await countOf(store, 's3://b/free/'), 9);
    },
  );

  check(
    'a quota counts what is being filled, all rules above a path, and tells when it is used up',
    async (t, store) => {
      await store.setRetention(
        rulesOf(
          { path: 's3://b/q', quotaBytes: 3 * SIZE },
          { path: 's3://b/q/in', quotaBytes: SIZE },
        ),
      );
      const open = [];
      for (const n of [1, 2, 3]) open.push(await store.reserve(keyAt(`s3://b/q/${n}`), SIZE, JOB));
      const refused = async (path: string): Promise<RingloadError> =>
        t.throwsAsync(store.reserve(keyAt(path), SIZE), { instanceOf: RingloadError });
      t.like(await refused('s3://b/q/4'), { code: 'cache_full' });
      t.regex((await refused('s3://b/q/in/4')).message, /quota of s3:\/\/b\/q /);
      await put(store, 's3://b/other');
      open.pop()?.abort();
      await put(store, 's3://b/q/in/1');
      t.is(await countOf(store, 's3://b/q/'), 1);
      for (const reservation of open) reservation.abort();
      await put(store, 's3://b/q/in/2');
      t.deepEqual(
        [await has(store, 's3://b/q/in/1'), await has(store, 's3://b/q/in/2')],
        [false, true],
      );
      await put(store, 's3://b/q/5', 'wanted', JOB);
      await put(store, 's3://b/q/6', 'wanted', JOB);
      await put(store, 's3://b/q/7', 'wanted', JOB);
      t.like(await refused('s3://b/q/8'), { code: 'cache_full' });
      t.is(await countOf(store, 's3://b/q/'), 3, 'and what was there is there');
    },
  );

  /** Hits among reads of hot files, while a scan passes through. */
  const hitRate = async (store: TestStore, admission: Admission): Promise<number> => {
    const random = new SeededRandom(testSeed(7));
    let hits = 0;
    let reads = 0;
    for (let step = 0; step < 1500; step += 1) {
      // Between 60 hot reads a scan of 40 files, nearly as many as the cache holds.
      const isHot = step % 100 < 60;
      const path = isHot ? `s3://b/hot/${randomInt(random, 20)}` : `s3://b/scan/${step}`;
      const isHit = (await loadBytes(store, keyAt(path))) !== undefined;
      if (!isHit) {
        await put(store, path, admission);
        // A read through is followed by the read itself, in two ranges.
        for (const _ of [1, 2]) await loadBytes(store, keyAt(path));
      }
      if (!isHot || step < 300) continue;
      reads += 1;
      if (isHit) hits += 1;
    }
    return hits / reads;
  };

  check('a scan does not wash out what is read again and again', async (t, store, clock) => {
    const onTrial = await hitRate(store, 'trial');
    await using other = await create(clock);
    const all = await hitRate(other.store, 'wanted');
    t.log(
      `hits of hot reads: ${(100 * onTrial).toFixed(1)} % on trial, ${(100 * all).toFixed(1)} % without`,
    );
    t.true(onTrial >= 0.97, `${onTrial}`);
    t.true(onTrial > all, `${onTrial} > ${all}`);
  });

  check('what comes again after it was evicted on trial is wanted', async (t, store) => {
    await put(store, 's3://b/once', 'trial');
    await fill(store, 's3://b/scan', 150, 'trial');
    t.false(await has(store, 's3://b/once'));
    await put(store, 's3://b/once', 'trial');
    await fill(store, 's3://b/scan2', 100, 'trial');
    t.true(await has(store, 's3://b/once'));
  });

  check(
    'rules come and go in any order, and hold for all that is there',
    async (t, store, clock) => {
      const random = new SeededRandom(testSeed(11));
      const pick = (bound: number): number => randomInt(random, bound);
      const roots = ['s3://b/a', 's3://b/a/x', 's3://b/c'];
      const pinned = new Set<string>();
      let rules: PathRule[] = [];
      for (let step = 0; step < 250; step += 1) {
        if (pick(12) === 0) {
          rules = roots.flatMap((path): PathRule[] =>
            pick(3) === 0
              ? [{ path, pinned: true }]
              : pick(2) === 0
                ? [{ path, priority: 'low' }]
                : [],
          );
          await store.setRetention(rulesOf(...rules));
          const book = new RuleBook(rules);
          pinned.clear();
          for await (const { key } of store.segments())
            if (book.effective(key.path).pinned === true) pinned.add(key.path);
        }
        const path = `${roots[pick(3)] ?? 's3://b'}/${step}`;
        // Why few of what is pinned: the rest has to have room.
        const isPinned = new RuleBook(rules).effective(path).pinned === true;
        if (isPinned && pinned.size > 10) continue;
        try {
          await put(store, path);
          if (isPinned) pinned.add(path);
        } catch (thrown) {
          t.is((thrown as RingloadError).code, 'cache_full');
        }
        clock.advance(pick(3000));
        for (const each of pinned) t.true(await has(store, each), `step ${step}: ${each}`);
      }
    },
  );
}
