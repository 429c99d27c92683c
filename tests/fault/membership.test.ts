/** Peers join, leave, die and restart: votes and data follow, and readers notice nothing. */
import test from 'ava';
import { expectBytes, expectBytesFromCache } from './expect.ts';
import { expectResident } from './held.ts';
import {
  currentView,
  memberIdOf,
  readSteadily,
  waitForRoles,
  waitUntilInOrder,
  waitUntilResident,
} from './members.ts';
import { Stage } from './stage.ts';

test.serial(
  'membership: a peer joins as a learner and gets a vote when it makes sense',
  async (t) => {
    await using stage = await Stage.open({ peers: 1 });
    await waitForRoles(stage, ['voter']);
    await stage.cluster.addPeer();
    await waitForRoles(stage, ['voter', 'learner']);
    await stage.cluster.addPeer();
    await waitForRoles(stage, ['voter', 'voter', 'voter']);
    await stage.cluster.addPeer();
    await waitForRoles(stage, ['voter', 'voter', 'voter', 'learner']);
    await stage.cluster.addPeer();
    await waitForRoles(stage, ['voter', 'voter', 'voter', 'voter', 'voter']);
    t.is((await currentView(stage)).members.length, 5);
  },
);

for (const who of ['a follower', 'the leader'] as const) {
  test.serial(
    `membership: ${who} leaves, of one copy and of two nothing is fetched again and no read fails`,
    async (t) => {
      await using stage = await Stage.open({ peers: 4 });
      await waitForRoles(stage, ['voter', 'voter', 'voter', 'learner']);
      const sets = [1, 2].map((replicas) => ({ replicas, data: stage.addFiles({ count: 24 }) }));
      const expectAllResident = async (): Promise<void> => {
        for (const { data, replicas } of sets) await expectResident(t, stage, data, replicas);
      };
      for (const { data, replicas } of sets)
        await (await stage.load(data, { replicas })).succeeds();
      await expectAllResident();
      const leader = await stage.cluster.waitForLeader();
      const follower = stage.cluster.peers.find((peer) => peer !== leader);
      const leaver = who === 'the leader' ? leader : follower;
      if (leaver === undefined) throw new Error('no peer');
      const others = stage.cluster.peers.filter((peer) => peer !== leaver);
      const fetchesBefore = stage.origin.countOf('get');
      const keys = sets.flatMap(({ data }) => data.keys);
      await using reader = readSteadily(stage, { keys }, () => others);
      const id = await memberIdOf(leaver);
      await others[0]?.api.removeMember(id);
      await stage.cluster.waitFor(() => !leaver.running, 'the leaver to end', 60_000);
      t.deepEqual(await leaver.stop(), { code: 0, signal: null });
      const view = await currentView(stage);
      t.false(view.members.some((member) => member.id === id));
      await expectAllResident();
      await reader.expectUnhurt(t);
      t.is(stage.origin.countOf('get') - fetchesBefore, 0, 'bytes asked of the origin');
      await expectBytesFromCache(t, stage, keys);
      await stage.cluster.waitFor(async () => {
        const { members } = await currentView(stage);
        return members.filter(({ role }) => role !== 'learner').length === 3;
      }, 'three of three to vote');
    },
  );
}

test.serial(
  'membership: an owner dies while no job runs, and its copies are made again',
  async (t) => {
    await using stage = await Stage.open({ peers: 4 });
    const data = stage.addFiles({ count: 24 });
    await (await stage.load(data, { replicas: 2 })).succeeds();
    const fetchesBefore = stage.origin.countOf('get');
    const { epoch } = await currentView(stage);
    const leader = await stage.cluster.waitForLeader();
    await stage.cluster.peers.find((peer) => peer !== leader)?.kill();
    await waitUntilResident(stage, data, 2, epoch);
    await expectResident(t, stage, data, 2);
    const repair = await waitUntilInOrder(stage);
    const sum = (figure: 'movedSegments' | 'movedBytes' | 'leftSegments' | 'leftFiles'): number =>
      repair.reduce((total, each) => total + each[figure], 0);
    t.log(`${sum('movedSegments')} copies of ${sum('movedBytes')} bytes`);
    t.true(sum('movedSegments') > 0);
    t.true(sum('movedBytes') > 0);
    t.deepEqual([sum('leftSegments'), sum('leftFiles')], [0, 0]);
    t.is(stage.origin.countOf('get') - fetchesBefore, 0, 'bytes asked of the origin');
    await expectBytesFromCache(t, stage, data.keys);
  },
);

test.serial('membership: a voter that stays dead loses its vote to a learner', async (t) => {
  await using stage = await Stage.open({
    peers: 4,
    env: { RINGLOAD_RAFT_REPLACE_VOTER_AFTER_MS: 4_000 },
  });
  await waitForRoles(stage, ['voter', 'voter', 'voter', 'learner']);
  const leader = await stage.cluster.waitForLeader();
  const dead = stage.cluster.peers.slice(0, 3).find((peer) => peer !== leader);
  if (dead === undefined) throw new Error('no voter');
  await dead.kill();
  const wanted = stage.cluster.peers.map((peer) => (peer === dead ? 'learner' : 'voter'));
  await waitForRoles(stage, wanted);
  await dead.start();
  await dead.waitReady();
  t.is((await currentView(stage)).members.length, 4);
  const data = stage.addFiles({ count: 4 });
  await (await stage.load(data, { replicas: 2 })).succeeds();
});

test.serial('membership: one restart after the other, nothing is fetched again', async (t) => {
  await using stage = await Stage.open({ peers: 3 });
  const data = stage.addFiles({ count: 12 });
  await (await stage.load(data, { replicas: 2 })).succeeds();
  const fetchesBefore = stage.origin.countOf('get');
  for (const peer of stage.cluster.peers) {
    const others = stage.cluster.peers.filter((other) => other !== peer);
    await using reader = readSteadily(stage, data, () => others);
    t.deepEqual(await peer.stop(), { code: 0, signal: null }, peer.logs());
    await peer.start();
    await peer.waitReady();
    await reader.expectUnhurt(t);
  }
  await stage.restore();
  await expectResident(t, stage, data, 2);
  t.is(stage.origin.countOf('get') - fetchesBefore, 0, 'bytes asked of the origin');
  await expectBytesFromCache(t, stage, data.keys);
});

test.serial('membership: SIGTERM ends every peer of a cluster with 0', async (t) => {
  await using stage = await Stage.open({ peers: 3 });
  const leader = await stage.cluster.waitForLeader();
  const followers = stage.cluster.peers.filter((peer) => peer !== leader);
  for (const peer of [...followers, leader]) {
    t.deepEqual(await peer.stop(8_000), { code: 0, signal: null }, peer.logs());
    t.notRegex(peer.logs(), /not closed cleanly/);
  }
});

test.serial(
  'membership: what would break the cluster is refused, unless it is forced',
  async (t) => {
    await using stage = await Stage.open({ peers: 1 });
    const [founder] = stage.cluster.peers;
    if (founder === undefined) throw new Error('no peer');
    const own = await memberIdOf(founder);
    const status = (refused: unknown): unknown => (refused as { status?: number }).status;
    t.is(status(await t.throwsAsync(founder.api.removeMember(own))), 409);
    t.is(status(await t.throwsAsync(founder.api.removeMember(own, true))), 409);

    const second = await stage.cluster.addPeer();
    await waitForRoles(stage, ['voter', 'learner']);
    const data = stage.addFiles({ count: 4 });
    await (await stage.load(data, { replicas: 2 })).succeeds();
    const id = await memberIdOf(second);
    const refused = await t.throwsAsync(founder.api.removeMember(id));
    t.is(status(refused), 409);
    t.regex(refused.message, /2 copies/);
    t.is(status(await t.throwsAsync(second.api.removeMember(own, true))), 409, 'the only vote');
    await founder.api.removeMember(id, true);
    await stage.cluster.waitFor(() => !second.running, 'the removed peer to end');
    t.deepEqual(await second.stop(), { code: 0, signal: null });
    await expectBytes(t, stage, data.keys, [founder]);
  },
);

test.serial('membership: the only voter of two leaves, the other one takes over', async (t) => {
  await using stage = await Stage.open({ peers: 2 });
  await waitForRoles(stage, ['voter', 'learner']);
  const [founder, heir] = stage.cluster.peers;
  if (founder === undefined || heir === undefined) throw new Error('two peers');
  const data = stage.addFiles({ count: 8 });
  await (await stage.load(data)).succeeds();
  const fetchesBefore = stage.origin.countOf('get');
  await heir.api.removeMember(await memberIdOf(founder));
  await stage.cluster.waitFor(() => !founder.running, 'the founder to end', 60_000);
  t.deepEqual(await founder.stop(), { code: 0, signal: null });
  const view = await currentView(stage);
  t.deepEqual(
    view.members.map(({ role }) => role),
    ['leader'],
  );
  await expectBytesFromCache(t, stage, data.keys, [heir]);
  t.is(stage.origin.countOf('get') - fetchesBefore, 0);
});

test.serial(
  'membership: an owner that comes back does not bring back what was replaced',
  async (t) => {
    await using stage = await Stage.open({ peers: 3 });
    const data = stage.addFiles({ count: 12 });
    await (await stage.load(data, { replicas: 2 })).succeeds();
    const leader = await stage.cluster.waitForLeader();
    const away = stage.cluster.peers.find((peer) => peer !== leader);
    if (away === undefined) throw new Error('no follower');
    const { epoch } = await currentView(stage);
    await away.kill();
    await waitUntilResident(stage, data, 2, epoch);
    for (const key of data.keys) {
      stage.origin.objects.put(key, stage.origin.objects.find(key)?.sizeBytes ?? 0);
    }
    await (await stage.load(data, { replicas: 2 })).succeeds();
    await away.start();
    await away.waitReady();
    await stage.restore();
    const readers = stage.cluster.peers;
    await waitUntilResident(stage, data, 2, epoch + 1);
    for (const reader of readers) await expectBytes(t, stage, data.keys, [reader]);
    await expectResident(t, stage, data, 2);
  },
);
