/**
 * Longer stories of members under load, beside those of tests/fault: a death for good, restarts in
 * turn and of all at once, and a data directory that was copied.
 */
import test from 'ava';
import { expectBytesFromCache, expectFewFetches, expectLoaded, pathOf } from '../fault/expect.ts';
import { expectResident } from '../fault/held.ts';
import type { Load } from '../fault/load.ts';
import {
  currentView,
  followerOf,
  memberIdOf,
  PATIENT,
  readSteadily,
  waitForRoles,
  waitUntilResident,
} from '../fault/members.ts';
import { PARALLEL_FETCHES, Stage } from '../fault/stage.ts';

/** What was fetched so far has its second copy: one more peer may go without a loss. */
async function everyCopyIsMade(stage: Stage, load: Load): Promise<void> {
  const { prefix } = load.files;
  const fetched = new Set(stage.origin.getsBelow(prefix).map(({ key }) => key));
  // What is asked for in this moment has a bit of time to arrive.
  const complete = [...fetched].slice(0, -PARALLEL_FETCHES);
  await stage.cluster.waitFor(
    async () => {
      for (const key of complete) {
        const placed = await stage.cluster.runningPeers[0]?.api.placement(pathOf(key));
        const counts = placed?.segments.map(({ residentOn }) => residentOn.length) ?? [];
        if (!counts.every((count) => count === 0 || count >= load.replicaCount)) return false;
      }
      return true;
    },
    'every segment that was fetched to have its copies',
    60_000,
  );
}

test.serial('membership under load: one dies for good, another one takes its place', async (t) => {
  await using stage = await Stage.open({
    peers: 3,
    env: { RINGLOAD_RAFT_REPLACE_VOTER_AFTER_MS: 4_000 },
  });
  await waitForRoles(stage, ['voter', 'voter', 'voter']);
  const kept = stage.addFiles({ count: 16 });
  await (await stage.load(kept, { replicas: 2 })).succeeds();
  const before = stage.origin.getsBelow(kept.prefix).length;
  const dead = await followerOf(stage);
  await using reader = readSteadily(stage, kept);

  const data = stage.addFiles({ count: 24 });
  stage.slowReads(250);
  const load = await stage.load(data, { replicas: 2 });
  await load.isUnderWay();
  const id = await memberIdOf(dead);
  await dead.kill();
  const { epoch } = await currentView(stage);
  stage.cluster.drop(dead);
  await stage.cluster.addPeer();
  await load.succeeds();
  stage.calm();
  await waitUntilResident(stage, kept, 2, epoch + 1);
  await expectLoaded(t, load);
  expectFewFetches(t, load, { repeatedMaxCount: 3 * PARALLEL_FETCHES });
  await waitForRoles(stage, ['voter', 'voter', 'voter']);
  await stage.cluster.runningPeers[0]?.api.removeMember(id, true);
  t.is((await currentView(stage)).members.length, 3);
  await reader.expectUnhurt(t);
  t.is(stage.origin.getsBelow(kept.prefix).length - before, 0, 'bytes asked of the origin');
  await expectResident(t, stage, kept, 2);
  await expectBytesFromCache(t, stage, kept.keys);
});

test.serial('membership under load: every peer restarts in turn', async (t) => {
  await using stage = await Stage.open({ peers: 3, env: PATIENT });
  const kept = stage.addFiles({ count: 16 });
  await (await stage.load(kept, { replicas: 2 })).succeeds();
  const before = stage.origin.getsBelow(kept.prefix).length;
  await using reader = readSteadily(stage, kept);
  const data = stage.addFiles({ count: 40 });
  stage.slowReads(250);
  const load = await stage.load(data, { replicas: 2 });
  await load.isUnderWay();
  for (const peer of stage.cluster.peers) {
    t.deepEqual(await peer.stop(), { code: 0, signal: null }, peer.logs());
    await peer.start();
    await peer.waitReady();
    await everyCopyIsMade(stage, load);
  }
  const state = (await load.status()).state;
  t.log(`after the last restart the load is ${state}`);
  await load.succeeds();
  stage.calm();
  await stage.restore();
  await expectLoaded(t, load);
  expectFewFetches(t, load, { repeatedMaxCount: 3 * 2 * PARALLEL_FETCHES });
  await reader.expectUnhurt(t);
  t.is(stage.origin.getsBelow(kept.prefix).length - before, 0, 'bytes asked of the origin');
});

test.serial(
  'membership under load: all end at once and come back, the first one alone',
  async (t) => {
    await using stage = await Stage.open({ peers: 3 });
    const kept = stage.addFiles({ count: 8 });
    await (await stage.load(kept, { replicas: 3 })).succeeds();
    const data = stage.addFiles({ count: 24 });
    stage.slowReads(250);
    const load = await stage.load(data, { replicas: 2 });
    await load.isUnderWay();
    const order = [...stage.cluster.peers].sort(() => Math.random() - 0.5);
    await Promise.all(stage.cluster.peers.map((peer) => peer.kill()));
    const [first, ...others] = order;
    if (first === undefined) throw new Error('no peer');
    t.log(`the order is ${order.map(({ index }) => index).join(', ')}`);

    // Alone: no quorum, hence not ready, but what it has is read.
    stage.script({ action: { kind: 'status', status: 503, code: 'SlowDown' } });
    await first.start();
    await stage.cluster.waitFor(
      async () => (await first.api.cluster()).stale,
      'the first to answer',
    );
    await expectBytesFromCache(t, stage, kept.keys, [first]);
    t.false(await first.api.ready());
    stage.slowReads(50);
    for (const peer of others) await peer.start();
    await load.succeeds();
    await stage.restore();
    await expectLoaded(t, load);
    expectFewFetches(t, load, { repeatedMaxCount: 3 * PARALLEL_FETCHES });
  },
);

test.serial(
  'membership: a data directory that was cloned does not run beside the original',
  async (t) => {
    await using stage = await Stage.open({ peers: 3 });
    const kept = stage.addFiles({ count: 8 });
    await (await stage.load(kept, { replicas: 2 })).succeeds();
    await using reader = readSteadily(stage, kept);
    const original = await followerOf(stage);
    await original.stop();
    const clone = await stage.cluster.clonePeer(original);
    await original.start();
    await original.waitReady();
    // The first start has the original's generation, the next one a later one.
    for (const attempt of [1, 2]) {
      await clone.start();
      await stage.cluster.waitFor(() => !clone.running, `the clone to end, ${attempt}`, 60_000);
      t.is((await clone.stop())?.code, 78, clone.logs());
      t.true(original.running, original.logs());
    }
    await stage.cluster.waitFor(() => original.api.ready(), 'the original to be ready');
    await reader.expectUnhurt(t);
    const load = await stage.load(stage.addFiles({ count: 4 }), { replicas: 3 });
    await load.succeeds();
  },
);

test.serial(
  'membership: a peer that was removed while it heard nothing ends all the same',
  async (t) => {
    await using stage = await Stage.open({ peers: 3 });
    await waitForRoles(stage, ['voter', 'voter', 'voter']);
    const removed = await followerOf(stage);
    const id = await memberIdOf(removed);
    const other = stage.cluster.peers.find((peer) => peer !== removed);
    removed.pause();
    // Its links are closed by then: what is decided from now on does not reach it.
    await stage.cluster.waitFor(async () => {
      const { members } = await currentView(stage);
      return members.some((member) => member.id === id && member.state === 'down');
    }, 'the paused peer to be taken for dead');
    await other?.api.removeMember(id, true);
    removed.resume();
    await stage.cluster.waitFor(() => !removed.running, 'the removed peer to end', 60_000);
    t.deepEqual(await removed.stop(), { code: 0, signal: null }, removed.logs());
  },
);
