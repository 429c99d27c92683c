/** What the thread answers by itself: the same as the main thread would, and never what was. */
import test, { type ExecutionContext } from 'ava';
import { waitFor } from '../support/wait-for.ts';
import { ask, readWhileLoading, SIZE } from './standing-reads.ts';
import { SEGMENT, StandingWorld, versionBytes } from './standing-world.ts';
import { signed } from './support.ts';

const KIB = 1024;
/** The same request until the thread answers it: what stands is told after the answer. */
async function askTwice(
  t: ExecutionContext,
  world: StandingWorld,
  ...request: [target: string, options?: { method?: string; headers?: Record<string, string> }]
): Promise<void> {
  const first = await ask(world, ...request);
  const asked = world.askedCount;
  t.deepEqual(await ask(world, ...request), first);
  t.is(world.askedCount, asked, `the main thread was asked again for ${request[0]}`);
}

test('standing: whatever is asked twice is answered alike, the second time by the thread', async (t) => {
  await using world = await StandingWorld.open();
  const bytes = versionBytes('a', 1, SIZE);
  const { version } = await world.load('a', bytes);
  await world.load('empty', Buffer.alloc(0));
  for (const range of [
    'bytes=0-0',
    'bytes=5-65540',
    `bytes=${128 * KIB}-${192 * KIB - 1}`,
    'bytes=-1',
    `bytes=${SIZE - 5}-`,
    `bytes=${SIZE - 1}-99999999`,
  ]) {
    await askTwice(t, world, '/b/a', { headers: { range } });
  }
  const headers = { range: 'bytes=5-65540' };
  const { body } = await ask(world, '/b/a', { headers });
  t.true(body.equals(bytes.subarray(5, 65541)));
  await askTwice(t, world, '/b/a', { method: 'HEAD' });
  await askTwice(t, world, '/b/empty');
  const etag = `"${version.replaceAll('"', '')}"`;
  await askTwice(t, world, '/b/a', { headers: { ...headers, 'if-match': etag } });
  await askTwice(t, world, '/b/a', { headers: { 'if-none-match': etag } });
  await askTwice(t, world, '/b/a', { headers: { ...headers, 'if-range': etag } });
  const host = new URL(world.endpoint).host;
  const signature = signed({ method: 'GET', target: '/b/a', host });
  await askTwice(t, world, '/b/a', { headers: { ...signature, range: 'bytes=0-9' } });
});

test("standing: who is refused, and what is more than a short range, is the main thread's", async (t) => {
  await using world = await StandingWorld.open();
  await world.load('a', versionBytes('a', 1, SIZE));
  await ask(world, '/b/a', { headers: { range: 'bytes=0-9' } });
  await ask(world, '/b/a', { headers: { range: 'bytes=262144-262145' } });
  const host = new URL(world.endpoint).host;
  const wrong = signed({ method: 'GET', target: '/b/a', host, secret: 'another' });
  const old = signed({ method: 'GET', target: '/b/a', host, at: new Date(Date.now() - 3_600_000) });
  const range = 'bytes=0-9';
  for (const [status, target, headers] of [
    [403, '/b/a', { ...wrong, range }],
    [403, '/b/a', { ...old, range }],
    [416, '/b/a', { range: `bytes=${SIZE}-` }],
    [412, '/b/a', { range, 'if-match': '"other"' }],
    [400, '/b/a?response-content-type=text/html', { range }],
    [501, '/b/a?acl', { range }],
    [404, '/b/b', { range }],
    [206, '/b/a', { range: 'bytes=262140-262150' }],
    [206, '/b/a', { range: 'bytes=0-300000' }],
    [200, '/b/a', {}],
  ] as const) {
    const asked = world.askedCount;
    t.is((await ask(world, target, { headers })).status, status, `${target} ${range}`);
    t.is(world.askedCount, asked + 1, `${target} was not the main thread's`);
  }
});

test('standing: nothing that was replaced, dropped or forgotten is answered', async (t) => {
  await using world = await StandingWorld.open();
  const range = { headers: { range: 'bytes=10-100' } };
  const expect = async (number: number): Promise<void> => {
    const { body } = await ask(world, '/b/a', range);
    t.true(body.equals(versionBytes('a', number, SIZE).subarray(10, 101)), `version ${number}`);
  };
  for (let number = 1; number < 6; number++) {
    await world.load('a', versionBytes('a', number, SIZE));
    await expect(number);
    await expect(number);
  }
  const record = await world.load('a', versionBytes('a', 6, SIZE));
  await expect(6);
  const key = { path: record.path, version: record.version, segmentSizeBytes: SEGMENT, index: 0 };
  await world.store.drop(key);
  const asked = world.askedCount;
  await expect(6);
  t.is(world.askedCount, asked + 1, 'a segment that was dropped was served from its place');
  await world.catalog.delete(record.path);
  world.under.delete(record.path);
  t.is((await ask(world, '/b/a', range)).status, 404);
});

test('standing: what the thread served counts as read', async (t) => {
  await using world = await StandingWorld.open();
  await world.load('a', versionBytes('a', 1, SIZE));
  for (let n = 0; n < 10; n++) await ask(world, '/b/a', { headers: { range: 'bytes=0-99' } });
  const own = 10 - world.askedCount;
  await waitFor(() => world.reads.reduce((sum, { count }) => sum + count, 0) === own, {
    what: 'the reads to be told',
  });
  t.is(
    world.reads.reduce((sum, { bytes }) => sum + bytes, 0),
    100 * own,
  );
});

test('standing: readers of files that are loaded anew and evicted see one version, and no old one', async (t) => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  t.log(`SEED=${seed}`);
  await using world = await StandingWorld.open(3 * 1024 * KIB);
  const checkedCount = await readWhileLoading({ seed, loads: world, reads: world });
  t.true(world.askedCount < checkedCount, 'the thread answered nothing by itself');
  t.true(world.store.usage().evictedSegmentCount > 0, 'nothing was evicted');
});
