import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import test from 'ava';

import { jobId } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { openFileSegmentStore } from '../../../src/cache/io/open-file-segment-store.ts';
import type { FileSegmentStore } from '../../../src/cache/io/file-segment-store.ts';
import {
  REGION_BYTES,
  bytesOf,
  checksumsOf,
  keyOf,
  loadBytes,
  openSmallStore,
  storeBytes,
  temporaryFolder,
} from '../support/fixtures.ts';
import { wallClock } from '../support/wall-clock.ts';

const BLOCK = 64 * 1024;
const jobA = jobId('00000000-0000-4000-8000-00000000000a');
const jobB = jobId('00000000-0000-4000-8000-00000000000b');

/** Opens, lets `work` use the store, closes. */
async function during<T>(
  path: string,
  work: (store: FileSegmentStore) => Promise<T>,
  regionCount = 4,
): Promise<T> {
  const store = await openSmallStore(path, { regionCount });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

test('recovery: segments, leases and usage are the same after a restart', async (t) => {
  await using folder = await temporaryFolder();
  const before = await during(folder.path, async (store) => {
    for (let index = 0; index < 8; index++) {
      const size = index % 2 === 0 ? BLOCK : 700;
      await storeBytes(store, keyOf(index), bytesOf(index, size), index < 5 ? jobA : undefined);
    }
    store.lease(keyOf(6), jobB);
    store.lease(keyOf(0), jobB);
    return { usage: store.usage(), a: await store.inventory(jobA), b: await store.inventory(jobB) };
  });
  await during(folder.path, async (store) => {
    t.deepEqual(store.usage(), before.usage);
    t.deepEqual(await store.inventory(jobA), before.a);
    t.deepEqual(await store.inventory(jobB), before.b);
    t.deepEqual([...store.leaseHolders()].sort(), [jobA, jobB]);
    for (let index = 0; index < 8; index++) {
      const size = index % 2 === 0 ? BLOCK : 700;
      t.deepEqual(await loadBytes(store, keyOf(index)), bytesOf(index, size));
      t.is((await store.lookup(keyOf(index)))?.loadedBy, index < 5 ? jobA : undefined);
    }
  });
});

test('recovery: what was dropped or replaced stays so', async (t) => {
  await using folder = await temporaryFolder();
  await during(folder.path, async (store) => {
    for (let index = 0; index < 4; index++) await storeBytes(store, keyOf(index), bytesOf(1, 100));
    await store.drop(keyOf(1));
    await storeBytes(store, keyOf(2), bytesOf(2, 100));
  });
  await during(folder.path, async (store) => {
    t.is(await store.lookup(keyOf(1)), undefined);
    t.deepEqual(await loadBytes(store, keyOf(2)), bytesOf(2, 100));
    t.is(store.usage().segmentCount, 3);
  });
});

test('recovery: the region being filled is filled further, not over', async (t) => {
  await using folder = await temporaryFolder();
  for (let index = 0; index < 11; index++) {
    await during(folder.path, (store) => storeBytes(store, keyOf(index), bytesOf(index, BLOCK)));
  }
  await during(folder.path, async (store) => {
    t.is(store.usage().segmentCount, 11, 'eleven restarts wasted no region');
    for (let index = 0; index < 11; index++) {
      t.deepEqual(await loadBytes(store, keyOf(index)), bytesOf(index, BLOCK));
    }
  });
});

test('recovery: eviction and leases go on after a restart', async (t) => {
  await using folder = await temporaryFolder();
  for (let round = 0; round < 6; round++) {
    await during(folder.path, async (store) => {
      if (round === 0) await storeBytes(store, keyOf(0), bytesOf(0, BLOCK), jobA);
      for (let index = 1; index < 9; index++) {
        const number = round * 10 + index;
        await storeBytes(store, keyOf(number), bytesOf(number, BLOCK));
        t.true(store.usage().usedBytes <= store.usage().capacityBytes);
      }
      t.deepEqual(await loadBytes(store, keyOf(0)), bytesOf(0, BLOCK), `round ${round}`);
    });
  }
});

test('recovery: a copy that was committed late into an older region counts', async (t) => {
  await using folder = await temporaryFolder();
  await during(folder.path, async (store) => {
    const bytes = bytesOf(0, BLOCK);
    const late = await store.reserve(keyOf(0), BLOCK, jobA);
    await store.write(late.extent, 0, bytes);
    for (let index = 1; index < 4; index++) {
      await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
    }
    await storeBytes(store, keyOf(0), bytes, jobB);
    await late.commit(checksumsOf(bytes));
  });
  await during(folder.path, async (store) => {
    t.deepEqual(await loadBytes(store, keyOf(0)), bytesOf(0, BLOCK));
    t.is((await store.inventory(jobA)).segmentCount, 1);
    t.is((await store.inventory(jobB)).segmentCount, 1);
    t.is(store.usage().segmentCount, 4);
  });
});

test('recovery: copies in two directories count once, and stay dropped', async (t) => {
  await using folder = await temporaryFolder();
  const open = () =>
    openFileSegmentStore({
      directories: ['a', 'b'].map((name) => ({
        path: join(folder.path, name),
        capacityBytes: 2 * REGION_BYTES,
      })),
      regionSizeBytes: REGION_BYTES,
      clock: wallClock,
      logger: silentLogger,
    });
  const first = await open();
  for (const job of [jobA, jobB, jobA]) {
    for (const index of [1, 2, 3]) await storeBytes(first, keyOf(index), bytesOf(index, 500), job);
  }
  await first.drop(keyOf(3));
  await first.close();
  const second = await open();
  t.is(second.usage().segmentCount, 2);
  for (const index of [1, 2]) {
    t.deepEqual(await loadBytes(second, keyOf(index)), bytesOf(index, 500));
  }
  for (const job of [jobA, jobB]) t.is((await second.inventory(job)).segmentCount, 2);
  t.is(await second.lookup(keyOf(3)), undefined);
  await second.close();
});

test('recovery: a smaller capacity removes the regions beyond it', async (t) => {
  await using folder = await temporaryFolder();
  await during(folder.path, async (store) => {
    for (let index = 0; index < 12; index++) {
      await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
    }
  });
  await during(
    folder.path,
    async (store) => {
      t.is(store.usage().capacityBytes, REGION_BYTES);
      await storeBytes(store, keyOf(50), bytesOf(50, BLOCK));
      t.deepEqual(await loadBytes(store, keyOf(50)), bytesOf(50, BLOCK));
      for await (const { key } of store.segments()) {
        t.deepEqual(await loadBytes(store, key), bytesOf(key.index, BLOCK));
      }
    },
    2,
  );
  const names = await readdir(folder.path);
  t.deepEqual(
    names.filter((name) => !/^region-0000[01]\.(dat|idx)$/.test(name)),
    [],
  );
});

test('recovery: another region size starts empty instead of failing', async (t) => {
  await using folder = await temporaryFolder();
  await during(folder.path, (store) => storeBytes(store, keyOf(0), bytesOf(0, BLOCK)));
  const store = await openSmallStore(folder.path, { regionSizeBytes: REGION_BYTES / 2 });
  t.is(store.usage().segmentCount, 0);
  await storeBytes(store, keyOf(1), bytesOf(1, BLOCK));
  t.deepEqual(await loadBytes(store, keyOf(1)), bytesOf(1, BLOCK));
  await store.close();
});
