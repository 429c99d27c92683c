import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import test from 'ava';

import { jobId } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { openFileSegmentStore } from '../../../src/cache/io/open-file-segment-store.ts';
import { flipByte, flipStoredByte } from '../support/damage.ts';
import { newFaultyDisk } from '../support/faulty-disk.ts';
import {
  REGION_BYTES,
  bytesOf,
  checksumsOf,
  eventually,
  keyOf,
  loadBytes,
  openSmallStore,
  storeBytes,
  temporaryFolder,
} from '../support/fixtures.ts';
import { wallClock } from '../support/wall-clock.ts';

const BLOCK = 64 * 1024;

const codeOf = (error: unknown): unknown => (error as { code?: unknown } | undefined)?.code;

function openTwo(path: string, disk = newFaultyDisk(), errorMaxCount = 3) {
  return openFileSegmentStore({
    directories: ['a', 'b'].map((name) => ({
      path: join(path, name),
      capacityBytes: 4 * REGION_BYTES,
    })),
    regionSizeBytes: REGION_BYTES,
    clock: wallClock,
    logger: silentLogger,
    roomWaitMs: 500,
    errorMaxCount,
    disk,
  });
}

test('faults: a failed data sync fails its commits, once, and gives the region up', async (t) => {
  await using folder = await temporaryFolder();
  const disk = newFaultyDisk();
  const store = await openSmallStore(folder.path, { disk });
  await storeBytes(store, keyOf(0), bytesOf(0, BLOCK));
  disk.fault = (operation, path) =>
    operation === 'datasync' && path.endsWith('.dat') ? 'EIO' : undefined;
  const before = disk.counts.get('datasync') ?? 0;
  const errors = await Promise.all(
    [1, 2, 3].map((index) => t.throwsAsync(storeBytes(store, keyOf(index), bytesOf(index, 100)))),
  );
  t.deepEqual(errors.map(codeOf), ['cache_io', 'cache_io', 'cache_io']);
  const tries = (disk.counts.get('datasync') ?? 0) - before;
  t.true(tries <= 3, `${tries} syncs for three commits: none is repeated`);
  disk.fault = undefined;
  for (const index of [1, 2, 3]) t.is(await store.lookup(keyOf(index)), undefined);
  t.deepEqual(await loadBytes(store, keyOf(0)), bytesOf(0, BLOCK), 'what was durable is served');
  await storeBytes(store, keyOf(4), bytesOf(4, BLOCK));
  t.deepEqual(await loadBytes(store, keyOf(4)), bytesOf(4, BLOCK), 'another region takes over');
  await store.close();
});

test('faults: a failed sidecar sync fails its commits', async (t) => {
  await using folder = await temporaryFolder();
  const disk = newFaultyDisk();
  const store = await openSmallStore(folder.path, { disk });
  await storeBytes(store, keyOf(0), bytesOf(0, BLOCK));
  disk.fault = (operation, path) =>
    operation === 'datasync' && path.endsWith('.idx') ? 'EIO' : undefined;
  t.is(codeOf(await t.throwsAsync(storeBytes(store, keyOf(1), bytesOf(1, 100)))), 'cache_io');
  t.is(await store.lookup(keyOf(1)), undefined);
  disk.fault = undefined;
  await storeBytes(store, keyOf(1), bytesOf(1, 100));
  await store.close();
  const again = await openSmallStore(folder.path);
  for (const index of [0, 1]) {
    t.deepEqual(await loadBytes(again, keyOf(index)), bytesOf(index, index === 0 ? BLOCK : 100));
  }
  await again.close();
});

test('faults: a full disk is cache_io for the writer', async (t) => {
  await using folder = await temporaryFolder();
  const disk = newFaultyDisk();
  const store = await openSmallStore(folder.path, { disk });
  const reservation = await store.reserve(keyOf(1), BLOCK);
  disk.fault = (operation) => (operation === 'write' ? 'ENOSPC' : undefined);
  const error = await t.throwsAsync(store.write(reservation.extent, 0, bytesOf(1, BLOCK)));
  t.is(codeOf(error), 'cache_io');
  t.is(
    (error as { details?: { systemCode?: unknown } } | undefined)?.details?.systemCode,
    'ENOSPC',
  );
  reservation.abort();
  disk.fault = undefined;
  await storeBytes(store, keyOf(1), bytesOf(1, BLOCK));
  t.deepEqual(await loadBytes(store, keyOf(1)), bytesOf(1, BLOCK));
  await store.close();
});

test('faults: damage that a read meets is told, that of a check is its outcome', async (t) => {
  await using folder = await temporaryFolder();
  const store = await openSmallStore(folder.path);
  const told: number[] = [];
  store.onDamaged = ({ index }) => told.push(index);
  for (const index of [1, 2]) {
    await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
    await flipStoredByte({ store, folder: folder.path, key: keyOf(index), position: 5 });
  }
  t.is((await store.check(keyOf(1))).state, 'damaged');
  t.is(codeOf(await t.throwsAsync(loadBytes(store, keyOf(2)))), 'segment_corrupt');
  t.deepEqual(told, [2]);
  await store.close();
});

test('faults: a process that may open nothing keeps its segments, regions and directories', async (t) => {
  await using folder = await temporaryFolder();
  const disk = newFaultyDisk();
  const store = await openSmallStore(folder.path, {
    disk,
    errorMaxCount: 2,
    openFileMaxCount: 0,
    recordCacheMaxBytes: 0,
  });
  for (const index of [0, 1]) await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
  const { capacityBytes } = store.usage();
  disk.fault = (operation) => (operation === 'open' ? 'EMFILE' : undefined);
  for (const index of [0, 1, 0, 1]) {
    t.is(codeOf(await t.throwsAsync(loadBytes(store, keyOf(index)))), 'cache_io');
    t.is(codeOf(await t.throwsAsync(storeBytes(store, keyOf(2), bytesOf(2, BLOCK)))), 'cache_io');
  }
  disk.fault = undefined;
  for (const index of [0, 1])
    t.deepEqual(await loadBytes(store, keyOf(index)), bytesOf(index, BLOCK));
  await storeBytes(store, keyOf(2), bytesOf(2, BLOCK));
  const usage = store.usage();
  t.is(usage.capacityBytes, capacityBytes);
  t.is(usage.corruptSegmentCount, 0);
  t.is(usage.directories[0]?.state, 'ok');
  await store.close();
});

test('faults: a disk smaller than the capacity is used as far as it goes', async (t) => {
  await using folder = await temporaryFolder();
  const disk = newFaultyDisk();
  const store = await openSmallStore(folder.path, { disk, regionCount: 20, errorMaxCount: 2 });
  disk.fault = (operation) =>
    operation === 'preallocate' && (disk.counts.get('preallocate') ?? 0) > 3 ? 'ENOSPC' : undefined;
  await storeBytes(store, keyOf(1000), bytesOf(1000, BLOCK), jobId('job'));
  for (let index = 0; index < 60; index++) {
    await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
    t.deepEqual(await loadBytes(store, keyOf(index)), bytesOf(index, BLOCK));
  }
  t.deepEqual(await loadBytes(store, keyOf(1000)), bytesOf(1000, BLOCK), 'what is leased stays');
  t.is(store.usage().capacityBytes, 2 * REGION_BYTES);
  t.is(store.usage().directories[0]?.state, 'ok');
  await store.close();
});

test('faults: a disk that was full for a while costs no region and no segment', async (t) => {
  await using folder = await temporaryFolder();
  const disk = newFaultyDisk();
  const store = await openSmallStore(folder.path, { disk, roomWaitMs: 50 });
  for (let index = 0; index < 20; index++) {
    await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
  }
  const before = store.usage();
  disk.fault = (operation, path) =>
    operation === 'write' && path.endsWith('.idx') ? 'ENOSPC' : undefined;
  for (let index = 20; index < 40; index++) {
    const error = await t.throwsAsync(storeBytes(store, keyOf(index), bytesOf(index, BLOCK)));
    t.is(codeOf(error), 'cache_io');
  }
  t.is(store.usage().capacityBytes, before.capacityBytes);
  t.is(store.usage().segmentCount, before.segmentCount, 'nothing was evicted for nothing');
  disk.fault = undefined;
  for (let index = 40; index < 60; index++) {
    await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
    t.deepEqual(await loadBytes(store, keyOf(index)), bytesOf(index, BLOCK));
  }
  await store.close();
  const again = await openSmallStore(folder.path);
  t.deepEqual(await loadBytes(again, keyOf(59)), bytesOf(59, BLOCK));
  await again.close();
});

test('faults: an unreadable segment is dropped, the others are served', async (t) => {
  await using folder = await temporaryFolder();
  const disk = newFaultyDisk();
  const store = await openSmallStore(folder.path, { disk });
  for (const index of [0, 1]) await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
  const reader = await store.open(keyOf(0));
  disk.fault = (operation, path) =>
    operation === 'read' && path.endsWith('.dat') ? 'EIO' : undefined;
  const error = await t.throwsAsync(async () => {
    for await (const _ of reader?.read(0, 10) ?? []) t.fail('nothing is read');
  });
  t.is(codeOf(error), 'cache_io');
  reader?.close();
  disk.fault = undefined;
  t.is(await store.lookup(keyOf(0)), undefined);
  t.deepEqual(await loadBytes(store, keyOf(1)), bytesOf(1, BLOCK));
  await store.close();
});

test('faults: after repeated errors a directory is out, the other serves', async (t) => {
  await using folder = await temporaryFolder();
  const disk = newFaultyDisk();
  const store = await openTwo(folder.path, disk);
  for (let index = 0; index < 8; index++) {
    await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
  }
  disk.fault = (operation, path) =>
    path.startsWith(join(folder.path, 'a')) && operation !== 'open' ? 'EIO' : undefined;
  let failedCount = 0;
  for (let index = 10; store.usage().directories[0]?.state === 'ok' && index < 100; index++) {
    await storeBytes(store, keyOf(index), bytesOf(index, BLOCK)).catch(() => failedCount++);
  }
  t.true(failedCount <= 3, `${failedCount} stores failed`);
  t.deepEqual(
    store.usage().directories.map(({ state }) => state),
    ['failed', 'ok'],
  );
  t.is(store.usage().capacityBytes, 3 * REGION_BYTES);
  let servedCount = 0;
  for await (const { key } of store.segments()) {
    servedCount++;
    t.deepEqual(await loadBytes(store, key), bytesOf(key.index, BLOCK));
  }
  t.true(servedCount >= 4, `${servedCount} lay on the other disk`);
  t.is(servedCount, store.usage().segmentCount);
  for (let index = 200; index < 230; index++) {
    await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
  }
  t.deepEqual(await loadBytes(store, keyOf(229)), bytesOf(229, BLOCK));
  await store.close();
});

test('faults: a directory removed under a running store takes only itself out', async (t) => {
  await using folder = await temporaryFolder();
  const store = await openTwo(folder.path);
  for (let index = 0; index < 8; index++) {
    await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
  }
  await rm(join(folder.path, 'a'), { recursive: true });
  await writeFile(join(folder.path, 'a'), 'not a directory');
  for (let index = 100; index < 160; index++) {
    await storeBytes(store, keyOf(index), bytesOf(index, BLOCK)).catch((error: unknown) => {
      t.is(codeOf(error), 'cache_io');
    });
  }
  t.deepEqual(
    store.usage().directories.map(({ state }) => state),
    ['failed', 'ok'],
  );
  await storeBytes(store, keyOf(500), bytesOf(500, BLOCK));
  t.deepEqual(await loadBytes(store, keyOf(500)), bytesOf(500, BLOCK));
  await store.close();
});

test('faults: a directory that cannot be used at start does not keep the others down', async (t) => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'a'), 'a file stands in the way');
  const store = await openTwo(folder.path);
  t.deepEqual(
    store.usage().directories.map(({ state }) => state),
    ['failed', 'ok'],
  );
  await storeBytes(store, keyOf(1), bytesOf(1, BLOCK));
  t.deepEqual(await loadBytes(store, keyOf(1)), bytesOf(1, BLOCK));
  await store.close();
});

test('faults: with every directory out, reads miss and reservations say cache_io', async (t) => {
  await using folder = await temporaryFolder();
  const disk = newFaultyDisk();
  disk.fault = (operation) => (operation === 'prepare' ? 'EROFS' : undefined);
  const store = await openTwo(folder.path, disk);
  t.is(await store.lookup(keyOf(1)), undefined);
  t.is(await store.open(keyOf(1)), undefined);
  t.is(codeOf(await t.throwsAsync(store.reserve(keyOf(1), 10))), 'cache_io');
  t.is(store.usage().capacityBytes, 0);
  await store.close();
});

test('faults: the folder is for its owner alone', async (t) => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'cache');
  await mkdir(path, { mode: 0o755 });
  await chmod(path, 0o755);
  const store = await openSmallStore(path);
  await storeBytes(store, keyOf(1), bytesOf(1, 10));
  const { stat, readdir } = await import('node:fs/promises');
  t.is((await stat(path)).mode & 0o777, 0o700);
  for (const name of await readdir(path)) t.is((await stat(join(path, name))).mode & 0o077, 0);
  await store.close();
});

test('faults: a failure while a region is emptied keeps what is leased', async (t) => {
  await using folder = await temporaryFolder();
  const disk = newFaultyDisk();
  const store = await openSmallStore(folder.path, { disk, errorMaxCount: 100, regionCount: 6 });
  const job = jobId('job');
  for (let index = 0; index < 3; index++) {
    await storeBytes(store, keyOf(index), bytesOf(index, BLOCK), index === 1 ? job : undefined);
  }
  let syncCount = 0;
  disk.fault = (operation) =>
    operation === 'datasync' && ++syncCount % 7 === 0 ? 'EIO' : undefined;
  for (let index = 10; index < 60; index++) {
    await storeBytes(store, keyOf(index), bytesOf(index, BLOCK)).catch(() => undefined);
    t.deepEqual(await loadBytes(store, keyOf(1)), bytesOf(1, BLOCK), `after ${index}`);
  }
  await store.close();
});

test('reservations wait for a reader when only its region could go', async (t) => {
  await using folder = await temporaryFolder();
  const store = await openSmallStore(folder.path, { regionCount: 2, roomWaitMs: 10_000 });
  for (let index = 0; index < 4; index++) {
    await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
  }
  const reader = await store.open(keyOf(0));
  let isStored = false;
  const stored = storeBytes(store, keyOf(9), bytesOf(9, BLOCK)).then(() => (isStored = true));
  await new Promise((resolve) => setImmediate(resolve));
  t.false(isStored);
  reader?.close();
  await stored;
  t.deepEqual(await loadBytes(store, keyOf(9)), bytesOf(9, BLOCK));
  await store.close();
});

test('reservations give up with cache_full when a reader stays', async (t) => {
  await using folder = await temporaryFolder();
  const store = await openSmallStore(folder.path, { regionCount: 2, roomWaitMs: 30 });
  for (let index = 0; index < 4; index++) {
    await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
  }
  const reader = await store.open(keyOf(0));
  t.is(codeOf(await t.throwsAsync(store.reserve(keyOf(9), BLOCK))), 'cache_full');
  reader?.close();
  const reservation = await store.reserve(keyOf(9), BLOCK);
  await store.write(reservation.extent, 0, bytesOf(9, BLOCK));
  await reservation.commit(checksumsOf(bytesOf(9, BLOCK)));
  await eventually(async () => (await store.lookup(keyOf(9))) !== undefined);
  await store.close();
});

test('options: less than two regions, odd sizes and doubled directories are refused', async (t) => {
  const open = (options: object) =>
    openFileSegmentStore({
      directories: [{ path: '/nowhere/cache', capacityBytes: 2 * REGION_BYTES }],
      regionSizeBytes: REGION_BYTES,
      clock: wallClock,
      logger: silentLogger,
      ...options,
    });
  for (const options of [
    { directories: [] },
    { directories: [{ path: 'x', capacityBytes: 2 * REGION_BYTES - 1 }] },
    { directories: [{ path: 'x', capacityBytes: Number.NaN }] },
    { regionSizeBytes: 60 * 1024 },
    { regionSizeBytes: REGION_BYTES + 1 },
    { regionSizeBytes: 2 ** 31 },
    {
      directories: ['x', './x/'].map((path) => ({ path, capacityBytes: 2 * REGION_BYTES })),
    },
  ]) {
    t.is(codeOf(await t.throwsAsync(open(options))), 'config_invalid');
  }
});

test('faults: a check reads what describes a segment from the disk, not from memory', async (t) => {
  await using folder = await temporaryFolder();
  const store = await openSmallStore(folder.path);
  for (const index of [0, 1]) await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
  t.deepEqual(await loadBytes(store, keyOf(0)), bytesOf(0, BLOCK), 'its record is remembered');
  const [sidecar = ''] = (await readdir(folder.path)).filter((name) => name.endsWith('.idx'));
  const path = join(folder.path, sidecar);
  const content = await readFile(path);
  await flipByte(path, content.indexOf(keyOf(0).path));
  t.deepEqual(await store.check(keyOf(0)), { state: 'damaged' });
  t.is((await store.check(keyOf(1))).state, 'sound');
  t.deepEqual(await store.check(keyOf(0)), { state: 'missing' });
  await store.close();
});
