import test from 'ava';

import { retentionSuite } from '../retention-suite.ts';
import { segmentStoreSuite } from '../segment-store-suite.ts';
import { flipStoredByte } from '../support/damage.ts';
import { openSmallStore, temporaryFolder } from '../support/fixtures.ts';

segmentStoreSuite(test, 'file store', async () => {
  const folder = await temporaryFolder();
  const store = await openSmallStore(folder.path);
  return {
    store,
    corrupt: (key, position) => flipStoredByte({ store, folder: folder.path, key, position }),
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await folder[Symbol.asyncDispose]();
    },
  };
});

retentionSuite(test, 'file store', async (clock) => {
  const folder = await temporaryFolder();
  const store = await openSmallStore(folder.path, { clock, roomWaitMs: 0 });
  return {
    store,
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await folder[Symbol.asyncDispose]();
    },
  };
});
