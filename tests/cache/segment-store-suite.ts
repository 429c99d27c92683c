/** What every segment store promises, run on each implementation. */
import type { ExecutionContext, TestFn } from 'ava';

import { jobId } from '../../src/base/ids.ts';
import { addDigests, formatDigest, segmentDigest } from '../../src/cache/digest.ts';
import type { SegmentKey } from '../../src/cache/segment-store.ts';
import {
  bytesOf,
  checksumsOf,
  keyOf,
  loadBytes,
  storeBytes,
  type TestStore,
} from './support/fixtures.ts';

export interface StoreUnderTest extends AsyncDisposable {
  readonly store: TestStore;
  /** Spoils a byte of the resident segment behind the store's back. */
  corrupt(key: SegmentKey, position: number): Promise<void>;
}

/** @param create makes a store that can keep 768 KiB. */
export function segmentStoreSuite(
  test: TestFn,
  name: string,
  create: () => Promise<StoreUnderTest>,
): void {
  const check = (
    title: string,
    body: (t: ExecutionContext, under: StoreUnderTest) => Promise<void>,
  ): void => {
    test(`${name}: ${title}`, async (t) => {
      await using under = await create();
      await body(t, under);
    });
  };
  const jobA = jobId('00000000-0000-4000-8000-00000000000a');
  const jobB = jobId('00000000-0000-4000-8000-00000000000b');
  const BLOCK = 64 * 1024;

  check('a committed segment reads back, at every size around a block', async (t, { store }) => {
    const sizes = [0, 1, 63, 64, 65, 4095, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 200_001];
    for (const [index, size] of sizes.entries()) {
      const bytes = bytesOf(index, size);
      await storeBytes(store, keyOf(index), bytes);
      t.deepEqual(await loadBytes(store, keyOf(index)), bytes, `${size} bytes`);
      t.like(await store.check(keyOf(index)), { state: 'sound', lengthBytes: size });
    }
  });

  check('free: lets go of what no job holds, and of nothing else', async (t, { store }) => {
    const bytes = bytesOf(1, 5000);
    await storeBytes(store, keyOf(1), bytes, jobA);
    await storeBytes(store, keyOf(2), bytes);
    t.is(await store.free(keyOf(3)), 'missing');
    t.is(await store.free(keyOf(2)), 'freed');
    t.is(await store.lookup(keyOf(2)), undefined);
    t.true(store.lease(keyOf(1), jobB));
    store.releaseLease(jobA);
    t.is(await store.free(keyOf(1)), 'leased');
    t.deepEqual(await loadBytes(store, keyOf(1)), bytes);
    store.releaseLease(jobB);
    const reader = await store.open(keyOf(1));
    t.is(await store.free(keyOf(1)), 'freed');
    t.is(store.usage().segmentCount, 0);
    const read: Uint8Array[] = [];
    for await (const chunk of reader?.read(0, 5000) ?? []) read.push(chunk.slice());
    reader?.close();
    t.deepEqual(Buffer.concat(read), Buffer.from(bytes), 'who reads it reads it to the end');
  });

  check('a segment is invisible until committed', async (t, { store }) => {
    const bytes = bytesOf(1, 1000);
    const reservation = await store.reserve(keyOf(1), bytes.length);
    await store.write(reservation.extent, 0, bytes.subarray(0, 600));
    await store.write(reservation.extent, 600, bytes.subarray(600));
    t.is(await store.lookup(keyOf(1)), undefined);
    t.is(await store.open(keyOf(1)), undefined);
    t.is(store.usage().segmentCount, 0);
    const checksums = checksumsOf(bytes);
    await reservation.commit(checksums);
    t.deepEqual(await store.lookup(keyOf(1)), {
      key: keyOf(1),
      lengthBytes: 1000,
      crc32c: checksums.crc32c,
    });
  });

  check('an aborted reservation leaves nothing, and its space is used again', async (t, under) => {
    const { store } = under;
    await storeBytes(store, keyOf(0), bytesOf(0, BLOCK));
    for (let attempt = 0; attempt < 200; attempt++) {
      const reservation = await store.reserve(keyOf(1), BLOCK);
      await store.write(reservation.extent, 0, bytesOf(attempt, 100));
      reservation.abort();
      reservation.abort();
    }
    t.is(await store.lookup(keyOf(1)), undefined);
    t.is(store.usage().evictedSegmentCount, 0);
    t.deepEqual(await loadBytes(store, keyOf(0)), bytesOf(0, BLOCK));
  });

  check('concurrent aborts in any order give their space back', async (t, { store }) => {
    await storeBytes(store, keyOf(0), bytesOf(0, BLOCK));
    for (let attempt = 0; attempt < 50; attempt++) {
      const reservations = await Promise.all(
        [1, 2, 3, 4].map((index) => store.reserve(keyOf(index), 30_000)),
      );
      for (const position of [1, 3, 0, 2]) reservations[position]?.abort();
    }
    t.is(store.usage().evictedSegmentCount, 0);
  });

  check('writing to an extent that is not reserved is refused', async (t, { store }) => {
    const reservation = await store.reserve(keyOf(1), 100);
    reservation.abort();
    await t.throwsAsync(store.write(reservation.extent, 0, bytesOf(1, 100)), {
      message: /not reserved/,
    });
  });

  check('keys differ in path, version, cut and index', async (t, { store }) => {
    const keys: SegmentKey[] = [
      { path: 'a', version: 'b', segmentSizeBytes: 64, index: 0 },
      { path: 'a', version: 'b', segmentSizeBytes: 64, index: 1 },
      { path: 'a', version: 'b', segmentSizeBytes: 128, index: 0 },
      { path: 'a', version: 'c', segmentSizeBytes: 64, index: 0 },
      { path: 'ab', version: '', segmentSizeBytes: 64, index: 0 },
      { path: '', version: 'ab', segmentSizeBytes: 64, index: 0 },
      { path: '__proto__', version: '', segmentSizeBytes: 64, index: 0 },
      { path: 'é\u{1f600}\n\0"', version: '"x"', segmentSizeBytes: 64, index: 2 ** 40 },
    ];
    for (const [seed, key] of keys.entries()) await storeBytes(store, key, bytesOf(seed, 50));
    for (const [seed, key] of keys.entries()) {
      t.deepEqual(await loadBytes(store, key), bytesOf(seed, 50));
    }
    t.is(store.usage().segmentCount, keys.length);
  });

  check('ranges read exactly what was asked', async (t, { store }) => {
    const bytes = bytesOf(7, 200_001);
    await storeBytes(store, keyOf(7), bytes);
    const reader = await store.open(keyOf(7));
    t.truthy(reader);
    for (const [offset, length] of [
      [0, 0],
      [0, 1],
      [BLOCK - 1, 2],
      [BLOCK, BLOCK],
      [200_000, 1],
      [200_001, 0],
      [3, 199_990],
    ] as const) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of reader?.read(offset, length) ?? []) chunks.push(chunk);
      t.deepEqual(
        new Uint8Array(Buffer.concat(chunks)),
        bytes.slice(offset, offset + length),
        `${length} at ${offset}`,
      );
    }
    await t.throwsAsync(
      async () => {
        for await (const _ of reader?.read(200_000, 2) ?? []) t.fail('nothing is read');
      },
      { message: /200000/ },
    );
    reader?.close();
    reader?.close();
  });

  check('a damaged block is never served: dropped and counted', async (t, under) => {
    const { store } = under;
    const bytes = bytesOf(3, 3 * BLOCK);
    await storeBytes(store, keyOf(3), bytes);
    await under.corrupt(keyOf(3), BLOCK + 5);
    const reader = await store.open(keyOf(3));
    const served: Uint8Array[] = [];
    const error = await t.throwsAsync(async () => {
      for await (const chunk of reader?.read(BLOCK + 100, 10) ?? []) served.push(chunk);
    });
    t.is((error as { code?: unknown } | undefined)?.code, 'segment_corrupt');
    t.is(served.length, 0);
    reader?.close();
    t.is(await store.lookup(keyOf(3)), undefined);
    t.is(store.usage().corruptSegmentCount, 1);
    t.is(store.usage().usedBytes, 0);
  });

  check('a check finds damage that no read touched', async (t, under) => {
    const { store } = under;
    await storeBytes(store, keyOf(4), bytesOf(4, 2 * BLOCK));
    t.is((await store.check(keyOf(4))).state, 'sound');
    await under.corrupt(keyOf(4), 2 * BLOCK - 1);
    t.is((await store.check(keyOf(4))).state, 'damaged');
    t.is((await store.check(keyOf(4))).state, 'missing', 'and it is gone');
    t.is(store.usage().corruptSegmentCount, 1);
  });

  check('drop forgets, once', async (t, { store }) => {
    await storeBytes(store, keyOf(1), bytesOf(1, 100));
    t.true(await store.drop(keyOf(1)));
    t.false(await store.drop(keyOf(1)));
    t.is(await store.lookup(keyOf(1)), undefined);
    t.is(store.usage().usedBytes, 0);
  });

  check('a second commit of a key replaces the first', async (t, { store }) => {
    await storeBytes(store, keyOf(1), bytesOf(1, 100), jobA);
    await storeBytes(store, keyOf(1), bytesOf(1, 100), jobB);
    t.deepEqual(await loadBytes(store, keyOf(1)), bytesOf(1, 100));
    t.is(store.usage().segmentCount, 1);
    t.is((await store.lookup(keyOf(1)))?.loadedBy, jobB);
    t.is((await store.inventory(jobA)).segmentCount, 1, 'the lease of the first is inherited');
  });

  check('the cache never holds more than it may, and evicts the oldest', async (t, { store }) => {
    const { capacityBytes } = store.usage();
    for (let index = 0; index < 60; index++) {
      await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
      t.true(store.usage().usedBytes <= capacityBytes);
    }
    t.is(await store.lookup(keyOf(0)), undefined);
    t.deepEqual(await loadBytes(store, keyOf(59)), bytesOf(59, BLOCK));
    const { segmentCount, evictedSegmentCount } = store.usage();
    t.is(segmentCount + evictedSegmentCount, 60);
    t.true(segmentCount >= 6, `${segmentCount} segments fit`);
  });

  check('what is read often outlives what is not', async (t, { store }) => {
    await storeBytes(store, keyOf(0), bytesOf(0, BLOCK));
    for (let index = 1; index < 40; index++) {
      t.deepEqual(await loadBytes(store, keyOf(0)), bytesOf(0, BLOCK), `before ${index}`);
      await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
    }
    t.is(await store.lookup(keyOf(1)), undefined);
  });

  check('a working set twice the cache, all of it read, makes progress', async (t, { store }) => {
    for (let round = 0; round < 4; round++) {
      for (let index = 0; index < 24; index++) {
        const known = await loadBytes(store, keyOf(index));
        if (known) t.deepEqual(known, bytesOf(index, BLOCK));
        else await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
        await loadBytes(store, keyOf(index));
      }
    }
    t.true(store.usage().evictedSegmentCount > 0);
  });

  check('leased segments survive any load; released they go', async (t, { store }) => {
    for (let index = 0; index < 4; index++) {
      await storeBytes(store, keyOf(index), bytesOf(index, BLOCK), jobA);
    }
    await storeBytes(store, keyOf(4), bytesOf(4, BLOCK));
    t.true(store.lease(keyOf(4), jobB));
    t.false(store.lease(keyOf(999), jobB));
    for (let index = 100; index < 160; index++) {
      await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
    }
    for (let index = 0; index < 5; index++) {
      t.deepEqual(await loadBytes(store, keyOf(index)), bytesOf(index, BLOCK), `segment ${index}`);
    }
    t.is(store.usage().leasedBytes, 5 * BLOCK);
    store.releaseLease(jobA);
    store.releaseLease(jobB);
    t.is(store.usage().leasedBytes, 0);
    for (let index = 200; index < 300; index++) {
      await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
    }
    for (let index = 0; index < 5; index++) t.is(await store.lookup(keyOf(index)), undefined);
  });

  check('two leases on one segment: each of them holds it', async (t, { store }) => {
    await storeBytes(store, keyOf(1), bytesOf(1, BLOCK), jobA);
    store.lease(keyOf(1), jobB);
    store.releaseLease(jobA);
    t.is((await store.inventory(jobA)).segmentCount, 0);
    t.is((await store.inventory(jobB)).segmentCount, 1);
    t.is(store.usage().leasedBytes, BLOCK);
    store.releaseLease(jobB);
    t.is(store.usage().leasedBytes, 0);
  });

  check('a cache full of leases says so, and recovers when they end', async (t, { store }) => {
    let storedCount = 0;
    const error = await t.throwsAsync(async () => {
      for (; storedCount < 100; storedCount++) {
        await storeBytes(store, keyOf(storedCount), bytesOf(storedCount, BLOCK), jobA);
      }
    });
    t.is((error as { code?: unknown } | undefined)?.code, 'cache_full');
    t.true(storedCount >= 11, `${storedCount} segments of 12 could be leased`);
    for (let index = 0; index < storedCount; index++) {
      t.deepEqual(await loadBytes(store, keyOf(index)), bytesOf(index, BLOCK));
    }
    store.releaseLease(jobA);
    await storeBytes(store, keyOf(500), bytesOf(500, BLOCK), jobB);
    t.deepEqual(await loadBytes(store, keyOf(500)), bytesOf(500, BLOCK));
  });

  check('an open reader keeps its bytes while the cache turns over', async (t, { store }) => {
    const bytes = bytesOf(0, 2 * BLOCK);
    await storeBytes(store, keyOf(0), bytes);
    const reader = await store.open(keyOf(0));
    for (let index = 1; index < 80; index++) {
      await storeBytes(store, keyOf(index), bytesOf(index, BLOCK));
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of reader?.read(0, bytes.length) ?? []) chunks.push(chunk);
    t.deepEqual(new Uint8Array(Buffer.concat(chunks)), bytes);
    reader?.close();
  });

  check('an inventory is the sum of the identities of what is leased', async (t, { store }) => {
    let digest = 0n;
    let bytes = 0;
    for (const index of [5, 3, 9]) {
      const content = bytesOf(index, 1000 + index);
      await storeBytes(store, keyOf(index), content, jobA);
      const { crc32c } = checksumsOf(content);
      digest = addDigests(digest, segmentDigest(keyOf(index), content.length, crc32c));
      bytes += content.length;
    }
    await storeBytes(store, keyOf(77), bytesOf(77, 10), jobB);
    await storeBytes(store, keyOf(78), bytesOf(78, 10));
    t.deepEqual(await store.inventory(jobA), {
      segmentCount: 3,
      bytes,
      digest: formatDigest(digest),
    });
    await store.drop(keyOf(3));
    t.is((await store.inventory(jobA)).segmentCount, 2);
    t.deepEqual(await store.inventory(jobId('nobody')), {
      segmentCount: 0,
      bytes: 0,
      digest: '0000000000000000',
    });
  });

  check('segments lists what is resident', async (t, { store }) => {
    for (let index = 0; index < 10; index++) {
      await storeBytes(store, keyOf(index), bytesOf(index, 500), index < 5 ? jobA : undefined);
    }
    await store.drop(keyOf(4));
    const listed = new Map<number, { lengthBytes: number; loadedBy: string | undefined }>();
    for await (const { key, lengthBytes, loadedBy } of store.segments()) {
      listed.set(key.index, { lengthBytes, loadedBy });
    }
    t.deepEqual(
      [...listed.keys()].sort((left, right) => left - right),
      [0, 1, 2, 3, 5, 6, 7, 8, 9],
    );
    t.deepEqual(listed.get(2), { lengthBytes: 500, loadedBy: jobA });
    t.deepEqual(listed.get(8), { lengthBytes: 500, loadedBy: undefined });
  });

  check('what can never be stored is refused at once', async (t, { store }) => {
    const refused = async (key: SegmentKey, length: number): Promise<void> => {
      const error = await t.throwsAsync(store.reserve(key, length));
      t.is((error as { code?: unknown } | undefined)?.code, 'invalid_argument');
    };
    await refused(keyOf(1), 2 ** 31);
    await refused(keyOf(1), -1);
    await refused(keyOf(1), 1.5);
    await refused(keyOf(1, 'x'.repeat(9000)), 1);
    await refused(keyOf(-1), 1);
  });

  check('a closed store refuses to work', async (t, { store }) => {
    await store.close();
    const error = await t.throwsAsync(store.reserve(keyOf(1), 1));
    t.is((error as { code?: unknown } | undefined)?.code, 'cache_io');
    await t.throwsAsync(store.open(keyOf(1)));
    await store.close();
  });
}
