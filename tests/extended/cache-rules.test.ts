/** Rules of paths, frees and checks, as users of three real peers see them. */
import test from 'ava';
import { MIB } from '../../src/base/units.ts';
import type { CheckReport, FreeReport } from '../../src/residence/report.ts';
import type { Peer } from '../support/peer-process.ts';
import { expectBytes, expectBytesFromCache, expectLoaded, pathOf } from '../fault/expect.ts';
import { SEGMENT_BYTES, Stage, type FileSet } from '../fault/stage.ts';

let stage: Stage;
test.before(async () => {
  // 24 MiB a peer in regions of 1 MiB: small enough to be filled.
  stage = await Stage.open({
    cacheCapacity: '24MiB',
    env: {
      RINGLOAD_CACHE_REGION_SIZE_BYTES: '1MiB',
      RINGLOAD_CACHE_HOT_COPIES_BYTES: '1MiB',
      RINGLOAD_LOAD_CONCURRENCY: 4,
    },
  });
});
test.serial.beforeEach(async () => {
  await stage.restore();
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
});

const peerAt = (index: number): Peer => {
  const peer = stage.cluster.peers[index];
  if (!peer) throw new Error(`no peer ${index}`);
  return peer;
};

async function reportOf<Report>(response: Response): Promise<Report> {
  const lines = (await response.text()).trim().split('\n');
  const last = JSON.parse(lines.at(-1) ?? '{}') as { report?: Report };
  if (!last.report) throw new Error(`no report: ${lines.at(-1) ?? ''}`);
  return last.report;
}

async function free(path: string, peer = peerAt(0)): Promise<FreeReport> {
  return reportOf(
    await fetch(`${peer.restUrl}/v1/cache/free`, {
      method: 'POST',
      body: JSON.stringify({ path }),
      headers: { 'content-type': 'application/json' },
    }),
  );
}

async function check(path: string, peer = peerAt(1)): Promise<CheckReport> {
  return reportOf(await fetch(`${peer.restUrl}/v1/cache/check?path=${encodeURIComponent(path)}`));
}

function setRule(path: string, changes: object, peer = peerAt(1)): Promise<unknown> {
  return peer.api.json('POST', '/v1/cache/rules', { path, ...changes });
}

/** At each peer, not only at the one that was asked. */
async function ruleIsKnown(path: string): Promise<void> {
  await stage.cluster.waitFor(async () => {
    for (const peer of stage.cluster.runningPeers) {
      const { rules } = await peer.api.json<{ rules: { path: string }[] }>(
        'GET',
        '/v1/cache/rules',
      );
      if (!rules.some((rule) => rule.path === path)) return false;
    }
    return true;
  }, `the rule of ${path} to be known`);
}

async function fillCaches(): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    const filler = stage.addFiles({ count: 30, sizeBytes: MIB });
    await (await stage.load(filler, { replicas: 1 })).succeeds();
  }
}

const sizeOf = (data: FileSet): number =>
  data.keys.reduce((sum, key) => sum + (stage.origin.objects.find(key)?.sizeBytes ?? 0), 0);

test.serial(
  'free: a path goes from all peers, and is loaded again as if for the first time',
  async (t) => {
    const data = stage.addFiles({ count: 6 });
    const beside = stage.addFiles({ count: 2 });
    for (const set of [data, beside]) await (await stage.load(set, { replicas: 2 })).succeeds();
    t.like(await check(data.path), { residentBytes: sizeOf(data), files: 8, residentFiles: 8 });
    const freed = await free(data.path);
    t.like(freed, { complete: true, files: 8, freed: { bytes: 2 * sizeOf(data) } });
    t.is(freed.peers.length, 3);
    t.like(await check(data.path), { residentBytes: 0, states: { loaded: 0, 'not-loaded': 8 } });
    await expectBytesFromCache(t, stage, beside.keys);
    const again = await stage.load(data, { replicas: 2 });
    const { counters } = await again.succeeds();
    t.is(counters.skippedBytes, 0);
    t.is(counters.loadedBytes, sizeOf(data));
    await expectLoaded(t, again);
  },
);

test.serial('free: what a running load needs stays, and the load succeeds', async (t) => {
  const data = stage.addFiles({ count: 12 });
  stage.slowReads(150);
  const load = await stage.load(data, { replicas: 2 });
  await load.isUnderWay();
  const report = await free(data.path);
  t.false(report.complete);
  t.is(report.freed.segments, 0);
  t.true(report.leased.segments > 0);
  stage.calm();
  await load.succeeds();
  await expectLoaded(t, load);
  t.like(await free(data.path), { complete: true });
});

test.serial('free: a peer that is away is named, and the copies of the others go', async (t) => {
  const data = stage.addFiles({ count: 4 });
  await (await stage.load(data, { replicas: 3 })).succeeds();
  const away = peerAt(2);
  const { id } = await away.api.self();
  away.pause();
  await stage.cluster.waitFor(async () => {
    const report = await free(data.path);
    return report.peers.some((peer) => peer.id === id && peer.error !== undefined);
  }, 'the free to name the peer');
  const report = await check(data.path);
  t.is(report.residentBytes, 0);
  t.deepEqual(report.unanswered, [id]);
  away.resume();
});

test.serial(
  'pin: what is pinned stays through full caches and restarts of all peers',
  async (t) => {
    const data = stage.addFiles({ count: 6 });
    await setRule(data.path, { pinned: true, priority: 'high' });
    await ruleIsKnown(data.path);
    await (await stage.load(data, { replicas: 2 })).succeeds();
    const loose = stage.addFiles({ count: 6 });
    await (await stage.load(loose, { replicas: 2 })).succeeds();
    for (const peer of stage.cluster.peers) {
      await peer.kill();
      await peer.start();
    }
    for (const peer of stage.cluster.peers) await peer.waitReady();
    await fillCaches();
    t.like(await check(data.path), { replicaBytes: [sizeOf(data), sizeOf(data)] });
    await expectBytesFromCache(t, stage, data.keys);
    t.true((await check(loose.path)).residentBytes < sizeOf(loose), 'the rest was evicted');
    t.like(await free(data.path), { complete: false, freed: { segments: 0 } });
    await setRule(data.path, { pinned: null, priority: null });
    t.like(await free(data.path), { complete: true });
  },
);

test.serial(
  'pin: a load that finds no room for what is pinned says so, and nothing is lost',
  async (t) => {
    const kept = stage.addFiles({ count: 16, sizeBytes: 3 * MIB });
    await setRule(kept.path, { pinned: true });
    await ruleIsKnown(kept.path);
    await (await stage.load(kept, { replicas: 1 })).succeeds();
    const more = stage.addFiles({ count: 12, sizeBytes: 3 * MIB });
    const status = await (await stage.load(more, { replicas: 1 })).fails();
    t.true(status.failedFiles.every(({ code }) => code === 'cache_full'));
    t.regex(status.failedFiles[0]?.message ?? '', /rules pin \d+/);
    t.like(await check(kept.path), { residentBytes: sizeOf(kept) });
    await expectBytesFromCache(t, stage, kept.keys);
    await setRule(kept.path, { pinned: null });
    await free(kept.path);
  },
);

test.serial(
  'freshness: with always each peer serves the version of now, with skip nothing is kept',
  async (t) => {
    const data = stage.addFiles({ count: 3 });
    await (await stage.load(data, { replicas: 2 })).succeeds();
    for (const key of data.keys) stage.origin.objects.put(key, 8 * SEGMENT_BYTES);
    const { sha256OfFirst } = await firstBytes(data);
    t.not(sha256OfFirst, stage.origin.expectedSha256(data.keys[0] ?? ''), 'it is immutable so far');
    await setRule(data.path, { freshness: 'always' });
    await ruleIsKnown(data.path);
    for (const peer of stage.cluster.peers) await expectBytes(t, stage, data.keys, [peer]);
    for (const key of data.keys) stage.origin.objects.put(key, 3 * SEGMENT_BYTES);
    for (const peer of stage.cluster.peers) await expectBytes(t, stage, data.keys, [peer]);
    await setRule(data.path, { freshness: 'skip' });
    await ruleIsKnown(data.path);
    await free(data.path);
    await expectBytes(t, stage, data.keys);
    t.is((await check(data.path)).residentBytes, 0);
    const refused = await t.throwsAsync(peerAt(0).api.submit({ path: data.path }));
    t.regex(String(refused), /never cached/);
  },
);

async function firstBytes(data: FileSet): Promise<{ readonly sha256OfFirst: string }> {
  const { createHash } = await import('node:crypto');
  const bytes = await peerAt(0).api.readFile(pathOf(data.keys[0] ?? ''));
  return { sha256OfFirst: createHash('sha256').update(bytes).digest('hex') };
}

test.serial('time and quota: what expires goes, and a quota is not exceeded', async (t) => {
  const data = stage.addFiles({ count: 4 });
  await setRule(data.path, { ttl: '2s' });
  await ruleIsKnown(data.path);
  await (await stage.load(data, { replicas: 2 })).succeeds();
  await stage.cluster.waitFor(
    async () => (await check(data.path)).residentBytes === 0,
    'the files to expire',
  );
  const bounded = stage.addFiles({ count: 20 });
  const quota = 6 * MIB;
  await setRule(bounded.path, { quota: `${quota}` });
  await ruleIsKnown(bounded.path);
  const status = await (await stage.load(bounded, { replicas: 1 })).fails();
  t.true(status.failedFiles.some(({ message }) => message.includes('quota of')));
  const { peerBytes } = await check(bounded.path);
  const held = Object.values(peerBytes).reduce((sum, bytes) => sum + bytes, 0);
  t.log(`${held} of ${quota} bytes of the quota are used`);
  t.true(held <= quota && held > quota / 2, `${held}`);
  await expectBytes(t, stage, bounded.keys);
  const after = Object.values((await check(bounded.path)).peerBytes);
  t.true(after.reduce((sum, bytes) => sum + bytes, 0) <= quota, 'reads keep to it, too');
});

test.serial(
  'hot: what readers of a peer ask for again and again is copied there, within its budget',
  async (t) => {
    const data = stage.addFiles({ count: 4 });
    await (await stage.load(data, { replicas: 1 })).succeeds();
    const reader = peerAt(0);
    const { id } = await reader.api.self();
    const gets = stage.origin.countOf('get');
    const heldThere = async (): Promise<number> => (await check(data.path)).peerBytes[id] ?? 0;
    const before = await heldThere();
    await stage.cluster.waitFor(async () => {
      await expectBytes(t, stage, data.keys, [reader]);
      return (await heldThere()) > before;
    }, 'copies at the peer that is read from');
    for (let round = 0; round < 8; round += 1) await expectBytes(t, stage, data.keys, [reader]);
    const extra = (await heldThere()) - before;
    t.log(`${extra} bytes of copies of ${sizeOf(data) - before}`);
    t.true(extra <= MIB, 'the budget');
    t.is(stage.origin.countOf('get'), gets, 'the under store was not asked');
  },
);
