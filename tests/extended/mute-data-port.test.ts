/**
 * A peer whose links are up and whose data port says nothing: nobody takes it for silent, so it is
 * asked for data, and each question costs the time that a peer is waited for.
 */
import { platform } from 'node:process';
import { sha256 } from '../support/faulty-origin.ts';
import { requires } from '../support/requires.ts';
import { expectExactAccounting, pathOf } from '../fault/expect.ts';
import { expectHeld } from '../fault/held.ts';
import { followerOf } from '../fault/members.ts';
import { SEGMENT_BYTES, Stage } from '../fault/stage.ts';

const onLinux = requires(platform === 'linux' ? undefined : 'Linux (127.0.1.0/24 is loopback)');

/** A data port is waited for so long, and left alone for twice that after a wait in vain. */
const WAIT_MS = 3_000;

onLinux('mute data port: a reader waits for it once, not for each segment', async (t) => {
  await using stage = await Stage.open({
    proxied: true,
    env: { RINGLOAD_LIVENESS_DOWN_AFTER_MS: WAIT_MS },
  });
  const { cluster, origin } = stage;
  const kept = stage.addFiles({ count: 60, sizeBytes: SEGMENT_BYTES });
  await (await stage.load(kept)).succeeds();
  const mute = await followerOf(stage);
  const reader = cluster.peers.find((peer) => peer !== mute) ?? mute;
  const before = { asked: cluster.dataConnectionCount(mute), got: origin.countOf('get') };
  cluster.muteDataPort(mute);
  const startMs = performance.now();
  for (const key of kept.keys) {
    t.is(sha256(await reader.api.readFile(pathOf(key))), origin.expectedSha256(key));
  }
  const tookMs = performance.now() - startMs;
  const askedCount = cluster.dataConnectionCount(mute) - before.asked;
  const insteadCount = origin.countOf('get') - before.got;
  t.log(
    `${insteadCount} files read elsewhere in ${Math.round(tookMs)} ms, it was asked ${askedCount} times`,
  );
  t.true(insteadCount >= 10, 'too few files lie on the mute peer for the story');
  t.true(askedCount <= 2 + tookMs / (2 * WAIT_MS));
});

onLinux('mute data port: a load that asks peers first waits for it once', async (t) => {
  await using stage = await Stage.open({
    proxied: true,
    env: { RINGLOAD_LIVENESS_DOWN_AFTER_MS: WAIT_MS },
  });
  const { cluster } = stage;
  await (await stage.load(stage.addFiles({ count: 4 }))).succeeds();
  // While a load runs that was stopped and resumed, nobody can tell that placement is in order
  // after the start of a member.
  const endless = stage.addFiles({ count: 1, sizeBytes: SEGMENT_BYTES });
  const isEndless = new RegExp(`^${endless.prefix}`);
  stage.script({ operation: 'get', key: isEndless, action: { kind: 'delay', delayMs: 50_000 } });
  const held = await stage.load(endless);
  await cluster.runningPeers[0]?.api.stop(held.id);
  await stage.load(endless);
  const leader = await cluster.waitForLeader();
  const [mute, restarted] = cluster.peers.filter((peer) => peer !== leader);
  if (!mute || !restarted) throw new Error('two followers are needed');
  await restarted.restart();
  await restarted.waitReady();

  const before = cluster.dataConnectionCount(mute);
  cluster.muteDataPort(mute);
  const startMs = performance.now();
  const load = await stage.load(stage.addFiles({ count: 24 }));
  const ended = await load.succeeds();
  const askedCount = cluster.dataConnectionCount(mute) - before;
  t.log(`loaded in ${Math.round(performance.now() - startMs)} ms, asked ${askedCount} times`);
  t.true(askedCount > 0, 'it was not asked: the story shows nothing');
  cluster.heal();
  expectExactAccounting(t, load, ended);
  await expectHeld(t, load, ended);
});
