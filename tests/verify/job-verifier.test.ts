import test from 'ava';
import { epoch, jobId } from '../../src/base/ids.ts';
import { NAMED_MAX_COUNT } from '../../src/verify/findings.ts';
import { keyOf, P1, P2, P3, ROOT, VerifyWorld } from './support.ts';

async function loadedWorld(replicaCount = 2): Promise<VerifyWorld> {
  const world = new VerifyWorld(replicaCount);
  await world.load('a', 250);
  await world.load('b', 0);
  await world.load('c', 100);
  await world.certify();
  return world;
}

test('verify: what is as it was is equal, every copy counted', async (t) => {
  const world = await loadedWorld();
  const report = await world.verify();
  t.true(report.equal);
  t.like(report.found, { segmentCount: 8, bytes: 700, recordCount: 6 });
  t.like(report.checked, { fileCount: 3, copyCount: 8, bytes: 700, differenceCount: 0 });
});

test('verify: each kind of difference is named, counted and repaired', async (t) => {
  const world = await loadedWorld();
  const record = await world.at(P1).catalog.get(`${ROOT}/a`);
  if (!record) throw new Error('a was loaded');
  world.at(P1).store.corrupt(keyOf(record, 0), 5);
  await world.at(P2).store.drop(keyOf(record, 1));
  await world.at(P2).catalog.delete(`${ROOT}/b`);
  await world.at(P1).catalog.putAll([{ ...record, path: `${ROOT}/c`, sizeBytes: 90 }]);
  const path = `${ROOT}/a`;
  const expected = [
    { path: `${ROOT}/b`, peerId: P2, kind: 'missing' },
    { path: `${ROOT}/c`, peerId: P1, kind: 'other-version' },
    { path, segment: 0, peerId: P1, kind: 'damaged' },
    { path, segment: 1, peerId: P2, kind: 'missing' },
  ];
  const found = await world.verify({ repair: true });
  t.true(found.equal);
  t.deepEqual(
    found.differences,
    expected.map((each) => ({ ...each, repaired: 'from-peer' })) as typeof found.differences,
  );
  t.deepEqual(found.counts, { missing: 2, damaged: 1, 'other-version': 1, unreachable: 0 });
  const again = await world.verify();
  t.true(again.equal);
  t.deepEqual(again.differences, []);
});

test('verify: what no owner has comes from another peer, or once from the under store', async (t) => {
  const world = await loadedWorld();
  const record = await world.at(P1).catalog.get(`${ROOT}/a`);
  if (!record) throw new Error('a was loaded');
  for (const peer of [P1, P2]) {
    for (const index of [0, 1, 2]) await world.at(peer).store.drop(keyOf(record, index));
  }
  await world.put(
    P3,
    keyOf(record, 2),
    new Uint8Array(50).map((_, at) => ((200 + at) * 7 + 1) % 251),
  );
  t.false((await world.verify()).equal);
  const before = world.under.readBytes;
  const report = await world.verify({ repair: true });
  t.true(report.equal, JSON.stringify(report));
  t.deepEqual(report.repaired, { fromPeer: 4, fromUfs: 2, failed: 0 });
  t.is(world.under.readBytes - before, 200, 'one fetch for both copies');
});

test('verify: what cannot be brought back stays a difference, with the reason', async (t) => {
  const world = await loadedWorld();
  const record = await world.at(P1).catalog.get(`${ROOT}/c`);
  if (!record) throw new Error('c was loaded');
  for (const peer of [P1, P2]) await world.at(peer).store.drop(keyOf(record, 0));
  world.under.put(`${ROOT}/c`, new Uint8Array(100));
  const report = await world.verify({ repair: true });
  t.false(report.equal);
  t.deepEqual(report.repaired, { fromPeer: 0, fromUfs: 0, failed: 2 });
  t.regex(report.differences[0]?.message ?? '', /version/);
});

test('verify: copies that are sound but differ are told apart, and left alone', async (t) => {
  const world = await loadedWorld();
  const record = await world.at(P1).catalog.get(`${ROOT}/c`);
  if (!record) throw new Error('c was loaded');
  await world.put(P2, keyOf(record, 0), new Uint8Array(100));
  const report = await world.verify({ repair: true });
  t.false(report.equal);
  t.like(report.differences[0], { peerId: P2, kind: 'other-version', repaired: 'no' });
});

test('verify: of a peer that is away nothing is said, by name', async (t) => {
  const world = await loadedWorld();
  world.away.add(P2);
  const report = await world.verify({ repair: true });
  t.false(report.equal);
  t.deepEqual(report.counts, { missing: 0, damaged: 0, 'other-version': 0, unreachable: 7 });
  t.true(report.differences.every(({ peerId }) => peerId === P2));
  t.is(report.notes.length, 1);
});

test('verify: a ring with fewer peers than copies lacks them', async (t) => {
  const world = await loadedWorld(3);
  world.owners = [P1, P2];
  const report = await world.verify();
  t.false(report.equal);
  t.is(report.counts.missing, 4 + 3);
  t.true(report.differences.every(({ peerId }) => peerId === undefined));
});

test('verify: another ring with every copy in its place is equal, one that changes meanwhile is not', async (t) => {
  const world = await loadedWorld();
  for (const name of ['a', 'b', 'c']) {
    const record = await world.at(P1).catalog.get(`${ROOT}/${name}`);
    if (record) await world.at(P3).catalog.putAll([record]);
  }
  world.owners = [P3, P2];
  world.epoch = epoch(2);
  t.is((await world.verify()).counts.missing, 4);
  t.true((await world.verify({ repair: true })).equal);
  const verification = world.verify();
  world.epoch = epoch(3);
  const report = await verification;
  t.true(report.ringChanged);
  t.false(report.equal);
});

test('verify: files that later jobs brought are none of this one', async (t) => {
  const world = await loadedWorld();
  const later = jobId('later');
  world.jobs.push(later);
  await world.load('new', 300, later);
  t.true((await world.verify()).equal);
  await world.load('a', 250, later);
  const report = await world.verify();
  t.false(report.equal);
  t.true(
    report.differences.some(({ path, kind }) => path === `${ROOT}/a` && kind === 'other-version'),
  );
});

test('verify: a file that a later job loaded anew in the same version is still there', async (t) => {
  const world = await loadedWorld();
  const later = jobId('later');
  world.jobs.push(later);
  for (const peer of [P1, P2]) {
    const record = await world.at(peer).catalog.get(`${ROOT}/a`);
    if (record) await world.at(peer).catalog.putAll([{ ...record, loadedBy: later }]);
  }
  t.true((await world.verify()).equal);
});

test('verify: only files that pass the filter count', async (t) => {
  const world = new VerifyWorld();
  await world.load('a', 250);
  await world.certify();
  await world.load('b.tmp', 100);
  t.false((await world.verify()).equal);
  t.true((await world.verify({ accepts: (path) => !path.endsWith('.tmp') })).equal);
});

test('verify: a file that nobody knows is looked for at the under store, a younger one is not', async (t) => {
  const world = await loadedWorld();
  for (const peer of [P1, P2]) await world.at(peer).catalog.delete(`${ROOT}/a`);
  world.under.put(`${ROOT}/aa`, new Uint8Array(10), 2_000);
  const report = await world.verify();
  t.false(report.equal);
  t.deepEqual(
    report.differences.map(({ path, peerId, segment }) => [path, peerId, segment]),
    [
      [`${ROOT}/a`, P1, undefined],
      [`${ROOT}/a`, P2, undefined],
    ],
    'its segments are there',
  );
  t.true((await world.verify({ repair: true })).equal);
  for (const peer of [P1, P2]) await world.at(peer).catalog.delete(`${ROOT}/c`);
  world.under.delete(`${ROOT}/c`);
  const gone = await world.verify();
  t.false(gone.equal);
  t.is(gone.notes.length, 1, 'nobody can name it any more');
});

test('verify: of a metadata-only load the records alone are compared', async (t) => {
  const world = new VerifyWorld();
  await world.load('a', 250);
  world.certified = (await world.verify({ metadataOnly: true })).found;
  t.like(world.certified, { segmentCount: 0, recordCount: 2 });
  const record = await world.at(P1).catalog.get(`${ROOT}/a`);
  if (record) await world.at(P1).catalog.putAll([{ ...record, version: 'other' }]);
  const report = await world.verify({ metadataOnly: true });
  t.false(report.equal);
  t.is(report.counts['other-version'], 1);
});

test('verify: many files are looked at in bounded requests, and named up to a bound', async (t) => {
  const world = new VerifyWorld(1);
  for (let n = 0; n < 700; n += 1) await world.load(`f${String(n).padStart(4, '0')}`, 200);
  await world.certify();
  for (let n = 0; n < 600; n += 1) {
    const record = await world.at(P1).catalog.get(`${ROOT}/f${String(n).padStart(4, '0')}`);
    for (const index of [0, 1]) {
      if (record) await world.at(P1).store.drop(keyOf(record, index));
    }
  }
  const report = await world.verify();
  t.is(report.counts.missing, 1200);
  t.is(report.differences.length, NAMED_MAX_COUNT);
  t.true(world.largestRequest <= 64);
  const orders: number[] = [];
  world.onRestore = (_peer, { indexes }) => orders.push(indexes.length);
  t.true((await world.verify({ repair: true })).equal);
  t.true(Math.max(...orders) <= 8);
});
