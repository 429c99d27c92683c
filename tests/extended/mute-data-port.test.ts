/**
 * A peer whose links are up and whose data port says nothing: nobody takes it for silent, so it is
 * asked for data, and each question costs the time that a peer is waited for.
 */
import { platform } from 'node:process';
import { requires } from '../support/requires.ts';
import { expectExactAccounting } from '../fault/expect.ts';
import { expectHeld } from '../fault/held.ts';
import { SEGMENT_BYTES, Stage } from '../fault/stage.ts';

const onLinux = requires(platform === 'linux' ? undefined : 'Linux (127.0.1.0/24 is loopback)');

/** A data port is waited for so long, and then left alone for twice that. */
const WAIT_MS = 3_000;

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
