/**
 * Whatever a dead leader had done is not done again: fetches are counted by the origin, segment by
 * segment, never by the product.
 */
import test from 'ava';
import { type Asserts, expectLoaded, segmentCountOf } from '../fault/expect.ts';
import type { Load } from '../fault/load.ts';
import { type FileSet, PARALLEL_FETCHES, Stage } from '../fault/stage.ts';

/** As the test clusters have it. */
const CHECKPOINT_INTERVAL_MS = 300;
const PEER_COUNT = 3;

let stage: Stage;
test.before(async () => {
  stage = await Stage.open({
    peers: PEER_COUNT,
    // No more is ordered than runs at once: in flight is what peers and lanes make, however long
    // it takes until another leader asks for the results.
    env: {
      RINGLOAD_LOAD_WINDOW_TASKS: PARALLEL_FETCHES,
      RINGLOAD_LOAD_BATCH_SIZE: PARALLEL_FETCHES,
    },
  });
});
test.serial.beforeEach(async () => {
  await stage.restore();
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
});

/** Kills the leader, brings it back at once (it may lead again), and tells when it died. */
async function killLeader(): Promise<number> {
  const leader = await stage.cluster.waitForLeader();
  await leader.kill();
  const diedMs = performance.now();
  await leader.start();
  return diedMs;
}

/** Requests for segments that had been asked for before. */
function repeatedFetches(files: FileSet): readonly { atMs: number }[] {
  const seen = new Set<string>();
  return stage.origin.getsBelow(files.prefix).filter(({ key, headers }) => {
    const range = `${key} ${headers.range}`;
    const isRepeated = seen.has(range);
    seen.add(range);
    return isRepeated;
  });
}

/**
 * Asked for a second time is at most what was in flight at each death, and what was begun since
 * the last checkpoint before it.
 */
function expectExactResume(t: Asserts, load: Load, deaths: readonly number[]): void {
  const gets = stage.origin.getsBelow(load.files.prefix);
  const sinceCheckpoint = gets.filter(({ atMs }) =>
    deaths.some((diedMs) => atMs <= diedMs && atMs > diedMs - CHECKPOINT_INTERVAL_MS),
  ).length;
  const inFlightMaxCount = deaths.length * PEER_COUNT * PARALLEL_FETCHES;
  const repeated = repeatedFetches(load.files).length;
  const segments = segmentCountOf(stage, load.files.keys);
  t.log(
    `${repeated} of ${segments} segments fetched again; ${inFlightMaxCount} may be in flight, ` +
      `${sinceCheckpoint} were begun since the last checkpoint`,
  );
  t.true(repeated <= inFlightMaxCount + sinceCheckpoint, stage.cluster.logs());
}

test.serial('resume: a leader killed while listing lets nothing be fetched again', async (t) => {
  const data = stage.addFiles({ count: 120, sizeBytes: 5_000 });
  stage.slowListing(400, 10);
  const load = await stage.load(data, { replicas: 2 });
  const seen = await load.reaches(({ counters }) => counters.loadedFiles >= 12, 'a page and more');
  t.false(seen.listingDone);
  const leader = await stage.cluster.waitForLeader();
  await leader.kill();
  const diedMs = performance.now();
  // Without a leader the answer is the last checkpoint.
  const [follower] = stage.cluster.runningPeers;
  const checkpoint = await follower?.api.job(load.id);
  await leader.start();
  await load.succeeds();
  await expectLoaded(t, load);
  expectExactResume(t, load, [diedMs]);

  const [first] = stage.origin.requests.filter(
    ({ operation, atMs, query }) =>
      operation === 'list' && atMs > diedMs && query.get('prefix') === data.prefix,
  );
  const after = first?.query.get('start-after');
  t.log(`${checkpoint?.counters.loadedFiles} files in the checkpoint, listed on after ${after}`);
  // A later checkpoint may have reached a follower that did not know yet that it is committed.
  const known = checkpoint?.stale === true ? checkpoint.counters.listedFiles : 0;
  const from = after === undefined ? 0 : data.keys.indexOf(after) + 1;
  t.true(from >= known, `listed on from ${from}, ${known} are in the checkpoint`);
});

test.serial('resume: a leader killed while loading costs what was in flight', async (t) => {
  const data = stage.addFiles({ count: 40 });
  stage.slowReads(100);
  const load = await stage.load(data, { replicas: 2 });
  await load.isUnderWay();
  const diedMs = await killLeader();
  await load.succeeds();
  await expectLoaded(t, load);
  expectExactResume(t, load, [diedMs]);
});

test.serial('resume: three leaders killed in one job cost what was in flight', async (t) => {
  const data = stage.addFiles({ count: 48 });
  stage.slowReads(100);
  const load = await stage.load(data, { replicas: 2 });
  await load.isUnderWay();
  const deaths: number[] = [];
  while (deaths.length < 3) {
    const before = await load.status();
    deaths.push(await killLeader());
    const status = await load.reaches(
      ({ term, counters, state }) =>
        term > before.term &&
        (counters.loadedBytes > before.counters.loadedBytes || state !== 'RUNNING'),
      'more than before',
    );
    t.is(status.state, 'RUNNING', 'the load came too fast for the story');
  }
  await load.succeeds();
  await expectLoaded(t, load);
  expectExactResume(t, load, deaths);
});

test.serial('resume: a leader killed while verifying lets nothing be fetched again', async (t) => {
  const data = stage.addFiles({ count: 40, sizeBytes: 100_000 });
  stage.slowListing(300, 10);
  const load = await stage.load(data, { replicas: 2, verify: true });
  await load.reaches(({ state, pass }) => state === 'VERIFYING' && pass > 1, 'verification');
  const diedMs = await killLeader();
  await load.succeeds();
  await expectLoaded(t, load);
  t.deepEqual(
    repeatedFetches(data).filter(({ atMs }) => atMs > diedMs),
    [],
  );
});
