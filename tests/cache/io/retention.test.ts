/** Rules of retention in the file store: over a restart, and while segments are told of them. */
import test from 'ava';
import { RingloadError } from '../../../src/base/errors.ts';
import { RuleBook } from '../../../src/cluster/rule-book.ts';
import { retentionOf } from '../../../src/node/retention-of.ts';
import {
  bytesOf,
  loadBytes,
  openSmallStore,
  storeBytes,
  temporaryFolder,
} from '../support/fixtures.ts';

const SIZE = 16 * 1024;
const keyAt = (path: string) => ({ path, version: 'v1', segmentSizeBytes: SIZE, index: 0 });
const PINNED = retentionOf(new RuleBook([{ path: 's3://b/keep', pinned: true }]), 1);

test('file store: what is pinned outlives a restart, and nothing goes before rules are known', async (t) => {
  await using folder = await temporaryFolder();
  const before = await openSmallStore(folder.path);
  await before.setRetention(PINNED);
  for (let n = 0; n < 8; n += 1)
    await storeBytes(before, keyAt(`s3://b/keep/${n}`), bytesOf(n, SIZE));
  for (let n = 0; n < 40; n += 1)
    await storeBytes(before, keyAt(`s3://b/x/${n}`), bytesOf(n, SIZE));
  await before.close();
  const store = await openSmallStore(folder.path, { awaitsRetention: true, roomWaitMs: 0 });
  const error = await t.throwsAsync(
    async () => {
      for (let n = 0; n < 60; n += 1)
        await storeBytes(store, keyAt(`s3://b/y/${n}`), bytesOf(n, SIZE));
    },
    { instanceOf: RingloadError },
  );
  t.is(error.code, 'cache_full');
  t.is(store.usage().evictedSegmentCount, 0);
  await store.setRetention(PINNED);
  for (let n = 0; n < 150; n += 1)
    await storeBytes(store, keyAt(`s3://b/z/${n}`), bytesOf(n, SIZE));
  for (let n = 0; n < 8; n += 1)
    t.deepEqual(await loadBytes(store, keyAt(`s3://b/keep/${n}`)), bytesOf(n, SIZE));
  t.is(store.usage().pinnedBytes, 8 * SIZE);
  await store.close();
});

test('file store: a fill that needs room waits until all segments know their rules', async (t) => {
  await using folder = await temporaryFolder();
  const store = await openSmallStore(folder.path);
  for (let n = 0; n < 8; n += 1)
    await storeBytes(store, keyAt(`s3://b/keep/${n}`), bytesOf(n, SIZE));
  for (let n = 0; n < 38; n += 1) await storeBytes(store, keyAt(`s3://b/x/${n}`), bytesOf(n, SIZE));
  const fills = Array.from({ length: 60 }, (_, n) => n);
  // Neither waits for the other: the rule comes while room is being made.
  const setting = store.setRetention(PINNED);
  await Promise.all(fills.map((n) => storeBytes(store, keyAt(`s3://b/y/${n}`), bytesOf(n, SIZE))));
  await setting;
  for (let n = 0; n < 8; n += 1) t.truthy(await store.lookup(keyAt(`s3://b/keep/${n}`)), `${n}`);
  await store.close();
});
