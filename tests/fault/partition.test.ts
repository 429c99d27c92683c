/** The network falls apart between peers and heals. Linux: proxies on further loopback addresses. */
import { platform } from 'node:process';
import type { Peer } from '../support/peer-process.ts';
import { requires } from '../support/requires.ts';
import { expectLoaded } from './expect.ts';
import { Stage } from './stage.ts';

const onLinux = requires(platform === 'linux' ? undefined : 'Linux (127.0.1.0/24 is loopback)');

onLinux('partition: the leader cut off and healed, one outcome stands', async (t) => {
  await using stage = await Stage.open({ proxied: true });
  const data = stage.addFiles({ count: 24 });
  stage.slowReads(250);
  const load = await stage.load(data, { replicas: 2 });
  const leader = await stage.cluster.waitForLeader();
  const before = await load.isUnderWay();
  const others = stage.cluster.peers.filter((peer) => peer !== leader);

  const startMs = performance.now();
  stage.cluster.partition([leader], others);
  await stage.cluster.waitForLeader({ other: leader });
  t.log(`another leader after ${Math.round(performance.now() - startMs)} ms`);
  const during = await load.reaches(({ term }) => term > before.term, 'a later term');
  t.log(`known to it after ${Math.round(performance.now() - startMs)} ms, ${during.state}`);
  // The one that was cut off cannot confirm anything, and says so.
  const alone = await leader.api.job(load.id);
  t.true(alone.stale);
  t.true((await leader.api.cluster()).stale);

  stage.cluster.heal();
  const ended = await load.succeeds();
  await agreed(stage, load.id);
  const views = await Promise.all(stage.cluster.peers.map(({ api }) => api.job(load.id)));
  t.deepEqual(
    views.map(({ state, digest }) => ({ state, digest })),
    views.map(() => ({ state: 'SUCCEEDED', digest: ended.digest })),
  );
  await stage.restore();
  await expectLoaded(t, load);
});

onLinux('partition: one way, an owner that cannot answer does not hold the job up', async (t) => {
  await using stage = await Stage.open({ proxied: true });
  const data = stage.addFiles({ count: 12 });
  stage.slowReads(250);
  const load = await stage.load(data, { replicas: 2 });
  const leader = await stage.cluster.waitForLeader();
  const mute = stage.cluster.peers.find((peer) => peer !== leader) as Peer;
  await load.isUnderWay();
  const startMs = performance.now();
  for (const peer of stage.cluster.peers) if (peer !== mute) stage.cluster.cut(mute, peer);
  // Far beyond `liveness.downAfterMs`, far below any time-out of a single call.
  await load.succeeds(25_000);
  t.log(`ended ${Math.round(performance.now() - startMs)} ms after the owner fell mute`);
  stage.cluster.heal();
  await stage.restore();
  const again = await stage.load(data, { replicas: 2 });
  await again.succeeds();
  await expectLoaded(t, again);
});

/** Every peer has heard of the end. */
async function agreed(stage: Stage, jobId: string): Promise<void> {
  await stage.cluster.waitFor(async () => {
    const views = await Promise.all(stage.cluster.peers.map(({ api }) => api.job(jobId)));
    return views.every(({ state, stale }) => !stale && state === 'SUCCEEDED');
  }, 'every peer to know the end of the job');
}
