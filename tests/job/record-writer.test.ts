import test from 'ava';
import { jobId } from '../../src/base/ids.ts';
import { formatDigest, recordDigest } from '../../src/cache/digest.ts';
import type { FileRecord } from '../../src/cache/file-catalog.ts';
import { MemoryFileCatalog } from '../../src/cache/memory-file-catalog.ts';
import { RecordWriter } from '../../src/job/record-writer.ts';
import { settle } from '../data/support.ts';

const HOLDER = jobId('a/1.1');

function record(changes: Partial<FileRecord> = {}): FileRecord {
  return {
    path: 's3://b/a',
    sizeBytes: 10,
    version: 'v1',
    mtimeMs: 1,
    segmentSizeBytes: 8,
    segmented: true,
    replicaCount: 1,
    loadedBy: jobId('a'),
    ...changes,
  };
}

test('record writer: what arrives during a write shares the next one', async (t) => {
  const catalog = new MemoryFileCatalog();
  const groups: number[] = [];
  const hold = catalog.hold.bind(catalog);
  catalog.hold = async (held) => {
    groups.push(held.length);
    await settle();
    await hold(held);
  };
  const writer = new RecordWriter(catalog);
  const puts = Array.from({ length: 50 }, (_, n) =>
    writer.put(record({ path: `p${n}` }), false, HOLDER),
  );
  await Promise.all(puts);
  t.deepEqual(groups, [1, 49]);
  t.is(await catalog.count(), 50);
});

test('record writer: a failed write fails those who wait for it, and no others', async (t) => {
  const catalog = new MemoryFileCatalog();
  const hold = catalog.hold.bind(catalog);
  let failures = 1;
  catalog.hold = async (held) => {
    await settle();
    if (failures-- > 0) throw new Error('disk');
    await hold(held);
  };
  const writer = new RecordWriter(catalog);
  const first = writer.put(record({ path: 'p1' }), false, HOLDER);
  const second = writer.put(record({ path: 'p2' }), false, HOLDER);
  await t.throwsAsync(first, { message: 'disk' });
  t.is((await second).path, 'p2');
  t.is(await catalog.get('p1'), undefined);
});

test('record writer: an equal record of another job stays theirs, with the most replicas', async (t) => {
  const catalog = new MemoryFileCatalog();
  const writer = new RecordWriter(catalog);
  const ours = record();
  t.is((await writer.put(ours, false, HOLDER)).loadedBy, ours.loadedBy);
  t.is((await writer.put(ours, false, HOLDER)).loadedBy, ours.loadedBy, 'ours, before or now');
  const other = record({ loadedBy: jobId('b') });
  t.is((await writer.put(other, false, HOLDER)).loadedBy, ours.loadedBy);
  t.like(await writer.put({ ...other, replicaCount: 3 }, false, HOLDER), {
    loadedBy: ours.loadedBy,
    replicaCount: 3,
  });
  t.like(await catalog.get('s3://b/a'), { loadedBy: jobId('a'), replicaCount: 3 });
  t.is((await writer.put({ ...other, replicaCount: 2 }, false, HOLDER)).replicaCount, 3);
  t.is((await catalog.get('s3://b/a'))?.replicaCount, 3);
});

test('record writer: another version, cut or a reload replaces what was there', async (t) => {
  const catalog = new MemoryFileCatalog();
  const writer = new RecordWriter(catalog);
  await writer.put(record(), false, HOLDER);
  for (const change of [
    { version: 'v2' },
    { segmentSizeBytes: 4 },
    { segmented: false },
    { sizeBytes: 9 },
  ]) {
    const next = record({ ...change, loadedBy: jobId('b') });
    t.is(await writer.put(next, false, HOLDER), next);
    t.deepEqual(await catalog.get('s3://b/a'), next);
  }
  const again = record({ sizeBytes: 9, loadedBy: jobId('c') });
  t.is(await writer.put(again, true, HOLDER), again);
  t.is((await catalog.get('s3://b/a'))?.loadedBy, jobId('c'));
});

test('record writer: what is held is counted as it is stored now, new or not', async (t) => {
  const catalog = new MemoryFileCatalog();
  const writer = new RecordWriter(catalog);
  const other = jobId('b/1.1');
  await writer.put(record(), false, HOLDER);
  await writer.put(record({ path: 's3://b/c', loadedBy: jobId('b') }), false, other);
  await writer.put(record({ loadedBy: jobId('b') }), false, other);
  const digest = formatDigest(recordDigest(record()));
  t.deepEqual(await catalog.heldInventory(HOLDER, 's3://b'), { recordCount: 1, digest });
  t.is((await catalog.heldInventory(other, 's3://b')).recordCount, 2);
  await catalog.delete('s3://b/a');
  t.is((await catalog.heldInventory(HOLDER, 's3://b')).recordCount, 0);
});

test('record writer: two jobs that bring the same file at once agree on one record', async (t) => {
  const catalog = new MemoryFileCatalog();
  const writer = new RecordWriter(catalog);
  const busy = writer.put(record({ path: 'other' }), false, HOLDER);
  const first = writer.put(record(), false, HOLDER);
  const more = record({ loadedBy: jobId('b'), replicaCount: 2 });
  const second = writer.put(more, false, jobId('b/1.1'));
  const stored = await Promise.all([busy, first, second]);
  t.deepEqual(
    stored.map(({ loadedBy }) => loadedBy),
    Array.from({ length: 3 }, () => jobId('a')),
  );
  t.like(await catalog.get(record().path), { loadedBy: jobId('a'), replicaCount: 2 });
  for (const holder of [HOLDER, jobId('b/1.1')]) {
    t.is((await catalog.heldInventory(holder, record().path)).recordCount, 1);
  }
});

test('record writer: what is known of an object besides is kept, and the newest of it', async (t) => {
  const catalog = new MemoryFileCatalog();
  const writer = new RecordWriter(catalog);
  const stored = async (): Promise<unknown> => (await catalog.get(record().path))?.attributes;
  const png = [['content-type', 'image/png']] as const;
  const gif = [['content-type', 'image/gif']] as const;
  await writer.put(record(), false, HOLDER);
  await writer.put(record({ attributes: png, loadedBy: jobId('b') }), false, HOLDER);
  t.deepEqual(await stored(), png);
  t.is((await catalog.get(record().path))?.loadedBy, jobId('a'));
  await writer.put(record({ replicaCount: 3 }), false, HOLDER);
  t.deepEqual(await stored(), png, 'with more replicas');
  await writer.put(record({ loadedBy: jobId('c') }), true, HOLDER);
  t.deepEqual(await stored(), png, 'after a reload of the same version');
  await writer.put(record({ attributes: gif }), false, HOLDER);
  t.deepEqual(await stored(), gif);
  await writer.put(record({ version: 'v2' }), false, HOLDER);
  t.is(await stored(), undefined, 'of another version');
});
