/** Owners die, come back, and join while a job is under way. */
import test from 'ava';
import {
  expectBytes,
  expectBytesFromCache,
  expectLoaded,
  pathOf,
  segmentCountOf,
} from './expect.ts';
import { expectResident } from './held.ts';
import { SEGMENT_BYTES, Stage } from './stage.ts';

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

test.serial('owner: kill -9 in the middle of its segments moves its work', async (t) => {
  const data = stage.addFiles({ count: 24 });
  stage.slowReads(250);
  const load = await stage.load(data, { replicas: 2 });
  const leader = await stage.cluster.waitForLeader();
  const owner = stage.cluster.runningPeers.find((peer) => peer !== leader);
  const before = await load.isUnderWay();
  const startMs = performance.now();
  await owner?.kill();
  const ended = await load.succeeds();
  t.log(`ended ${Math.round(performance.now() - startMs)} ms after the owner died`);
  t.true(ended.epoch > before.epoch, 'the ring goes on without the dead owner');
  await expectLoaded(t, load);

  await owner?.start();
  await owner?.waitReady();
  await stage.restore();
  await expectBytes(t, stage, data.keys, [owner ?? leader]);
  const again = await stage.load(data, { replicas: 2 });
  await again.succeeds();
  await expectLoaded(t, again);
});

test.serial('owner: kill -9 and a restart at once lose no segment', async (t) => {
  const data = stage.addFiles({ count: 24 });
  stage.slowReads(250);
  const load = await stage.load(data, { replicas: 2 });
  const leader = await stage.cluster.waitForLeader();
  const owner = stage.cluster.runningPeers.find((peer) => peer !== leader);
  await load.isUnderWay();
  await owner?.restart();
  await load.succeeds();
  // Its links may be up, and its inventory given, before it answers clients.
  await owner?.waitReady();
  await expectLoaded(t, load);
});

test.serial('owner: all peers restarted in the middle of a job finish it', async (t) => {
  const data = stage.addFiles({ count: 24 });
  stage.slowReads(250);
  const load = await stage.load(data, { replicas: 2 });
  await load.isUnderWay();
  const fetchedBefore = stage.origin.getsBelow(data.prefix).length;
  await Promise.all(stage.cluster.peers.map((peer) => peer.kill()));
  const startMs = performance.now();
  await Promise.all(stage.cluster.peers.map((peer) => peer.start()));
  const status = await load.reaches(() => true, 'an answer of a new leader');
  t.log(`known again after ${Math.round(performance.now() - startMs)} ms, as ${status.state}`);
  await load.succeeds();
  const fetches = stage.origin.getsBelow(data.prefix).length;
  t.log(
    `${fetchedBefore} fetches before, ${fetches} in all, of ${segmentCountOf(stage, data.keys)} segments`,
  );
  await expectLoaded(t, load);
});

test.serial('owner: a peer that joins in the middle of a job gets its share', async (t) => {
  const data = stage.addFiles({ count: 24 });
  // So slow that most of it is still to come when the peer is ready, however long that takes.
  stage.slowReads(3_000);
  const load = await stage.load(data, { replicas: 2 });
  const before = await load.isUnderWay();
  const joined = await stage.cluster.addPeer();
  stage.calm();
  const ended = await load.succeeds();
  t.true(ended.epoch > before.epoch);
  await expectLoaded(t, load);
  const { id } = await joined.api.self();
  const row = ended.peers.find(({ peerId }) => peerId === id);
  t.true((row?.segmentCount ?? 0) > 0, 'the job stored segments on the new peer');
});

test.serial('reads: go on without quorum and without the origin', async (t) => {
  const replicas = stage.cluster.peers.length;
  const everywhere = stage.addFiles({ count: 6 });
  await (await stage.load(everywhere, { replicas })).succeeds();
  const once = stage.addFiles({ count: 40, sizeBytes: SEGMENT_BYTES });
  await (await stage.load(once)).succeeds();
  await expectResident(t, stage, everywhere, replicas);
  const [survivor, ...others] = stage.cluster.peers;
  if (survivor === undefined) throw new Error('no peer');
  const { id } = await survivor.api.self();
  const held: string[] = [];
  for (const key of once.keys) {
    const { segments } = await survivor.api.placement(pathOf(key));
    if (segments.length > 0 && segments.every(({ residentOn }) => residentOn.includes(id))) {
      held.push(key);
    }
  }
  await Promise.all(others.map((peer) => peer.kill()));
  stage.script({ action: { kind: 'reset', at: -1 } });
  await expectBytesFromCache(t, stage, everywhere.keys, [survivor]);

  // Of what has one copy, the survivor serves its part; the rest is an error, never other bytes.
  t.log(`${held.length} of ${once.keys.length} files with one copy lie on the survivor`);
  t.true(held.length > 0 && held.length < once.keys.length);
  await expectBytesFromCache(t, stage, held, [survivor]);
  const [lost = ''] = once.keys.filter((key) => !held.includes(key) && !key.endsWith('/empty'));
  await t.throwsAsync(survivor.api.readFile(pathOf(lost)), { message: /50\d|terminated/ });
  // A leader that lost its followers needs an election timeout to know.
  await stage.cluster.waitFor(
    async () => (await fetch(`${survivor.restUrl}/readyz`)).status === 503,
    'the survivor to be not ready for loads',
  );
  t.is((await fetch(`${survivor.restUrl}/readyz?check=read`)).status, 200);
  t.true(survivor.running);
});
