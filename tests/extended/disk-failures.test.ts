/**
 * Disks that fail under real peers: system calls that fail or dawdle, volumes that are full, turn
 * read-only, or vanish. The peer says what is wrong in one line, the others go on with the load, and
 * it comes back when the disk does.
 */
import { open, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { expectBytes, expectLoaded, metricOf } from '../fault/expect.ts';
import { Stage } from '../fault/stage.ts';
import { Child, cleanEnvironment } from '../support/child.ts';
import { freePort } from '../support/free-port.ts';
import type { Peer } from '../support/peer-process.ts';
import { requires } from '../support/requires.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { filesBelow, inject, mountMissing, straceMissing, Volume } from './support/disk-tools.ts';

const SETTINGS = { RINGLOAD_CACHE_REGION_SIZE_BYTES: '1MiB' };

/** Files that a cache directory of 64 regions has, or will have. */
function regionFiles(folder: string): string[] {
  return Array.from({ length: 64 }, (_, id) => `region-${String(id).padStart(5, '0')}`).flatMap(
    (name) => [join(folder, `${name}.dat`), join(folder, `${name}.idx`)],
  );
}

/** Logs that the database of the catalogue has, or will have. */
function catalogueLogs(peer: Peer): string[] {
  return Array.from({ length: 80 }, (_, number) =>
    join(peer.dataDir, 'catalog', `${String(number).padStart(6, '0')}.log`),
  );
}

async function follower(stage: Stage): Promise<Peer> {
  const leader = await stage.cluster.waitForLeader();
  const found = stage.cluster.peers.find((peer) => peer !== leader);
  if (!found) throw new Error('a cluster of three has a follower');
  return found;
}

/** The peer ends by itself, says why in one line that names the file, and tries nothing again. */
async function expectFatal(
  t: ExecutionContext,
  stage: Stage,
  peer: Peer,
  file: RegExp,
): Promise<void> {
  await stage.cluster.waitFor(() => !peer.running, `peer ${peer.index} to stop`, 20_000);
  const lines = peer
    .logs()
    .split('\n')
    .filter((line) => /stopping after a failure/.test(line));
  t.is(lines.length, 1, peer.logs());
  t.regex(lines[0] ?? '', file);
  t.regex(lines[0] ?? '', /data_dir_io/);
}

for (const [calls, code, who] of [
  ['fdatasync', 'EIO', 'the leader'],
  ['pwrite64', 'ENOSPC', 'a follower'],
  ['pwrite64', 'EIO', 'the leader'],
] as const) {
  requires(straceMissing())(
    `disk: ${code} of ${calls} on the raft log of ${who} stops it, the load goes on`,
    async (t) => {
      await using stage = await Stage.open({ env: SETTINGS });
      const data = stage.addFiles({ count: 16 });
      stage.slowReads(60);
      const load = await stage.load(data, { replicas: 2 });
      await load.isUnderWay();
      const victim =
        who === 'the leader' ? await stage.cluster.waitForLeader() : await follower(stage);
      const files = await filesBelow(join(victim.dataDir, 'raft'));
      await using injection = await inject({ pid: victim.pid, calls, how: `error=${code}`, files });
      await expectFatal(t, stage, victim, /raft-\d+\.log/);
      t.is(injection.count(), 1, 'it was tried once');
      await load.succeeds();
      await victim.start();
      await victim.waitReady();
      await stage.restore();
      await (await stage.load(data, { replicas: 2 })).succeeds();
      await expectBytes(t, stage, data.keys);
    },
  );
}

requires(straceMissing())(
  'disk: errors of one cache directory take it out of service, the other serves',
  async (t) => {
    await using folder = await tempFolder('second');
    const second = join(folder.path, 'cache');
    await using stage = await Stage.open({
      env: SETTINGS,
      moreCacheDirs: (index) => (index === 0 ? [`${second}=64MiB`] : []),
    });
    await (await stage.load(stage.addFiles({ count: 16 }), { replicas: 2 })).succeeds();
    const [victim] = stage.cluster.peers;
    if (!victim) throw new Error('a cluster has peers');
    await using injection = await inject({
      pid: victim.pid,
      calls: 'fdatasync,pwrite64,pread64',
      how: 'error=EIO',
      files: regionFiles(second),
    });
    const data = stage.addFiles({ count: 24 });
    const load = await stage.load(data, { replicas: 2 });
    await load.succeeds();
    await expectLoaded(t, load);
    t.true(injection.count() > 0);
    await expectFailedDirectory(t, stage, victim, second);
  },
);

/** The state of a directory shows in `/v1/self` and in the metrics; the peer is ready all the same. */
async function expectFailedDirectory(
  t: ExecutionContext,
  stage: Stage,
  peer: Peer,
  path: string,
): Promise<void> {
  const { usage } = (await peer.api.self()) as unknown as {
    usage: { directories: { path: string; state: string }[] };
  };
  t.deepEqual(
    usage.directories.filter(({ state }) => state === 'failed').map((each) => each.path),
    [path],
    stage.cluster.logs(),
  );
  t.regex(await peer.api.metrics(), /ringload_cache_directories\{state="failed"\} 1/);
  t.true(await peer.api.ready());
}

requires(straceMissing())(
  'disk: syncs of the cache that take 200 ms disturb neither the leader nor readers',
  async (t) => {
    await using stage = await Stage.open({ env: SETTINGS });
    const first = stage.addFiles({ count: 12 });
    await (await stage.load(first, { replicas: 2 })).succeeds();
    const leader = await stage.cluster.waitForLeader();
    const term = await metricOf(leader, 'ringload_raft_term');
    await using injection = await inject({
      pid: leader.pid,
      calls: 'fdatasync',
      how: 'delay_enter=200000',
      files: regionFiles(join(leader.dataDir, 'cache')),
    });
    const data = stage.addFiles({ count: 12 });
    const load = await stage.load(data, { replicas: 2 });
    await expectBytes(t, stage, first.keys);
    await load.succeeds();
    await expectLoaded(t, load);
    t.true(injection.count() > 0);
    t.is(await metricOf(leader, 'ringload_raft_term'), term, 'nobody was elected anew');
  },
);

requires(straceMissing())(
  'disk: a catalogue whose syncs fail takes records again when the disk does',
  async (t) => {
    await using stage = await Stage.open({ peers: 1, env: SETTINGS });
    const [peer] = stage.cluster.peers;
    if (!peer) throw new Error('a cluster has peers');
    {
      await using injection = await inject({
        pid: peer.pid,
        calls: 'fdatasync',
        how: 'error=EIO',
        files: catalogueLogs(peer),
      });
      // A record whose sync failed may be found when the catalogue is opened anew: both ends are true.
      const load = await stage.load(stage.addFiles({ count: 4 }));
      const status = await load.reaches(({ endedAtMs }) => endedAtMs !== undefined, 'its end');
      t.true(injection.count() > 0);
      t.log(status.state, status.failure?.code ?? '', `${injection.count()} syncs failed`);
      for (const { code } of status.failedFiles) t.is(code, 'cache_io');
      if (status.state === 'SUCCEEDED') await expectLoaded(t, load);
    }
    t.true(peer.running);
    // It is opened anew once a second at most; a load that meets it before that fails, and says so.
    const load = await waitFor(
      async () => {
        const attempt = await stage.load(stage.addFiles({ count: 4 }));
        const status = await attempt.reaches(({ endedAtMs }) => endedAtMs !== undefined, 'its end');
        for (const { code } of status.failedFiles) t.is(code, 'cache_io');
        return status.state === 'SUCCEEDED' ? attempt : undefined;
      },
      { what: 'a load to succeed', deadlineMs: 20_000 },
    );
    await expectLoaded(t, load);
  },
);

for (const [call, file] of [
  ['openat', 'identity.json'],
  ['rename', 'identity.json.tmp'],
  ['fsync', 'identity.json.tmp'],
  ['getdents64', 'raft'],
  ['unlink', 'raft/raft-0000000009.log.tmp'],
] as const) {
  requires(straceMissing())(
    `disk: EIO of ${call} on ${file} keeps a peer from starting, by name, and hurts nothing`,
    async (t) => {
      await using stage = await Stage.open({ peers: 1, env: SETTINGS });
      const [peer] = stage.cluster.peers;
      if (!peer) throw new Error('a cluster has peers');
      await peer.stop();
      await writeFile(join(peer.dataDir, 'raft', 'raft-0000000009.log.tmp'), 'left by a crash');
      const path = join(peer.dataDir, file);
      const child = await Child.start({
        command: 'strace',
        args: [
          ...['-f', '-q', '-o', '/dev/null', '-P', path, '-e', `inject=${call}:error=EIO`],
          ...[process.execPath, 'build/program/cli/main.js', 'serve', '--data-dir', peer.dataDir],
          ...['--rest-port', String(await freePort()), '--data-port', String(await freePort())],
        ],
        env: cleanEnvironment({
          ...SETTINGS,
          RINGLOAD_LOAD_SEGMENT_SIZE_BYTES: '64KiB',
          RINGLOAD_LOG_FORMAT: 'plain',
          RINGLOAD_S3_PORT: '0',
        }),
      });
      await waitFor(() => child.exit !== undefined, {
        what: 'the peer to give up',
        deadlineMs: 30_000,
        context: () => child.logs(),
      });
      t.is(child.exit?.code, 74, child.logs());
      t.regex(child.logs(), /EIO/);
      t.true(
        child.logs().includes(join(peer.dataDir, file.split('/')[0]?.replace('.tmp', '') ?? '')),
        child.logs(),
      );
      await peer.start();
      await peer.waitReady();
    },
  );
}

requires(mountMissing())(
  'disk: a full volume stops a peer, which starts again when there is room',
  async (t) => {
    await using volume = await Volume.inMemory('48m');
    await using stage = await Stage.open({
      env: SETTINGS,
      cacheCapacity: '16MiB',
      folderOf: (index) => (index === 0 ? volume.path : undefined),
    });
    const [victim] = stage.cluster.peers;
    if (!victim) throw new Error('a cluster has peers');
    const data = stage.addFiles({ count: 12 });
    stage.slowReads(60);
    const load = await stage.load(data, { replicas: 2 });
    await load.isUnderWay();
    const filler = join(volume.path, 'filler');
    await fillUp(filler);
    await expectFatal(t, stage, victim, /raft-\d+\.log/);
    await load.succeeds();
    // On a disk that is still full it says so, and does not start.
    await victim.start();
    await stage.cluster.waitFor(() => !victim.running, 'the peer to give up', 30_000);
    t.regex(victim.logs(), /no space left|No space left|ENOSPC/);
    await rm(filler);
    await victim.start();
    await victim.waitReady();
    await stage.restore();
    await (await stage.load(data, { replicas: 2 })).succeeds();
    await expectBytes(t, stage, data.keys);
  },
);

/** Takes what is left, to the last byte. */
async function fillUp(path: string): Promise<void> {
  const file = await open(path, 'a');
  try {
    for (const size of [1024 * 1024, 4096, 1]) {
      for (;;) {
        const full = await file.write(Buffer.alloc(size, 1)).then(
          ({ bytesWritten }) => bytesWritten < size,
          () => true,
        );
        if (full) break;
      }
    }
  } finally {
    await file.close();
  }
}

/** Removes a folder at once: were it emptied in place, what writes there could fill it again. */
async function vanish(folder: string): Promise<void> {
  const aside = `${folder}-removed`;
  await rename(folder, aside);
  await rm(aside, { recursive: true });
}

for (const how of ['removed', 'made read-only by the kernel'] as const) {
  requires(mountMissing())(
    `disk: a cache directory ${how} under a running peer goes out of service, the other serves`,
    async (t) => {
      await using volume = await Volume.inFile(96);
      const second = join(volume.path, 'cache');
      await using stage = await Stage.open({
        env: SETTINGS,
        moreCacheDirs: (index) => (index === 0 ? [`${second}=64MiB`] : []),
      });
      const [victim] = stage.cluster.peers;
      if (!victim) throw new Error('a cluster has peers');
      const first = stage.addFiles({ count: 16 });
      await (await stage.load(first, { replicas: 2 })).succeeds();
      const data = stage.addFiles({ count: 32 });
      stage.slowReads(30);
      const load = await stage.load(data, { replicas: 2 });
      await load.isUnderWay();
      if (how === 'removed') await vanish(second);
      else await volume.breakDown();
      await load.succeeds();
      await expectLoaded(t, load);
      await expectBytes(t, stage, first.keys);
      t.true(victim.running);
      await expectFailedDirectory(t, stage, victim, second);
      await stage.cluster.stop();
    },
  );
}
