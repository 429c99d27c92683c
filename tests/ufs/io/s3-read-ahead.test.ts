/** Pages side by side over the wire: what an S3 store is asked, and what comes of it. */
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { ReadAhead } from '../../../src/job/read-ahead.ts';
import { ObjectSet } from '../../../src/sample/object-set.ts';
import { startSampleStore } from '../../../src/sample/sample-store.ts';
import { S3UnderStore } from '../../../src/ufs/io/s3-under-store.ts';
import { comparePaths } from '../../../src/ufs/path.ts';
import { ODD_KEYS } from '../../support/odd-keys.ts';
import { ufsDependencies } from '../../support/ufs-dependencies.ts';

const BUCKET = 'bucket';
const ROOT = `s3://${BUCKET}`;
const PAGE_SIZE = 100;

test('read ahead: S3 is asked for eight pages at once, and for few more than there are', async (t) => {
  const objects = new ObjectSet();
  for (let number = 0; number < 6_000; number++) {
    objects.put(`data/part-${String(number).padStart(6, '0')}.parquet`, 1);
  }
  for (const key of ODD_KEYS) objects.put(key, 1);
  let requestCount = 0;
  let runningCount = 0;
  let runningMaxCount = 0;
  await using origin = await startSampleStore({
    bucket: BUCKET,
    objects,
    intercept: async (request, proceed) => {
      requestCount += 1;
      runningMaxCount = Math.max(runningMaxCount, ++runningCount);
      await delay(20);
      runningCount -= 1;
      return proceed(request);
    },
  });
  const { endpoint } = origin;
  const credentials = { kind: 'anonymous' } as const;
  const mount = { path: ROOT, endpoint, region: 'us-east-1', credentials };
  const store = new S3UnderStore(mount, ufsDependencies());
  const { signal } = new AbortController();
  const pages = new ReadAhead({
    root: ROOT,
    isKeyed: store.listsByKey,
    list: (request) => store.list({ root: ROOT, ...request }, signal),
  });
  const listed: string[] = [];
  let page = await pages.next(undefined, PAGE_SIZE);
  for (; ; page = await pages.next(page.cursor, PAGE_SIZE)) {
    listed.push(...page.objects.map(({ path }) => path));
    if (page.done) break;
  }
  await store.close();
  const expected = [...objects.following('')].map(({ key }) => `${ROOT}/${key}`);
  t.deepEqual(listed, expected);
  t.deepEqual(listed, [...listed].sort(comparePaths));
  t.is(runningMaxCount, 8);
  t.log(`${requestCount} requests for ${Math.ceil(expected.length / PAGE_SIZE)} pages`);
  t.true(requestCount <= 1.5 * (expected.length / PAGE_SIZE), `${requestCount} requests`);
});
