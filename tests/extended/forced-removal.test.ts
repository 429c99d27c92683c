/** Members that are taken out by force, quickly one after the other: the others keep their quorum. */
import test from 'ava';
import { expectBytes, expectLoaded } from '../fault/expect.ts';
import { currentView, memberIdOf, waitForRoles, waitUntilResident } from '../fault/members.ts';
import { Stage } from '../fault/stage.ts';

test.serial(
  'forced removal: two live voters of three at once, the third leads alone',
  async (t) => {
    await using stage = await Stage.open({ peers: 3 });
    await waitForRoles(stage, ['voter', 'voter', 'voter']);
    const data = stage.addFiles({ count: 4 });
    await (await stage.load(data, { replicas: 3 })).succeeds();
    const leader = await stage.cluster.waitForLeader();
    const others = stage.cluster.peers.filter((peer) => peer !== leader);
    const ids = await Promise.all(others.map(memberIdOf));
    await Promise.all(ids.map((id) => leader.api.removeMember(id, true)));
    for (const peer of others) {
      await stage.cluster.waitFor(() => !peer.running, 'a removed peer to end');
      t.deepEqual(await peer.stop(), { code: 0, signal: null });
      stage.cluster.drop(peer);
    }
    const { members } = await currentView(stage);
    t.deepEqual(
      members.map(({ role }) => role),
      ['leader'],
    );
    await expectBytes(t, stage, data.keys, [leader]);
    await (await stage.load(stage.addFiles({ count: 4 }))).succeeds();
  },
);

test.serial(
  'forced removal: the leader, asked for at itself, another one takes over',
  async (t) => {
    await using stage = await Stage.open({ peers: 3 });
    await waitForRoles(stage, ['voter', 'voter', 'voter']);
    const leader = await stage.cluster.waitForLeader();
    await leader.api.removeMember(await memberIdOf(leader), true);
    await stage.cluster.waitFor(() => !leader.running, 'the removed leader to end');
    t.deepEqual(await leader.stop(), { code: 0, signal: null });
    stage.cluster.drop(leader);
    await (await stage.load(stage.addFiles({ count: 4 }), { replicas: 2 })).succeeds();
    t.is((await currentView(stage)).members.length, 2);
  },
);

test.serial('forced removal: two dead voters of five, both replaced', async (t) => {
  await using stage = await Stage.open({ peers: 5 });
  await waitForRoles(stage, ['voter', 'voter', 'voter', 'voter', 'voter']);
  const data = stage.addFiles({ count: 12 });
  await (await stage.load(data, { replicas: 3 })).succeeds();
  const leader = await stage.cluster.waitForLeader();
  const dead = stage.cluster.peers.filter((peer) => peer !== leader).slice(0, 2);
  const ids = await Promise.all(dead.map(memberIdOf));
  await Promise.all(dead.map((peer) => peer.kill()));
  const { epoch } = await currentView(stage);
  // Asked at different peers, so that neither knows of the other request.
  const askers = stage.cluster.runningPeers;
  await Promise.all(
    ids.map(async (id, position) => {
      await askers[position]?.api.removeMember(id, true);
    }),
  );
  const voters = async (): Promise<number> => {
    const { members } = await currentView(stage);
    return members.filter(({ role }) => role !== 'learner').length;
  };
  t.is((await currentView(stage)).members.length, 3);
  await stage.cluster.waitFor(async () => (await voters()) === 3, 'three of three to vote');
  for (const peer of dead) stage.cluster.drop(peer);
  await stage.cluster.addPeer();
  await stage.cluster.addPeer();
  await stage.cluster.waitFor(async () => (await voters()) === 5, 'five to vote again');
  await waitUntilResident(stage, data, 3, epoch);
  const load = await stage.load(stage.addFiles({ count: 4 }), { replicas: 3 });
  await load.succeeds();
  await expectLoaded(t, load);
  await expectBytes(t, stage, data.keys);
});
