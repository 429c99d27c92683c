import test from 'ava';

import { RingloadError } from '../../src/base/errors.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';

const never = new AbortController().signal;

test('memory store: a hook sees each call and decides its outcome', async (t) => {
  const store = new MemoryUnderStore();
  const object = store.put('s3://b/k', new Uint8Array([1, 2, 3]), 5);
  t.deepEqual(object, { path: 's3://b/k', sizeBytes: 3, version: 'v1', mtimeMs: 5 });
  const seen: string[] = [];
  store.onCall = ({ operation, path }) => {
    seen.push(`${operation} ${path}`);
    if (operation === 'stat') throw new RingloadError('ufs_throttled', 'slow down');
  };
  await t.throwsAsync(store.stat('s3://b/k', never), { message: 'slow down' });
  await store.list({ root: 's3://b', limit: 1 }, never);
  for await (const chunk of store.readRange({ ...object, offset: 1, length: 2 }, never)) {
    t.deepEqual([...chunk], [2, 3]);
  }
  t.deepEqual(seen, ['stat s3://b/k', 'list s3://b', 'readRange s3://b/k']);
  t.is(store.readBytes, 2);
});
