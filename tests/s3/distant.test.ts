/** What another peer holds and the thread reads there by itself: never old, and never wrong. */
import test, { type ExecutionContext } from 'ava';
import { waitFor } from '../support/wait-for.ts';
import { cut, DistantWorld, garbage, more, mute, shorter, type Wire } from './distant-world.ts';
import { ask, readWhileLoading, SIZE } from './standing-reads.ts';
import { SEGMENT, versionBytes } from './standing-world.ts';
import { signed } from './support.ts';

const KIB = 1024;
const RANGE = { from: 10, length: 60_000 };
const HEADERS = { range: `bytes=${RANGE.from}-${RANGE.from + RANGE.length - 1}` };

async function expectVersion(
  t: ExecutionContext,
  { reader }: DistantWorld,
  number: number,
): Promise<void> {
  const { status, body } = await ask(reader, '/b/a', { headers: HEADERS });
  const { from, length } = RANGE;
  const expected = versionBytes('a', number, SIZE).subarray(from, from + length);
  t.is(status, 206);
  t.true(body.equals(expected), `version ${number}`);
}

/** Warm: neither main thread hears of the range any more. */
async function warm(t: ExecutionContext, world: DistantWorld, number: number): Promise<void> {
  await expectVersion(t, world, number);
  await expectVersion(t, world, number);
  const [asked, opened] = [world.reader.askedCount, world.openedCount];
  await expectVersion(t, world, number);
  t.is(world.reader.askedCount, asked, 'the main thread of the reader was asked');
  t.is(world.openedCount, opened, 'the main thread of the home was asked');
}

test('distant: whatever is asked again is answered alike, by threads alone', async (t) => {
  await using world = await DistantWorld.open();
  const { reader } = world;
  const bytes = versionBytes('a', 1, SIZE);
  const { version } = await world.home.load('a', bytes);
  await warm(t, world, 1);
  const etag = `"${version.replaceAll('"', '')}"`;
  for (const headers of [
    { range: 'bytes=0-0' },
    { range: `bytes=${64 * KIB}-${128 * KIB - 1}` },
    { range: `bytes=${64 * KIB - 5}-${128 * KIB - 6}` },
    { range: `bytes=${SIZE - 5}-` },
    { range: 'bytes=-1' },
    { range: 'bytes=7-70', 'if-match': etag },
  ]) {
    const first = await ask(reader, '/b/a', { headers });
    const asked = reader.askedCount;
    t.deepEqual(await ask(reader, '/b/a', { headers }), first);
    t.is(reader.askedCount, asked, `the main thread was asked again for ${headers.range}`);
    const [begin, end] = first.headers['content-range']?.match(/\d+/g)?.map(Number) ?? [];
    t.true(first.body.equals(bytes.subarray(begin, (end ?? 0) + 1)), headers.range);
  }
});

test("distant: who is refused, and what is more than a block, is the main thread's", async (t) => {
  await using world = await DistantWorld.open();
  const { reader } = world;
  await world.home.load('a', versionBytes('a', 1, SIZE));
  await warm(t, world, 1);
  const host = new URL(reader.endpoint).host;
  const wrong = signed({ method: 'GET', target: '/b/a', host, secret: 'another' });
  for (const [status, method, headers] of [
    [403, 'GET', { ...wrong, ...HEADERS }],
    [412, 'GET', { ...HEADERS, 'if-match': '"other"' }],
    [206, 'GET', { range: `bytes=0-${64 * KIB}` }],
    [206, 'GET', { range: `bytes=${SEGMENT - 1}-${SEGMENT}` }],
    [200, 'HEAD', {}],
  ] as const) {
    const asked = reader.askedCount;
    t.is((await ask(reader, '/b/a', { method, headers })).status, status);
    t.is(reader.askedCount, asked + 1, `${method} ${status} was not the main thread's`);
  }
});

test('distant: what the home loads anew, drops or forgets is not answered as it was', async (t) => {
  await using world = await DistantWorld.open();
  const { home, reader } = world;
  for (let number = 1; number < 5; number++) {
    await home.load('a', versionBytes('a', number, SIZE));
    await warm(t, world, number);
  }
  const { path, version } = await home.load('a', versionBytes('a', 5, SIZE));
  await warm(t, world, 5);
  await home.store.drop({ path, version, segmentSizeBytes: SEGMENT, index: 0 });
  const asked = reader.askedCount;
  await expectVersion(t, world, 5);
  t.is(reader.askedCount, asked + 1, 'a segment that was dropped came from its place');
  await home.catalog.delete(path);
  home.under.delete(path);
  t.is((await ask(reader, '/b/a', { headers: HEADERS })).status, 404);
});

test('distant: members, rules and frees are looked at here and at the home', async (t) => {
  await using world = await DistantWorld.open();
  await world.home.load('a', versionBytes('a', 1, SIZE));
  for (const { marks } of [world.reader, world.home]) {
    await warm(t, world, 1);
    marks.raiseAll();
    const asked = world.reader.askedCount;
    await expectVersion(t, world, 1);
    t.is(world.reader.askedCount, asked + 1, 'nobody looked at what has changed');
  }
});

const WIRES: readonly (readonly [string, Wire])[] = [
  ['says nothing', mute],
  ['is cut off', cut],
  ['sends garbage', garbage],
  ['sends more', more],
  ['sends something else', shorter],
];

for (const [what, wire] of WIRES) {
  test(`distant: a home that ${what} is replaced, and asked again later`, async (t) => {
    await using world = await DistantWorld.open(wire === mute ? { shortMaxMs: 3000 } : {});
    await world.home.load('a', versionBytes('a', 1, SIZE));
    await warm(t, world, 1);
    world.break(wire);
    const asked = world.reader.askedCount;
    await expectVersion(t, world, 1);
    t.is(world.reader.askedCount, asked + 1);
    const { connectionCount } = world;
    await expectVersion(t, world, 1);
    t.is(world.connectionCount, connectionCount, 'it was asked again at once');
  });
}

test('distant: a client that leaves costs the answer, and nobody else anything', async (t) => {
  await using world = await DistantWorld.open();
  await world.home.load('a', versionBytes('a', 1, SIZE));
  await warm(t, world, 1);
  world.break(mute);
  const gone = new AbortController();
  const left = fetch(`${world.reader.endpoint}/b/a`, { headers: HEADERS, signal: gone.signal });
  setTimeout(() => {
    gone.abort();
  }, 20);
  await t.throwsAsync(left, { any: true });
  world.break(undefined);
  await expectVersion(t, world, 1);
});

test('distant: what was read there counts as read', async (t) => {
  await using world = await DistantWorld.open();
  const { reader } = world;
  await world.home.load('a', versionBytes('a', 1, SIZE));
  await warm(t, world, 1);
  const ownCount = 3 - reader.askedCount;
  await waitFor(() => reader.reads.reduce((sum, { count }) => sum + count, 0) === ownCount, {
    what: 'the reads to be told',
  });
  t.true(reader.reads.every(({ from }) => from === 'peer'));
  await waitFor(() => world.notedCount > 0, { what: 'the home to hear of its reads' });
});

test('distant: readers of files that are loaded anew and evicted see one version, and no old one', async (t) => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  t.log(`SEED=${seed}`);
  await using world = await DistantWorld.open({ capacityBytes: 3 * 1024 * KIB });
  const { home, reader } = world;
  const checkedCount = await readWhileLoading({ seed, loads: home, reads: reader });
  t.log(`${checkedCount} ranges, ${checkedCount - reader.askedCount} of them without being asked`);
  t.true(reader.askedCount < checkedCount, 'the thread answered nothing by itself');
  t.true(home.store.usage().evictedSegmentCount > 0, 'nothing was evicted');
});
