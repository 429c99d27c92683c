/**
 * Every corruption of a cache directory's files: a byte that was not stored is never served, and
 * the store goes on. A sidecar may lose what it says, a region file what it holds; never more.
 */
import test from 'ava';

import { jobId } from '../../../src/base/ids.ts';
import type { FileSegmentStore } from '../../../src/cache/io/file-segment-store.ts';
import type { SegmentKey } from '../../../src/cache/segment-store.ts';
import { DamageTally, everyDamage, type Outcome } from '../../support/damages.ts';
import { CrashDisk } from '../support/crash-disk.ts';
import { bytesOf, keyOf, loadBytes, openSmallStore, storeBytes } from '../support/fixtures.ts';

const BLOCK = 64 * 1024;
const SMALL_REGION_BYTES = 128 * 1024;
const REGION_COUNT = 4;
const job = jobId('00000000-0000-4000-8000-00000000000a');
const otherJob = jobId('00000000-0000-4000-8000-00000000000b');

const SEGMENTS: readonly (readonly [SegmentKey, Uint8Array])[] = [
  [keyOf(0, 'a'), bytesOf(0, 90)],
  [keyOf(1, 'b'), bytesOf(1, BLOCK + 100)],
  [keyOf(2, 'c'), bytesOf(2, 130)],
];

type Contents = ReadonlyMap<string, Uint8Array>;

/** In memory, so that a store is opened and closed in no time. */
async function during<T>(
  disk: CrashDisk,
  work: (store: FileSegmentStore) => Promise<T>,
): Promise<T> {
  const store = await openSmallStore('/cache', {
    disk,
    regionSizeBytes: SMALL_REGION_BYTES,
    directories: [{ path: '/cache', capacityBytes: REGION_COUNT * SMALL_REGION_BYTES }],
  });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/**
 * A directory in use for some time: its regions were filled with other segments and reset before
 * SEGMENTS came, and one was dropped. Returns its files then, and some time before.
 */
async function fill(): Promise<{ contents: Contents; former: Contents }> {
  const disk = new CrashDisk();
  await during(disk, async (store) => {
    for (let index = 10; index < 22; index++) {
      await storeBytes(store, keyOf(index, 'former'), bytesOf(index, 40_000), job);
      if (index % 3 === 0) store.releaseLease(job);
    }
  });
  const former = disk.contents();
  await during(disk, async (store) => {
    store.releaseLease(job);
    for (let index = 30; index < 36; index++) {
      await storeBytes(store, keyOf(index, 'former'), bytesOf(index, 40_000));
    }
    await storeBytes(store, keyOf(50, 'dropped'), bytesOf(50, 200));
    await store.drop(keyOf(50, 'dropped'));
    for (const [key, bytes] of SEGMENTS) await storeBytes(store, key, bytes, job);
    store.lease(SEGMENTS[1]?.[0] ?? keyOf(0), otherJob);
  });
  return { contents: disk.contents(), former };
}

/** Bytes of any segment that `fill` ever stored. */
function expectedOf(key: SegmentKey): Uint8Array {
  const known = SEGMENTS.find(([{ path }]) => path === key.path)?.[1];
  return known ?? bytesOf(key.index, key.path === 'dropped' ? 200 : 40_000);
}

/** Opens the damaged folder, reads all that it says it holds, and uses it. */
async function outcomeOf(disk: CrashDisk, soundCount: number): Promise<Outcome> {
  return during(disk, async (store) => {
    let rightCount = 0;
    const listed: SegmentKey[] = [];
    for await (const { key } of store.segments()) listed.push(key);
    for (const key of listed) {
      try {
        const served = await loadBytes(store, key);
        if (served === undefined) continue;
        if (!Buffer.from(served).equals(expectedOf(key))) return 'wrong';
        rightCount++;
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'segment_corrupt') throw error;
        if ((await store.lookup(key)) !== undefined) return 'wrong';
      }
    }
    // Why not its capacity: a former sidecar may bring back the region that is kept empty.
    if (store.usage().usedBytes > REGION_COUNT * SMALL_REGION_BYTES) return 'wrong';
    await storeBytes(store, keyOf(99, 'new'), bytesOf(99, 500));
    const fresh = await loadBytes(store, keyOf(99, 'new'));
    if (!Buffer.from(fresh ?? []).equals(bytesOf(99, 500))) return 'wrong';
    return rightCount < soundCount ? 'detected' : 'harmless';
  });
}

for (const suffix of ['.idx', '.dat'] as const) {
  const [step, pageBytes] = suffix === '.idx' ? [1, 128] : [1499, 32 * 1024];
  test(`damage: no corruption of a ${suffix} file makes a cache serve a wrong byte`, async (t) => {
    t.timeout(240_000);
    const { contents, former } = await fill();
    const soundCount = await during(CrashDisk.of(contents), (store) =>
      Promise.resolve(store.usage().segmentCount),
    );
    const tally = new DamageTally();
    const names = [...contents.keys()].filter((name) => name.endsWith(suffix));
    for (const name of names) {
      const content = contents.get(name) ?? Buffer.of();
      // Copies of before, and the files of other regions.
      const older = [former.get(name), ...names.map((other) => contents.get(other))];
      const damages = everyDamage(content, {
        step,
        pageBytes,
        older: older.filter((each) => each !== undefined),
      });
      for (const damage of damages) {
        const disk = CrashDisk.of(new Map(contents).set(name, damage.bytes));
        tally.add({ what: `${name}: ${damage.what}` }, await outcomeOf(disk, soundCount));
      }
      const rest = new Map(contents);
      rest.delete(name);
      const outcome = await outcomeOf(CrashDisk.of(rest), soundCount);
      tally.add({ what: `${name} removed` }, outcome);
    }
    tally.close(t, `${names.length} ${suffix} files, ${soundCount} segments`);
  });
}

test('damage: files of others in the directory are left alone', async (t) => {
  const { contents } = await fill();
  const disk = CrashDisk.of(
    new Map(contents)
      .set('/cache/notes.txt', Buffer.from('mine'))
      .set('/cache/region-99999.dat', Buffer.from('ours, but beyond the capacity')),
  );
  t.is(await outcomeOf(disk, 0), 'harmless');
  const names = [...disk.contents().keys()];
  t.true(names.includes('/cache/notes.txt'));
  t.false(names.includes('/cache/region-99999.dat'));
});
