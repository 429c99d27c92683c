import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError } from '../../src/base/errors.ts';
import { meterStores } from '../../src/node/metered-stores.ts';
import type { Metrics, UfsRequest } from '../../src/obs/metrics.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import type { MountTable } from '../../src/ufs/mounts.ts';

function world() {
  const store = new MemoryUnderStore();
  const object = store.put('s3://b/f', new Uint8Array(200_000));
  const clock = new ManualClock();
  const seen: UfsRequest[] = [];
  const table: Pick<MountTable, 'mounts' | 'storeOf'> = {
    mounts: ['s3://b'],
    storeOf: () => store,
  };
  const metrics: Pick<Metrics, 'ufsRequest'> = { ufsRequest: (request) => seen.push(request) };
  const stores = meterStores(table as MountTable, metrics as Metrics, clock);
  return { store, object, clock, seen, stores, signal: new AbortController().signal };
}

async function* bytesOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<number> {
  for await (const chunk of source) yield chunk.length;
}

test('meter: every call counts once, by its outcome and with its time', async (t) => {
  const { store, clock, seen, stores, signal } = world();
  store.onCall = () => {
    clock.advance(250);
  };
  const metered = stores.storeOf('s3://b/f');
  t.is((await metered.list({ root: 's3://b', limit: 10 }, signal)).objects.length, 1);
  t.is((await metered.stat('s3://b/f', signal)).sizeBytes, 200_000);
  await t.throwsAsync(metered.stat('s3://b/none', signal));
  t.deepEqual(seen, [
    { op: 'list', code: 'ok', seconds: 0.25 },
    { op: 'stat', code: 'ok', seconds: 0.25 },
    { op: 'stat', code: 'ufs_not_found', seconds: 0.25 },
  ]);
});

const range = ({ version }: { version: string }) => ({
  path: 's3://b/f',
  version,
  sizeBytes: 200_000,
  offset: 0,
  length: 200_000,
});

test('meter: a read counts when it ends, with what it yielded untouched', async (t) => {
  const { object, seen, stores, signal } = world();
  const lengths: number[] = [];
  const read = stores.storeOf('s3://b/f').readRange(range(object), signal);
  for await (const length of bytesOf(read)) {
    t.deepEqual(seen, []);
    lengths.push(length);
  }
  t.is(
    lengths.reduce((sum, length) => sum + length, 0),
    200_000,
  );
  t.deepEqual(seen, [{ op: 'read', code: 'ok', seconds: 0 }]);
});

test('meter: a read that is left early was cancelled, one that breaks failed', async (t) => {
  const { store, object, seen, stores, signal } = world();
  const metered = stores.storeOf('s3://b/f');
  for await (const _chunk of metered.readRange(range(object), signal)) break;
  store.onCall = () => Promise.reject(new RingloadError('ufs_throttled', 'slow down'));
  await t.throwsAsync(bytesOf(metered.readRange(range(object), signal)).next());
  t.deepEqual(
    seen.map(({ code }) => code),
    ['cancelled', 'ufs_throttled'],
  );
});

test('meter: a store is the same one each time, and mounts pass through', (t) => {
  const { stores } = world();
  t.is(stores.storeOf('s3://b/f'), stores.storeOf('s3://b/g'));
  t.deepEqual(stores.mounts, ['s3://b']);
});
