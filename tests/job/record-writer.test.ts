import test from 'ava';
import { jobId } from '../../src/base/ids.ts';
import type { FileRecord } from '../../src/cache/file-catalog.ts';
import { MemoryFileCatalog } from '../../src/cache/memory-file-catalog.ts';
import { RecordWriter } from '../../src/job/record-writer.ts';
import { settle } from '../data/support.ts';

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
  const putAll = catalog.putAll.bind(catalog);
  catalog.putAll = async (records) => {
    groups.push(records.length);
    await settle();
    await putAll(records);
  };
  const writer = new RecordWriter(catalog);
  const puts = Array.from({ length: 50 }, (_, n) => writer.put(record({ path: `p${n}` }), false));
  await Promise.all(puts);
  t.deepEqual(groups, [1, 49]);
  t.is(await catalog.count(), 50);
});

test('record writer: a failed write fails those who wait for it, and no others', async (t) => {
  const catalog = new MemoryFileCatalog();
  const putAll = catalog.putAll.bind(catalog);
  let failures = 1;
  catalog.putAll = async (records) => {
    await settle();
    if (failures-- > 0) throw new Error('disk');
    await putAll(records);
  };
  const writer = new RecordWriter(catalog);
  const first = writer.put(record({ path: 'p1' }), false);
  const second = writer.put(record({ path: 'p2' }), false);
  await t.throwsAsync(first, { message: 'disk' });
  t.true(await second);
  t.is(await catalog.get('p1'), undefined);
});

test('record writer: an equal record of another job stays theirs, with the most replicas', async (t) => {
  const catalog = new MemoryFileCatalog();
  const writer = new RecordWriter(catalog);
  t.true(await writer.put(record(), false));
  t.true(await writer.put(record(), false), 'ours, before or now');
  const other = record({ loadedBy: jobId('b') });
  t.false(await writer.put(other, false));
  t.false(await writer.put({ ...other, replicaCount: 3 }, false));
  t.like(await catalog.get('s3://b/a'), { loadedBy: jobId('a'), replicaCount: 3 });
  t.false(await writer.put({ ...other, replicaCount: 2 }, false));
  t.is((await catalog.get('s3://b/a'))?.replicaCount, 3);
});

test('record writer: another version, cut or a reload replaces what was there', async (t) => {
  const catalog = new MemoryFileCatalog();
  const writer = new RecordWriter(catalog);
  await writer.put(record(), false);
  for (const change of [
    { version: 'v2' },
    { segmentSizeBytes: 4 },
    { segmented: false },
    { sizeBytes: 9 },
  ]) {
    const next = record({ ...change, loadedBy: jobId('b') });
    t.true(await writer.put(next, false));
    t.deepEqual(await catalog.get('s3://b/a'), next);
  }
  t.true(await writer.put(record({ sizeBytes: 9, loadedBy: jobId('c') }), true));
  t.is((await catalog.get('s3://b/a'))?.loadedBy, jobId('c'));
});
