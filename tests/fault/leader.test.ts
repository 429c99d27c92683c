/** The leader dies, sleeps and leaves while a job lists, loads and verifies. */
import test, { type ExecutionContext } from 'ava';
import type { Peer } from '../support/peer-process.ts';
import { expectFewFetches, expectLoaded } from './expect.ts';
import type { Load } from './load.ts';
import { PARALLEL_FETCHES, Stage } from './stage.ts';

let stage: Stage;
test.before(async () => {
  stage = await Stage.open();
});
test.serial.beforeEach(async () => {
  await stage.restore();
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
});

/** The leader is gone; tells how long until another one leads and until the job goes on. */
async function measureOutage(
  t: ExecutionContext,
  load: Load,
  leader: Peer,
  fell: () => unknown,
): Promise<void> {
  const before = await load.status();
  const startMs = performance.now();
  await fell();
  await stage.cluster.waitForLeader({ other: leader });
  const ledMs = performance.now() - startMs;
  const far = (status: typeof before): number =>
    1e12 * status.pass + status.counters.listedFiles + status.counters.loadedBytes;
  await load.reaches(
    (status) =>
      status.term > before.term && (far(status) > far(before) || status.state === 'SUCCEEDED'),
    'more than before the leader went',
  );
  const progressMs = performance.now() - startMs;
  t.log(`another leader after ${ms(ledMs)}, more progress after ${ms(progressMs)}`);
}
const ms = (time: number): string => `${Math.round(time)} ms`;

test.serial('leader: kill -9 while listing loses no file and lists none twice', async (t) => {
  const data = stage.addFiles({ count: 200, sizeBytes: 5_000 });
  stage.slowListing(250, 20);
  const load = await stage.load(data, { replicas: 2 });
  const leader = await stage.cluster.waitForLeader();
  const seen = await load.reaches(({ counters }) => counters.listedFiles >= 40, 'two pages');
  t.false(seen.listingDone);
  await measureOutage(t, load, leader, () => leader.kill());
  await load.succeeds();
  await expectLoaded(t, load);
  expectFewFetches(t, load, { repeatedMaxCount: 2 * PARALLEL_FETCHES });
});

test.serial('leader: kill -9 while loading costs at most what was in flight', async (t) => {
  const data = stage.addFiles({ count: 24 });
  stage.slowReads(200);
  const load = await stage.load(data, { replicas: 2 });
  const leader = await stage.cluster.waitForLeader();
  await load.isUnderWay();
  await measureOutage(t, load, leader, () => leader.kill());
  await load.succeeds();
  await expectLoaded(t, load);
});

test.serial('leader: kill -9 while verifying leads to the same verdict', async (t) => {
  const data = stage.addFiles({ count: 40, sizeBytes: 100_000 });
  stage.slowListing(400, 10);
  const load = await stage.load(data, { replicas: 2, verify: true });
  const leader = await stage.cluster.waitForLeader();
  await load.reaches(({ state, pass }) => state === 'VERIFYING' && pass > 1, 'verification');
  const fetchesBefore = stage.origin.getsBelow(data.prefix).length;
  await measureOutage(t, load, leader, () => leader.kill());
  await load.succeeds();
  t.log(`${stage.origin.getsBelow(data.prefix).length - fetchesBefore} fetches by verification`);
  await expectLoaded(t, load);
});

test.serial('leader: paused past two elections and resumed, one outcome stands', async (t) => {
  const data = stage.addFiles({ count: 24 });
  stage.slowReads(200);
  const load = await stage.load(data, { replicas: 2 });
  const leader = await stage.cluster.waitForLeader();
  const before = await load.isUnderWay();
  await measureOutage(t, load, leader, () => {
    leader.pause();
  });
  const middle = await load.status();
  t.true(middle.term > before.term);
  // By now the others went on for a while under their own leader: orders of the old one are late.
  leader.resume();
  const ended = await load.succeeds();
  t.true(ended.term > before.term);
  await stage.restore();
  const views = await Promise.all(stage.cluster.peers.map(({ api }) => api.job(load.id)));
  t.deepEqual(
    views.map(({ state, digest, term }) => ({ state, digest, term })),
    views.map(() => ({ state: 'SUCCEEDED', digest: ended.digest, term: ended.term })),
  );
  await expectLoaded(t, load);
});

test.serial('leader: SIGTERM hands over, ends with 0, and the job goes on', async (t) => {
  const data = stage.addFiles({ count: 24 });
  stage.slowReads(200);
  const load = await stage.load(data, { replicas: 2 });
  const leader = await stage.cluster.waitForLeader();
  await load.isUnderWay();
  let ending: ReturnType<Peer['stop']> | undefined;
  await measureOutage(t, load, leader, () => {
    ending = leader.stop(20_000);
  });
  t.deepEqual(await ending, { code: 0, signal: null });
  t.notRegex(leader.logs(), /not handed over/);
  await load.succeeds();
  await expectLoaded(t, load);
});
