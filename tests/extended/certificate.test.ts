/** What a job was certified to have loaded is still there, or each difference has a name. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { JobStatus } from '../../src/job/job-status.ts';
import type { VerifyReport } from '../../src/verify/report.ts';
import { runInside } from '../cli/support/run-inside.ts';
import type { Peer } from '../support/peer-process.ts';
import { flipBit, flipRecords } from '../fault/damage.ts';
import { expectBytesFromCache, pathOf, segmentCountOf } from '../fault/expect.ts';
import type { Load } from '../fault/load.ts';
import { Stage } from '../fault/stage.ts';

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

interface Verification {
  readonly exitCode: number | null;
  readonly report: VerifyReport;
}

/** Through the command line, at any peer that runs. */
async function verify(of: Stage, jobId: string, ...options: string[]): Promise<Verification> {
  const [peer] = of.cluster.runningPeers;
  const args = ['job', 'verify', jobId, '--json', '--peer', peer?.restUrl ?? '', ...options];
  const { stdout, stderr, exitCode } = await runInside(args);
  if (stdout === '') throw new Error(`${args.join(' ')} ended with ${exitCode}: ${stderr}`);
  return { exitCode, report: JSON.parse(stdout) as VerifyReport };
}

/** Equal, complete by the origin's own figures, and nothing asked of the origin for it. */
async function expectEqual(t: ExecutionContext, load: Load): Promise<VerifyReport> {
  const before = load.stage.origin.countOf('get');
  const { exitCode, report } = await verify(load.stage, load.id);
  t.deepEqual(report.differences, []);
  t.deepEqual(report.notes, []);
  t.true(report.equal);
  t.is(exitCode, 0);
  t.is(report.found.segmentCount, segmentCountOf(load.stage, load.files.keys) * load.replicaCount);
  t.is(report.found.recordCount, load.files.keys.length * load.replicaCount);
  t.is(load.stage.origin.countOf('get'), before);
  return report;
}

async function idOf(peer: Peer | undefined): Promise<string> {
  return (await peer?.api.self())?.id ?? 'no such peer';
}

/** The peers that have a copy of the key's first segment, spoilt on their disks by now. */
async function flipOn(key: string, count: number): Promise<Peer[]> {
  const spoilt: Peer[] = [];
  for (const peer of stage.cluster.peers) {
    if (spoilt.length < count && (await flipBit(stage, peer, key)) > 0) spoilt.push(peer);
  }
  return spoilt;
}

test.serial('certificate: a fresh load is equal, by the sums of every peer', async (t) => {
  const data = stage.addFiles({ count: 12 });
  const load = await stage.load(data, { replicas: 2 });
  const { certificate, digest } = await load.succeeds();
  const report = await expectEqual(t, load);
  t.is(certificate?.digest, digest);
  t.is(certificate?.digest, report.found.digest);
  t.is(certificate?.recordDigest, report.found.recordDigest);
  const sum = (name: 'segmentCount' | 'recordCount' | 'bytes'): number =>
    (certificate?.peers ?? []).reduce((total, peer) => total + peer[name], 0);
  t.is(sum('segmentCount'), report.found.segmentCount);
  t.is(sum('recordCount'), report.found.recordCount);
  t.is(sum('bytes'), report.found.bytes);
  const peer = stage.cluster.peers[1]?.restUrl ?? '';
  const text = await runInside(['job', 'status', load.id, '--peer', peer]);
  t.regex(text.stdout, new RegExp(`certificate .*${certificate?.digest ?? '-'}`));
  t.true(text.stdout.includes(certificate?.peers[0]?.digest ?? '-'));
});

test.serial('certificate: a bit flipped while its peer runs is found and repaired', async (t) => {
  const data = stage.addFiles({ count: 4 });
  const [key = ''] = data.keys;
  const load = await stage.load(data, { replicas: 2 });
  await load.succeeds();
  const [spoilt] = await flipOn(key, 1);
  const peerId = await idOf(spoilt);
  const path = pathOf(key);
  const before = stage.origin.countOf('get');
  const { exitCode, report } = await verify(stage, load.id, '--repair');
  t.is(exitCode, 0);
  t.deepEqual(report.differences, [
    { path, segment: 0, peerId, kind: 'damaged', repaired: 'from-peer' },
  ]);
  t.like(report.counts, { damaged: 1, missing: 0 });
  t.deepEqual(report.repaired, { fromPeer: 1, fromUfs: 0, failed: 0 });
  t.is(stage.origin.countOf('get'), before);
  await expectEqual(t, load);
  await expectBytesFromCache(t, stage, [key], spoilt ? [spoilt] : []);
});

// One copy only: of two, peers restore the other by themselves, sooner or later.
test.serial('certificate: without repair the only copy stays lost, and is named', async (t) => {
  const data = stage.addFiles({ count: 4 });
  const [key = ''] = data.keys;
  const load = await stage.load(data);
  await load.succeeds();
  const peerId = await idOf((await flipOn(key, 1))[0]);
  const path = pathOf(key);
  const found = await verify(stage, load.id);
  t.is(found.exitCode, 1);
  t.deepEqual(found.report.differences, [{ path, segment: 0, peerId, kind: 'damaged' }]);
  t.is(found.report.found.segmentCount, found.report.certified.segmentCount - 1);
  const again = await verify(stage, load.id);
  t.is(again.exitCode, 1, 'what is damaged is dropped');
  t.deepEqual(again.report.differences, [{ path, segment: 0, peerId, kind: 'missing' }]);
});

test.serial(
  'certificate: the only copy, flipped while its peer is down, comes back from the origin',
  async (t) => {
    const data = stage.addFiles({ count: 4 });
    const [key = ''] = data.keys;
    const load = await stage.load(data);
    await load.succeeds();
    for (const peer of stage.cluster.peers) await peer.stop();
    const [spoilt] = await flipOn(key, 1);
    for (const peer of stage.cluster.peers) await peer.start();
    await stage.restore();
    const peerId = await idOf(spoilt);

    const mended = await verify(stage, load.id, '--repair');
    t.is(mended.exitCode, 0, JSON.stringify(mended.report));
    t.deepEqual(mended.report.differences, [
      { path: pathOf(key), segment: 0, peerId, kind: 'damaged', repaired: 'from-ufs' },
    ]);
    await expectEqual(t, load);
    await expectBytesFromCache(t, stage, [key]);
  },
);

test.serial(
  'certificate: segments taken out of an index by hand are missing, and repaired',
  async (t) => {
    const data = stage.addFiles({ count: 4 });
    const [, key = ''] = data.keys;
    const load = await stage.load(data);
    await load.succeeds();
    for (const peer of stage.cluster.peers) await peer.stop();
    let takenCount = 0;
    for (const peer of stage.cluster.peers) takenCount += await flipRecords(peer, key);
    for (const peer of stage.cluster.peers) await peer.start();
    await stage.restore();
    t.is(takenCount, segmentCountOf(stage, [key]));

    const found = await verify(stage, load.id);
    t.is(found.exitCode, 1);
    t.is(found.report.counts.missing, takenCount);
    t.deepEqual(
      found.report.differences.map(({ path, segment }) => [path, segment]),
      Array.from({ length: takenCount }, (_unused, index) => [pathOf(key), index]),
    );
    const mended = await verify(stage, load.id, '--repair');
    t.is(mended.exitCode, 0);
    t.is(mended.report.repaired.fromUfs, takenCount);
    await expectEqual(t, load);
  },
);

test.serial('certificate: files that every catalogue lost are named by the listing', async (t) => {
  const data = stage.addFiles({ count: 3 });
  const load = await stage.load(data, { replicas: 2, metadataOnly: true });
  const { certificate } = await load.succeeds();
  t.is(certificate?.segmentCount, 0);
  t.is(certificate?.recordCount, 2 * data.keys.length);
  t.is((await verify(stage, load.id)).exitCode, 0);
  for (const peer of stage.cluster.peers) {
    await peer.stop();
    await rm(join(peer.dataDir, 'catalog'), { recursive: true });
  }
  for (const peer of stage.cluster.peers) await peer.start();
  await stage.restore();

  const found = await verify(stage, load.id);
  t.is(found.exitCode, 1);
  t.is(found.report.found.recordCount, 0);
  const named = new Set(found.report.differences.map(({ path }) => path));
  t.deepEqual([...named].sort(), data.keys.map(pathOf).sort());
  t.is(found.report.counts.missing, 2 * data.keys.length);
  const mended = await verify(stage, load.id, '--repair');
  t.is(mended.exitCode, 0, JSON.stringify(mended.report));
  t.is(mended.report.repaired.fromUfs, 2 * data.keys.length);
  t.is((await verify(stage, load.id)).exitCode, 0);
});

test.serial('certificate: of a peer that does not answer nothing is said', async (t) => {
  const data = stage.addFiles({ count: 4 });
  const load = await stage.load(data, { replicas: 2 });
  const { certificate } = await load.succeeds();
  const [, , paused] = stage.cluster.peers;
  const peerId = await idOf(paused);
  const held = certificate?.peers.find((peer) => peer.peerId === peerId);
  paused?.pause();
  const { exitCode, report } = await verify(stage, load.id);
  t.is(exitCode, 1);
  t.false(report.equal);
  t.is(report.counts.unreachable, (held?.segmentCount ?? 0) + (held?.recordCount ?? 0));
  t.is(report.counts.missing + report.counts.damaged, 0);
  paused?.resume();
  await stage.restore();
  await expectEqual(t, load);
});

test.serial('certificate: a job without one, and none at all, are refused', async (t) => {
  const [peer] = stage.cluster.peers;
  const url = peer?.restUrl ?? '';
  const none = await runInside([
    'job',
    'verify',
    '00000000-0000-4000-8000-000000000000',
    '--peer',
    url,
  ]);
  t.is(none.exitCode, 3);
  const data = stage.addFiles({ count: 2 });
  stage.slowReads(2000);
  const load = await stage.load(data);
  const running = await runInside(['job', 'verify', load.id, '--peer', url]);
  t.is(running.exitCode, 1);
  t.regex(running.stderr, /certificate/);
  stage.calm();
  await load.succeeds();
});

test.serial('certificate: it holds after a change of the ring, when repair is done', async (t) => {
  await using own = await Stage.open();
  const data = own.addFiles({ count: 8 });
  const load = await own.load(data, { replicas: 2 });
  const before: JobStatus = await load.succeeds();
  const [, , victim] = own.cluster.peers;
  await victim?.kill();
  const report = await own.cluster.waitFor(
    async () => {
      const verified = await verify(own, load.id);
      return verified.report.equal ? verified.report : undefined;
    },
    'what is certified to be there again',
    60_000,
  );
  t.true(report.epoch > (before.certificate?.epoch ?? Infinity), 'under another ring');
  await expectEqual(t, load);
});
