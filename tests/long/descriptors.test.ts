/** The limit of open files falls below what is open, while a peer leads, loads and is read from. */
import { execFile, spawnSync } from 'node:child_process';
import { get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expectLoaded, metricOf } from '../fault/expect.ts';
import { Stage } from '../fault/stage.ts';
import type { Peer } from '../support/peer-process.ts';
import { requires } from '../support/requires.ts';

const run = promisify(execFile);
const SHORTAGE_MS = 4_000;
const hasPrlimit = spawnSync('prlimit', ['--version']).status === 0;

async function limitFiles(peer: Peer, count: number): Promise<void> {
  await run('prlimit', ['--pid', String(peer.pid), `--nofile=${String(count)}:4096`]);
}

/** Whether a new connection gets an answer. */
function takesConnections(peer: Peer): Promise<boolean> {
  return new Promise((resolve) => {
    get(
      `${peer.restUrl}/livez`,
      { agent: false, signal: AbortSignal.timeout(1_000) },
      (response) => {
        response.resume();
        resolve(true);
      },
    ).once('error', () => resolve(false));
  });
}

requires(hasPrlimit ? undefined : 'prlimit')(
  'descriptors: a leader that may open nothing for a while loses no segment and no file',
  async (t) => {
    await using stage = await Stage.open({ peers: 3 });
    const { cluster } = stage;
    const known = stage.addFiles({ count: 8 });
    await (await stage.load(known, { replicas: 2 })).succeeds();
    const leader = await cluster.waitForLeader();
    const data = stage.addFiles({ count: 60 });
    stage.slowReads(100);
    const load = await stage.load(data, { replicas: 2 });
    await load.isUnderWay();
    for (let turn = 0; turn < 3; turn++) {
      await limitFiles(leader, 8);
      await delay(SHORTAGE_MS);
      t.false(await takesConnections(leader), 'the limit is in force');
      await limitFiles(leader, 4096);
      await delay(1_000);
    }
    const status = await load.succeeds(120_000);
    t.log(`retried tasks: ${String(status.counters.retriedTaskCount)}`);
    t.true(
      cluster.peers.every(({ running }) => running),
      cluster.logs(),
    );
    t.is(status.counters.failedFiles, 0);
    t.is(await metricOf(leader, 'ringload_segments_corrupt_total'), 0, leader.logs());
    t.is(await metricOf(leader, 'ringload_cache_directories{state="failed"}'), 0, leader.logs());
    await expectLoaded(t, load);
  },
);
