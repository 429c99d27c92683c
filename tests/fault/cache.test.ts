/** The disk lies, and the disk is full. */
import test from 'ava';
import type { Peer } from '../support/peer-process.ts';
import { flipBit } from './damage.ts';
import {
  expectBytes,
  expectBytesFromCache,
  expectExactAccounting,
  expectLoaded,
  metricOf,
  pathOf,
} from './expect.ts';
import { SEGMENT_BYTES, Stage } from './stage.ts';

let stage: Stage;
test.before(async () => {
  // 16 MiB a peer in regions of 1 MiB: small enough to be filled.
  stage = await Stage.open({
    cacheCapacity: '16MiB',
    env: { RINGLOAD_CACHE_REGION_SIZE_BYTES: '1MiB', RINGLOAD_LOAD_CONCURRENCY: 4 },
  });
});
test.serial.beforeEach(async () => {
  await stage.restore();
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
});

async function corruptCount(): Promise<number> {
  const counts = stage.cluster.peers.map((peer) =>
    metricOf(peer, 'ringload_segments_corrupt_total'),
  );
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

test.serial('disk: a flipped bit is never served, another copy is', async (t) => {
  const data = stage.addFiles({ count: 3 });
  const [key = ''] = data.keys;
  await (await stage.load(data, { replicas: 2 })).succeeds();
  const holders: Peer[] = [];
  for (const peer of stage.cluster.peers) {
    if (holders.length === 0 && (await flipBit(stage, peer, key)) > 0) holders.push(peer);
  }
  t.is(holders.length, 1);
  const before = await corruptCount();
  await expectBytesFromCache(t, stage, [key], holders);
  t.is((await corruptCount()) - before, 1);
});

test.serial(
  'disk: a copy that was dropped for a flipped bit comes back at once, from a peer',
  async (t) => {
    const data = stage.addFiles({ count: 3 });
    const [key = ''] = data.keys;
    await (await stage.load(data, { replicas: 2 })).succeeds();
    const gets = stage.origin.countOf('get');
    const before = await corruptCount();
    const flipped: Peer[] = [];
    for (const peer of stage.cluster.peers) {
      if (flipped.length === 0 && (await flipBit(stage, peer, key)) > 0) flipped.push(peer);
    }
    const [holder] = flipped;
    if (!holder) throw new Error('no copy was found on any disk');
    const holds = async (): Promise<boolean> => {
      const [{ id }, { segments }] = await Promise.all([
        holder.api.self(),
        holder.api.placement(pathOf(key)),
      ]);
      return segments[0]?.residentOn.includes(id) === true;
    };
    t.true(await holds());
    await expectBytes(t, stage, [key], [holder]);
    t.is((await corruptCount()) - before, 1, 'the damage was met');
    await stage.cluster.waitFor(holds, 'the copy to be back');
    await expectBytes(t, stage, [key], [holder]);
    t.is((await corruptCount()) - before, 1, 'what came back is sound');
    t.is(stage.origin.countOf('get'), gets, 'the under store was asked');
  },
);

test.serial('disk: where every copy has a flipped bit, the segment is fetched again', async (t) => {
  const data = stage.addFiles({ count: 3 });
  const [key = ''] = data.keys;
  await (await stage.load(data)).succeeds();
  let flippedCount = 0;
  for (const peer of stage.cluster.peers) flippedCount += await flipBit(stage, peer, key);
  t.is(flippedCount, 1);
  const before = stage.origin.countOf('get', key);
  const corruptBefore = await corruptCount();
  for (const peer of stage.cluster.peers) await expectBytes(t, stage, [key], [peer]);
  const fetches = stage.origin.getsBelow(key).slice(before);
  const ranges = fetches.map(({ headers }) => headers.range);
  t.deepEqual(ranges, ['bytes=0-65535'], stage.cluster.logs());
  t.is((await corruptCount()) - corruptBefore, 1);
});

test.serial('disk: a load that verifies finds a flipped bit and repairs it', async (t) => {
  const data = stage.addFiles({ count: 3 });
  const [key = ''] = data.keys;
  await (await stage.load(data, { replicas: 2 })).succeeds();
  let flippedCount = 0;
  for (const peer of stage.cluster.peers) flippedCount += await flipBit(stage, peer, key);
  t.is(flippedCount, 2);
  const before = await corruptCount();
  const load = await stage.load(data, { replicas: 2, verify: true });
  await load.succeeds();
  t.is((await corruptCount()) - before, 2);
  await expectLoaded(t, load);
});

test.serial('cache: a load that cannot fit fails with cache_full, and peers go on', async (t) => {
  const data = stage.addFiles({ count: 4, sizeBytes: 8 * 1024 * 1024 });
  const load = await stage.load(data, { replicas: 2 });
  const status = await load.fails();
  t.is(status.failure?.code, 'cache_full');
  t.true(stage.cluster.peers.every(({ running }) => running));
  const small = stage.addFiles({ count: 4 });
  const next = await stage.load(small, { replicas: 2 });
  await next.succeeds();
  await expectLoaded(t, next);
});

test.serial(
  'cache: a load too tight for the ring succeeds or names what found no room',
  async (t) => {
    // Of 48 MiB of cache 45 can be used, and a ring never divides 44 MiB evenly.
    const data = stage.addFiles({ count: 44, sizeBytes: 16 * SEGMENT_BYTES });
    const load = await stage.load(data);
    const status = await load.reaches(({ endedAtMs }) => endedAtMs !== undefined, 'its end');
    t.log(`${status.state}, ${status.counters.failedFiles} files failed`);
    if (status.state === 'SUCCEEDED') {
      await expectLoaded(t, load);
      return;
    }
    t.is(status.failure?.code, 'partially_failed');
    t.deepEqual([...new Set(status.failedFiles.map(({ code }) => code))], ['cache_full']);
    const failed = status.failedFiles.map(({ path }) => path.slice(pathOf('').length));
    expectExactAccounting(t, load, status, { failed });
    await expectBytes(t, stage, data.keys);
  },
);

test.serial('cache: a second load evicts what the first one left', async (t) => {
  const sizeBytes = 8 * SEGMENT_BYTES;
  const first = stage.addFiles({ count: 40, sizeBytes });
  const second = stage.addFiles({ count: 48, sizeBytes });
  await (await stage.load(first)).succeeds();
  const load = await stage.load(second);
  await load.succeeds();
  await expectLoaded(t, load);
  await expectBytes(t, stage, first.keys);
});
