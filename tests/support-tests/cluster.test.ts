import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { platform } from 'node:process';
import test from 'ava';
import { Cluster } from '../support/cluster.ts';
import type { Peer } from '../support/peer-process.ts';
import { requires } from '../support/requires.ts';

const program = join(import.meta.dirname, 'fake-peer.js');
const onLinux = requires(platform === 'linux' ? undefined : 'Linux (reads /proc)');

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test('cluster: starts peers with settings of its own and ends them with the block', async (t) => {
  process.env['AWS_PROFILE'] = 'a developer’s own';
  t.teardown(() => delete process.env['AWS_PROFILE']);
  const pids: number[] = [];
  let folder = '';
  {
    await using cluster = await Cluster.start({ peers: 2, mounts: ['s3://b'], program });
    pids.push(...cluster.peers.map((peer) => peer.pid));
    folder = cluster.peers[0]!.dataDir;
    t.true(pids.every(isAlive));
    t.is(await cluster.waitForLeader(), cluster.peers[0]!);
    await cluster.waitFor(() => /settings 50, profile none/.test(cluster.logs()), 'the log line');
    const added = await cluster.addPeer();
    t.is(added.index, 2);
    pids.push(added.pid);
  }
  t.false(pids.some(isAlive));
  t.false(existsSync(folder));
});

test('cluster: a peer that ends before it is ready fails the start with its last lines', async (t) => {
  const started = Cluster.start({ mounts: [], program, env: { RINGLOAD_FAKE_FAIL: true } });
  const error = await t.throwsAsync(started);
  t.regex(error.message, /peer 0 ended with 78/);
  t.regex(error.message, /fails as it was told/);
});

test('cluster: kill, restart, pause and resume act on one process', async (t) => {
  await using cluster = await Cluster.start({ peers: 2, mounts: [], program });
  const [first, second] = cluster.peers as [Peer, Peer];
  const formerPid = first.pid;
  await first.kill();
  t.false(first.running);
  t.false(isAlive(formerPid));
  t.true(isAlive(second.pid));
  await first.restart();
  await first.waitReady();
  t.not(first.pid, formerPid);
  t.regex(first.logs(), /listens[^]*started again[^]*listens/);

  first.pause();
  await t.throwsAsync(fetch(first.restUrl, { signal: AbortSignal.timeout(300) }), { any: true });
  first.resume();
  await first.waitReady();
  t.true(await first.api.ready());
});

onLinux('cluster: a cut stops one direction between two peers and nothing else', async (t) => {
  t.timeout(120_000);
  await using cluster = await Cluster.start({ peers: 3, mounts: [], program, proxied: true });
  const [a, b, c] = cluster.peers as [Peer, Peer, Peer];
  const reaches = async (from: Peer, to: Peer, deadline: number): Promise<boolean> => {
    const url = encodeURIComponent(`http://${to.advertisedAddress}/readyz`);
    return (await fetch(`${from.restUrl}/fetch?url=${url}&deadline=${deadline}`)).ok;
  };
  const linked = (from: Peer, to: Peer): Promise<boolean> => reaches(from, to, 20_000);
  const severed = async (from: Peer, to: Peer): Promise<boolean> => !(await reaches(from, to, 400));

  t.true((await linked(a, b)) && (await linked(b, a)) && (await linked(a, c)));
  cluster.cut(a, b);
  // Both need bytes from a to b: the request in the one case, the answer in the other.
  t.true((await severed(a, b)) && (await severed(b, a)));
  t.true((await linked(a, c)) && (await linked(c, b)));
  cluster.heal();
  t.true((await linked(a, b)) && (await linked(b, a)));
  cluster.partition([a], [b, c]);
  t.true((await severed(a, c)) && (await severed(b, a)));
  t.true(await linked(c, b));
  t.true(await a.api.ready());
});
