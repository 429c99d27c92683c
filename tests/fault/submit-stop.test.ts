/** One job however often it is submitted; a stop that is final; a resume that goes on. */
import test from 'ava';
import type { Peer } from '../support/peer-process.ts';
import { expectLoaded, metricOf, segmentCountOf } from './expect.ts';
import { PARALLEL_FETCHES, Stage } from './stage.ts';

/** Fetches that were under way may start their last request so long after the stop. */
const STOP_GRACE_MS = 2_000;
/** How long the origin is watched after that. */
const WATCH_MS = 1_500;

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

test.serial('submit: the same path on all peers at once makes one job', async (t) => {
  const data = stage.addFiles({ count: 8 });
  stage.slowReads(100);
  const request = { path: data.path, replicas: 2 };
  const twice = [...stage.cluster.peers, ...stage.cluster.peers];
  const answers = await Promise.all(twice.map(({ api }) => api.submit(request)));
  t.is(new Set(answers.map(({ jobId }) => jobId)).size, 1);
  t.is(answers.filter(({ outcome }) => outcome === 'created').length, 1);
  t.is(answers.filter(({ outcome }) => outcome === 'already-running').length, twice.length - 1);
  const load = await stage.load(data, { replicas: 2 });
  t.true(answers.every(({ jobId }) => jobId === load.id));
  await load.succeeds();
  for (const { api } of stage.cluster.peers) t.is((await api.jobsOf(data.path)).length, 1);
  await expectLoaded(t, load);
  t.is(stage.origin.getsBelow(data.prefix).length, segmentCountOf(stage, data.keys));
});

/** Segments that the caches hold, each with one copy. */
async function residentCount(): Promise<number> {
  const counts = stage.cluster.peers.map((peer) => metricOf(peer, 'ringload_cache_segments'));
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

test.serial('stop: no fetch begins after it, and a resume fetches what is missing', async (t) => {
  const residentBefore = await residentCount();
  const data = stage.addFiles({ count: 40 });
  stage.slowReads(250);
  const load = await stage.load(data);
  await load.isUnderWay();
  const [peer] = stage.cluster.peers as [Peer];
  t.deepEqual(await peer.api.stop(load.id), { stopped: true });
  const stoppedMs = performance.now();
  await stage.cluster.waitFor(
    () => performance.now() > stoppedMs + STOP_GRACE_MS + WATCH_MS,
    'the watch to end',
  );
  const gets = stage.origin.getsBelow(data.prefix);
  const late = gets.filter(({ atMs }) => atMs > stoppedMs + STOP_GRACE_MS);
  t.deepEqual(late, []);
  t.log(`last fetch ${Math.round((gets.at(-1)?.atMs ?? 0) - stoppedMs)} ms after the stop`);
  t.is((await load.status()).state, 'STOPPED');
  const stored = (await residentCount()) - residentBefore;
  const missing = segmentCountOf(stage, data.keys) - stored;
  t.true(stored > 0 && missing > 0, `${stored} stored, ${missing} missing`);

  stage.calm();
  t.deepEqual(await peer.api.submit({ path: data.path }), { jobId: load.id, outcome: 'resumed' });
  await load.succeeds();
  t.is(stage.origin.getsBelow(data.prefix).length - gets.length, missing);
  await expectLoaded(t, load);
});

test.serial('stop: a stopped job stays stopped when its leader dies', async (t) => {
  const data = stage.addFiles({ count: 24 });
  stage.slowReads(250);
  const load = await stage.load(data);
  const leader = await stage.cluster.waitForLeader();
  await load.isUnderWay();
  await stage.cluster.peers[0]?.api.stop(load.id);
  const fetches = stage.origin.getsBelow(data.prefix).length;
  await leader.kill();
  await stage.cluster.waitForLeader({ other: leader });
  await stage.restore();
  t.is((await load.status()).state, 'STOPPED');
  const later = stage.origin.getsBelow(data.prefix).length - fetches;
  t.true(later <= 3 * PARALLEL_FETCHES, `${later} fetches after the stop`);
});
