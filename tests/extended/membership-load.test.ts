/**
 * Members come and go while loads run and readers read: what was loaded moves from peer to peer,
 * copies are restored without being asked for, every load ends right, and no read fails.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { expectBytesFromCache, expectFewFetches, expectLoaded } from '../fault/expect.ts';
import {
  currentView,
  followerOf,
  memberIdOf,
  PATIENT,
  readSteadily,
  suspicionsOf,
  waitUntilInOrder,
  waitUntilResident,
} from '../fault/members.ts';
import { PARALLEL_FETCHES, Stage } from '../fault/stage.ts';

test.serial(
  'membership under load: two join and one leaves, a load runs, readers read',
  async (t) => {
    await using stage = await Stage.open({ peers: 3 });
    const kept = stage.addFiles({ count: 16 });
    await (await stage.load(kept, { replicas: 2 })).succeeds();
    const before = stage.origin.getsBelow(kept.prefix).length;
    const leaver = await followerOf(stage);
    await using reader = readSteadily(stage, kept, () =>
      stage.cluster.peers.filter((peer) => peer.serves && peer !== leaver),
    );

    const data = stage.addFiles({ count: 24 });
    stage.slowReads(250);
    const load = await stage.load(data, { replicas: 2 });
    await load.isUnderWay();
    await Promise.all([stage.cluster.addPeer(), stage.cluster.addPeer()]);
    const stays = stage.cluster.runningPeers.find((peer) => peer !== leaver);
    await stays?.api.removeMember(await memberIdOf(leaver));
    await load.succeeds();
    await stage.cluster.waitFor(() => !leaver.running, 'the leaver to end', 60_000);
    t.deepEqual(await leaver.stop(), { code: 0, signal: null });
    stage.cluster.drop(leaver);
    stage.calm();
    const { epoch } = await currentView(stage);
    await waitUntilResident(stage, kept, 2, epoch - 1);
    await waitUntilResident(stage, data, 2, epoch - 1);
    await expectLoaded(t, load);
    // Nobody dies; but on a busy host somebody may be silent for so long that others take over.
    expectFewFetches(t, load, { repeatedMaxCount: suspicionsOf(stage) * PARALLEL_FETCHES });
    await reader.expectUnhurt(t);
    t.is(stage.origin.getsBelow(kept.prefix).length - before, 0, 'bytes asked of the origin');
    await expectBytesFromCache(t, stage, kept.keys);
  },
);

test.serial('membership under load: a peer comes back with an empty cache', async (t) => {
  await using stage = await Stage.open({ peers: 3, env: PATIENT });
  const kept = stage.addFiles({ count: 16 });
  await (await stage.load(kept, { replicas: 2 })).succeeds();
  const before = stage.origin.getsBelow(kept.prefix).length;
  const { epoch } = await currentView(stage);
  await using reader = readSteadily(stage, kept);
  // Else a walk that the load asked for would still be under way, and see what is missing.
  await waitUntilInOrder(stage);
  const peer = await followerOf(stage);
  await peer.kill();
  await rm(join(peer.dataDir, 'cache'), { recursive: true });
  await peer.start();
  await peer.waitReady();
  await waitUntilResident(stage, kept, 2, epoch - 1);
  t.is((await currentView(stage)).epoch, epoch, 'the ring stayed as it was');
  await reader.expectUnhurt(t);
  t.is(stage.origin.getsBelow(kept.prefix).length - before, 0, 'bytes asked of the origin');
  await expectBytesFromCache(t, stage, kept.keys);
});
