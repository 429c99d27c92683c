import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { randomInt, SeededRandom } from '../../src/base/random.ts';
import { checkPath } from '../../src/residence/check-path.ts';
import type { CheckedFile, CheckReport } from '../../src/residence/report.ts';
import { PEERS, ResidenceWorld, SEGMENT } from './support.ts';

const [P1, P2, P3] = PEERS as [(typeof PEERS)[0], (typeof PEERS)[0], (typeof PEERS)[0]];

async function check(
  world: ResidenceWorld,
  path = 's3://b/a',
  asksStore = true,
): Promise<{ files: CheckedFile[]; report: CheckReport }> {
  const files: CheckedFile[] = [];
  const options = {
    ...{ path, network: world.network, placement: world.placement, segmentSizeBytes: SEGMENT },
    newestOf: <T>(records: readonly T[]): T | undefined => records.at(-1),
    ...(asksStore && { store: world.under }),
  };
  for await (const event of checkPath(options, new AbortController().signal)) {
    if ('report' in event) return { files, report: event.report };
    files.push(event.file);
  }
  throw new Error('no report');
}

test('check: tells the share of each file by copies and by peer', async (t) => {
  const world = new ResidenceWorld();
  await world.load('s3://b/a/1', 25, [P1, P2]);
  const partly = await world.load('s3://b/a/2', 25, [P1, P2]);
  const { path, version, segmentSizeBytes } = partly;
  for (const index of [0, 2])
    await world.at(P2).store.drop({ path, version, segmentSizeBytes, index });
  await world.at(P1).store.drop({ path, version, segmentSizeBytes, index: 0 });
  world.under.put('s3://b/a/3', new Uint8Array(7));
  world.under.put('s3://b/ab', new Uint8Array(7));
  const { files, report } = await check(world);
  t.deepEqual(files, [
    {
      ...{ path: 's3://b/a/1', sizeBytes: 25, state: 'loaded', replicaBytes: [25, 25] },
      peerBytes: { [P1]: 25, [P2]: 25 },
    },
    {
      ...{ path: 's3://b/a/2', sizeBytes: 25, state: 'loaded', replicaBytes: [15, 10] },
      peerBytes: { [P1]: 15, [P2]: 10 },
    },
    { path: 's3://b/a/3', sizeBytes: 7, state: 'not-loaded', replicaBytes: [0], peerBytes: {} },
  ]);
  t.deepEqual(report, {
    ...{ path: 's3://b/a', files: 3, sizeBytes: 57, residentFiles: 1, residentBytes: 40 },
    states: { loaded: 2, outdated: 0, 'not-loaded': 1, gone: 0, unchecked: 0 },
    ...{ replicaBytes: [40, 35], peerBytes: { [P1]: 40, [P2]: 35 }, unanswered: [] },
  });
});

test('check: what changed, or went, since it was loaded counts as what it is', async (t) => {
  const world = new ResidenceWorld();
  await world.load('s3://b/a/1', 20, [P1, P2]);
  await world.load('s3://b/a/2', 20, [P1]);
  const object = world.under.put('s3://b/a/1', new Uint8Array(30));
  world.under.delete('s3://b/a/2');
  await world.hold(
    P3,
    { ...object, segmentSizeBytes: SEGMENT, segmented: true, replicaCount: 1 },
    1,
  );
  const { files } = await check(world);
  t.like(files, [
    { state: 'outdated', sizeBytes: 30, replicaBytes: [10, 0], peerBytes: { [P3]: 10 } },
    { state: 'gone', replicaBytes: [20] },
  ]);
});

test('check: without the under store the catalogues say which files there are', async (t) => {
  const world = new ResidenceWorld();
  await world.load('s3://b/a/1', 20, [P1]);
  const cached = await check(world, 's3://b/a', false);
  t.like(cached.files, [{ state: 'unchecked', replicaBytes: [20] }]);
  t.is(cached.report.storeError, undefined);
  world.under.onCall = () => {
    throw new RingloadError('ufs_unavailable', 'it is away');
  };
  const { files, report } = await check(world);
  t.like(files, [{ state: 'unchecked', replicaBytes: [20] }]);
  t.is(report.storeError, 'ufs_unavailable: it is away');
});

test('check: who could not be asked is named', async (t) => {
  const world = new ResidenceWorld();
  await world.load('s3://b/a/1', 20, [P1, P2]);
  world.away.add(P2);
  const { files, report } = await check(world);
  t.like(files, [{ replicaBytes: [20, 0] }]);
  t.deepEqual(report.unanswered, [P2]);
});

test('check: empty files are cached whole, in their place among the others', async (t) => {
  const world = new ResidenceWorld();
  for (const name of ['1', '2', '3', '4']) {
    await world.load(`s3://b/a/${name}`, name === '2' || name === '4' ? 0 : 15, [P1]);
  }
  const { files, report } = await check(world);
  t.deepEqual(
    files.map(({ path }) => path.at(-1)),
    ['1', '2', '3', '4'],
  );
  t.is(report.residentFiles, 4);
});

test('check: questions are bounded, for many small files and for one large one', async (t) => {
  const world = new ResidenceWorld();
  for (let n = 0; n < 2500; n += 1) world.under.put(`s3://b/a/${n}`, new Uint8Array(1 + (n % 30)));
  const large = world.under.put('s3://b/a/x', new Uint8Array(25_000));
  const record = { ...large, segmentSizeBytes: SEGMENT, segmented: true, replicaCount: 1 };
  for (const index of [0, 999, 1000, 2499]) await world.hold(P1, record, index);
  const { files, report } = await check(world);
  t.is(files.length, 2501);
  t.deepEqual(files.at(-1)?.replicaBytes, [40]);
  t.is(report.files, 2501);
  t.true(world.largestQuestion <= 1000);
});

/** `CHECK_SEED=n` replays one world. */
const given = process.env['CHECK_SEED'];
const first = given === undefined ? Math.floor(Math.random() * 2 ** 30) : Number(given);
const count = given === undefined ? 40 : 1;

test('check: the sums are those of the copies that lie there', async (t) => {
  for (let seed = first; seed < first + count; seed += 1) {
    const random = new SeededRandom(seed);
    const pick = (bound: number): number => randomInt(random, bound);
    const world = new ResidenceWorld();
    const expected = new Map<string, number>();
    for (let n = 0; n < 15; n += 1) {
      const path = `s3://b/a/${pick(4)}/${n}`;
      const record = await world.load(path, pick(60), [P1, P2]);
      for (const peer of [P1, P2]) {
        for (let index = 0; index * SEGMENT < record.sizeBytes; index += 1) {
          const { version, segmentSizeBytes } = record;
          const key = { path, version, segmentSizeBytes, index };
          if (pick(3) === 0) await world.at(peer).store.drop(key);
          else {
            const length = Math.min(SEGMENT, record.sizeBytes - index * SEGMENT);
            expected.set(peer, (expected.get(peer) ?? 0) + length);
          }
        }
      }
    }
    const { files, report } = await check(world);
    t.deepEqual(report.peerBytes, Object.fromEntries(expected), `CHECK_SEED=${seed}`);
    const sum = files.reduce((total, { replicaBytes }) => total + (replicaBytes[0] ?? 0), 0);
    t.is(sum, report.residentBytes);
    t.is(files.length, 15);
  }
});
