/** Everything to and from one peer is 100 to 300 ms late, by chance. Linux: proxies on loopback. */
import { platform } from 'node:process';
import { expectLoaded } from '../fault/expect.ts';
import { LeaderWatch } from '../fault/leader-watch.ts';
import { Stage } from '../fault/stage.ts';
import { requires } from '../support/requires.ts';

const onLinux = requires(platform === 'linux' ? undefined : 'Linux (127.0.1.0/24 is loopback)');

const LATE = { latencyMs: 200, jitterMs: 100 } as const;
/** There and back, at the least. */
const ROUND_TRIP_MIN_MS = 2 * (LATE.latencyMs - LATE.jitterMs);
const ASK_COUNT = 5;

for (const role of ['follower', 'leader'] as const) {
  onLinux(`jitter: 200 ± 100 ms to and from the ${role}: no election, no byte twice`, async (t) => {
    await using stage = await Stage.open({
      proxied: true,
      env: {
        // As a cluster has them by default: what is late is not to be taken for what is silent.
        RINGLOAD_RAFT_TICK_MS: 100,
        RINGLOAD_LIVENESS_LINK_TIMEOUT_MS: 5_000,
        RINGLOAD_LIVENESS_SUSPECT_AFTER_MS: 3_000,
        RINGLOAD_LIVENESS_DOWN_AFTER_MS: 30_000,
        RINGLOAD_LOAD_CONCURRENCY: 4,
      },
    });
    const { cluster } = stage;
    const data = stage.addFiles({ count: 12 });
    const leader = await cluster.waitForLeader();
    const follower = cluster.peers.find((peer) => peer !== leader);
    if (!follower) throw new Error('no followers');
    const late = role === 'leader' ? leader : follower;
    for (const other of cluster.peers) {
      if (other === late) continue;
      cluster.spoil(late, other, LATE);
      cluster.spoil(other, late, LATE);
    }
    const watch = new LeaderWatch(cluster);
    const load = await stage.load(data, { replicas: 2 });
    const { counters } = await load.succeeds(120_000);
    for (let count = 0; count < ASK_COUNT; count++) {
      const startMs = performance.now();
      t.false((await follower.api.job(load.id)).stale);
      t.true(performance.now() - startMs >= ROUND_TRIP_MIN_MS, 'nothing was late');
    }
    await watch.stop();
    t.is(watch.termGrowth, 0, cluster.logs());
    t.true(watch.sampleCount > 0);
    const amplification = counters.ufsBytes / counters.loadedBytes;
    t.log(`amplification ${amplification.toFixed(3)}, ${counters.movedTaskCount} fetches moved`);
    t.is(amplification, 1);
    cluster.heal();
    await expectLoaded(t, load);
  });
}
