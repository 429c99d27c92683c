import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { jobId } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { openFileSegmentStore } from '../../../src/cache/io/open-file-segment-store.ts';
import type { FileSegmentStore } from '../../../src/cache/io/file-segment-store.ts';
import type { SegmentKey } from '../../../src/cache/segment-store.ts';
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

const SEGMENTS: readonly (readonly [SegmentKey, Uint8Array])[] = [
  [keyOf(0, 'a'), bytesOf(0, 90)],
  [keyOf(1, 'b'), bytesOf(1, BLOCK + 100)],
  [keyOf(2, 'c'), bytesOf(2, 130)],
];

/** Fills a folder with SEGMENTS and returns the names of its files. */
async function fillFolder(path: string): Promise<string[]> {
  await during(path, async (store) => {
    for (const [key, bytes] of SEGMENTS) await storeBytes(store, key, bytes, jobA);
    store.lease(SEGMENTS[1]?.[0] ?? keyOf(0), jobB);
  });
  return readdir(path);
}

/** Opens the damaged folder: every byte it serves is right. Returns how many segments it serves. */
async function checkServed(t: ExecutionContext, path: string, what: string): Promise<number> {
  return during(path, async (store) => {
    let servedCount = 0;
    for (const [key, bytes] of SEGMENTS) {
      try {
        const served = await loadBytes(store, key);
        if (served === undefined) continue;
        servedCount++;
        if (!Buffer.from(served).equals(bytes)) t.fail(`${what}: wrong bytes of ${key.path}`);
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'segment_corrupt') throw error;
        if ((await store.lookup(key)) !== undefined) t.fail(`${what}: ${key.path} was not dropped`);
      }
    }
    // And it goes on working.
    await storeBytes(store, keyOf(99, 'new'), bytesOf(99, 500));
    const fresh = await loadBytes(store, keyOf(99, 'new'));
    if (!Buffer.from(fresh ?? []).equals(bytesOf(99, 500))) t.fail(`${what}: new segment is lost`);
    return servedCount;
  });
}

async function eachDamage(
  t: ExecutionContext,
  damages: (name: string, content: Buffer) => Iterable<readonly [string, Buffer]>,
  suffix: string,
): Promise<{ damageCount: number; servedCount: number }> {
  await using folder = await temporaryFolder();
  const names = await fillFolder(folder.path);
  const contents = new Map<string, Buffer>();
  for (const name of names) contents.set(name, await readFile(join(folder.path, name)));
  let damageCount = 0;
  let servedCount = 0;
  for (const [name, content] of contents) {
    if (!name.endsWith(suffix)) continue;
    for (const [what, damaged] of damages(name, content)) {
      for (const stale of await readdir(folder.path)) await rm(join(folder.path, stale));
      for (const [other, original] of contents) await writeFile(join(folder.path, other), original);
      await writeFile(join(folder.path, name), damaged);
      damageCount++;
      servedCount += await checkServed(t, folder.path, `${name}: ${what}`);
    }
  }
  return { damageCount, servedCount };
}

test('damage: a flip of any byte of a sidecar never serves a wrong byte', async (t) => {
  t.timeout(120_000);
  const result = await eachDamage(
    t,
    function* (_, content) {
      for (let at = 0; at < content.length; at++) {
        const damaged = Buffer.from(content);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
        yield [`byte ${at} flipped`, damaged];
      }
    },
    '.idx',
  );
  t.true(result.damageCount > 300, `${result.damageCount} damages`);
  // A flip costs one record, or the header; the other segments are served.
  t.true(result.servedCount > result.damageCount * 1.5, `${result.servedCount} served`);
});

test('damage: a flip in any used part of a region file never serves a wrong byte', async (t) => {
  t.timeout(120_000);
  const result = await eachDamage(
    t,
    function* (_, content) {
      for (let at = 0; at < 2 * BLOCK; at += at < 400 ? 1 : 997) {
        const damaged = Buffer.from(content);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
        yield [`byte ${at} flipped`, damaged];
      }
    },
    '.dat',
  );
  t.true(result.damageCount > 400, `${result.damageCount} damages`);
  t.true(result.servedCount >= result.damageCount * 2, `${result.servedCount} served`);
});

test('damage: truncated, grown, zeroed and swapped files never serve a wrong byte', async (t) => {
  t.timeout(120_000);
  for (const suffix of ['.idx', '.dat']) {
    const result = await eachDamage(
      t,
      function* (_, content) {
        const step = Math.max(1, Math.floor(content.length / 150));
        for (let length = 0; length < content.length; length += step) {
          yield [`cut to ${length}`, content.subarray(0, length)];
        }
        yield ['grown by zeros', Buffer.concat([content, Buffer.alloc(5000)])];
        yield ['grown by garbage', Buffer.concat([content, Buffer.from(bytesOf(5, 5000))])];
        yield ['records twice', Buffer.concat([content, content.subarray(64)])];
        yield ['all zeros', Buffer.alloc(content.length)];
        const page = 4096;
        if (content.length >= 3 * page) {
          yield [
            'two pages swapped',
            Buffer.concat([
              content.subarray(page, 2 * page),
              content.subarray(0, page),
              content.subarray(2 * page),
            ]),
          ];
        }
      },
      suffix,
    );
    t.true(result.damageCount > 100, `${result.damageCount} damages of ${suffix}`);
  }
});

test('damage: a region file or sidecar that vanished costs its segments only', async (t) => {
  for (const suffix of ['.idx', '.dat']) {
    await using folder = await temporaryFolder();
    const names = await fillFolder(folder.path);
    for (const name of names.filter((each) => each.endsWith(suffix))) {
      await rm(join(folder.path, name));
    }
    t.is(await checkServed(t, folder.path, `no ${suffix}`), 0);
  }
});

test('damage: a torn record at the end is cut off and written over', async (t) => {
  await using folder = await temporaryFolder();
  const names = await fillFolder(folder.path);
  const sidecar = names.find((name) => name.endsWith('.idx')) ?? '';
  const { length } = await readFile(join(folder.path, sidecar));
  // The last record is the note of a lease, before it the third segment.
  await truncate(join(folder.path, sidecar), length - 100);
  t.is(await checkServed(t, folder.path, 'torn'), 2);
  t.is(await checkServed(t, folder.path, 'after the repair'), 2);
});

test('damage: files of others in the directory are left alone', async (t) => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'notes.txt'), 'mine');
  await writeFile(join(folder.path, 'region-99999.dat'), 'ours, but beyond the capacity');
  await fillFolder(folder.path);
  const names = await readdir(folder.path);
  t.true(names.includes('notes.txt'));
  t.false(names.includes('region-99999.dat'));
});
