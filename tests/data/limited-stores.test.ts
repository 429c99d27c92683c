import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { Bandwidth } from '../../src/data/bandwidth.ts';
import { limitStores } from '../../src/data/limited-stores.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';

test('limited stores: what a store can do besides reading, it still can', (t) => {
  const store = new MemoryUnderStore();
  const stores = { mounts: ['s3://b'], storeOf: () => store };
  const limited = limitStores(stores, new Bandwidth(new ManualClock(), 1000)).storeOf('s3://b/f');
  t.not(limited, store);
  t.is(limited.listsByKey, store.listsByKey);
  t.is(limitStores(stores, new Bandwidth(new ManualClock())).storeOf('s3://b/f'), store);
});
