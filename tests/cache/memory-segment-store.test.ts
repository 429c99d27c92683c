import test from 'ava';

import { nativeCrc32c } from '../../src/cache/io/native-crc32c.ts';
import { MemorySegmentStore } from '../../src/cache/memory-segment-store.ts';
import { retentionSuite } from './retention-suite.ts';
import { segmentStoreSuite } from './segment-store-suite.ts';
import { checksumsOf, keyOf } from './support/fixtures.ts';

const newStore = (): MemorySegmentStore =>
  new MemorySegmentStore({ capacityBytes: 768 * 1024, crc32c: nativeCrc32c });

segmentStoreSuite(test, 'memory store', () => {
  const store = newStore();
  return Promise.resolve({
    store,
    corrupt: (key, position) => {
      store.corrupt(key, position);
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => store.close(),
  });
});

retentionSuite(test, 'memory store', (clock) => {
  const options = { capacityBytes: 768 * 1024, crc32c: nativeCrc32c, nowMs: () => clock.nowMs() };
  const store = new MemorySegmentStore(options);
  return Promise.resolve({ store, [Symbol.asyncDispose]: () => store.close() });
});

test('memory store: a segment whose bytes nobody wrote counts, but cannot be read', async (t) => {
  const store = newStore();
  const reservation = await store.reserve(keyOf(1), 1000);
  await reservation.commit(checksumsOf(new Uint8Array(1000).fill(1)));
  t.is((await store.lookup(keyOf(1)))?.lengthBytes, 1000);
  const reader = await store.open(keyOf(1));
  await t.throwsAsync(async () => {
    for await (const _ of reader?.read(0, 1) ?? []) t.fail('nothing is read');
  });
});
