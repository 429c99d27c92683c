import test from 'ava';
import { carrySum, formatSum } from '../../src/base/crc-combine.ts';
import { peerId } from '../../src/base/ids.ts';
import type { ObjectChecksum } from '../../src/ufs/under-store.ts';
import { RunWorld, RUN_LIMITS, type WorldOptions } from './support/run-world.ts';

const P = ['p1', 'p2', 'p3'].map(peerId);

/** Every segment belongs to p1, then p2, then p3: stories can be told. */
function storyWorld(options: WorldOptions = {}): RunWorld {
  const world = new RunWorld(options);
  world.order = () => P;
  return world;
}

function sent(world: RunWorld): string[] {
  return world.trace.filter((line) => !line.startsWith('checkpoint'));
}

function counter(world: RunWorld, name: string): number {
  return world.verdict?.checkpoint.counters[name] ?? 0;
}

test('job run: the first owner fetches, the others copy from it', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 3 } });
  world.put('a', 150);
  world.lead();
  t.true(await world.finish());
  t.deepEqual(sent(world), [
    'p1: a#0 a#1',
    'p2: a#0 from p1',
    'p3: a#0 from p1',
    'p2: a#1 from p1',
    'p3: a#1 from p1',
  ]);
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(counter(world, 'loadedFiles'), 1);
  t.is(counter(world, 'loadedBytes'), 150);
  t.is(counter(world, 'replicaBytes'), 450);
  t.is(counter(world, 'replicaFiles'), 3);
});

test('job run: an unreachable first owner is passed over and copies when it is back', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 2 } });
  world.put('a', 50);
  world.owner('p1').reachable = false;
  world.lead();
  await world.advance(100);
  t.deepEqual(sent(world), ['p2: a#0']);
  t.is(world.verdict, undefined);
  world.setReachable('p1', true);
  t.true(await world.finish());
  t.deepEqual(sent(world), ['p2: a#0', 'p1: a#0 from p2']);
});

test('job run: what an owner had in hand when it died is fetched by the next one', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 2 } });
  world.put('a', 50);
  world.delayMs = (what) => (what === 'task' ? 200 : 1);
  world.lead();
  await world.advance(50);
  world.setReachable('p1', false);
  await world.advance(5);
  t.deepEqual(sent(world), ['p1: a#0', 'p2: a#0']);
  world.setOnRing('p1', false);
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.deepEqual(
    world.holdersOf({ path: 's3://b/d/a', version: 'v1', sizeBytes: 50, mtimeMs: 0 }, 0),
    [P[1], P[2]],
  );
});

test('job run: a late answer of an owner that was given up counts, and nothing is copied to it', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 2 } });
  world.put('a', 50);
  world.delayMs = (what) => (what === 'result' ? 300 : 1);
  world.lead();
  await world.advance(100);
  world.setReachable('p1', false);
  await world.advance(20);
  world.setReachable('p1', true);
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  // Why pass 1: the late answer is part of what the inventory of p1 is compared with.
  t.is(world.verdict?.checkpoint.pass, 1);
  t.is(counter(world, 'replicaBytes'), 100);
  t.deepEqual(sent(world), ['p1: a#0', 'p2: a#0']);
});

test('job run: a batch that was taken though its answer was lost is joined, not fetched again', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 1 } });
  world.put('a', 50);
  world.delayMs = (what) => (what === 'task' ? 400 : 1);
  let batches = 0;
  world.batchFault = () => (++batches === 1 ? 'taken' : undefined);
  world.lead();
  t.true(await world.finish());
  t.deepEqual(sent(world), ['p1: a#0', 'p1: a#0']);
  t.is(world.fetchCountOf('a'), 1);
  t.is(world.verdict?.checkpoint.pass, 1);
  t.is(counter(world, 'retriedTaskCount'), 0);
});

test('job run: an owner that says nothing is passed over, and copies once it works again', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 2 } });
  world.put('a', 50);
  world.owner('p1').stuck = true;
  world.lead();
  await world.advance(RUN_LIMITS.silentAfterMs + 300);
  t.deepEqual(sent(world).slice(0, 2), ['p1: a#0', 'p2: a#0 try 1 from p1']);
  world.owner('p1').stuck = false;
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(counter(world, 'retriedTaskCount'), 1);
});

test('job run: an owner that works for long and says so is asked again, not passed over', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 1 } });
  world.put('a', 50);
  world.delayMs = (what) => (what === 'task' ? 25_000 : 1);
  world.lead();
  const beat = (): void => {
    const owner = world.owner('p1');
    if (world.verdict) return;
    const frame = { ...world.run.passRef, results: [], tally: owner.tally, generation: 1 };
    world.give({ kind: 'results', from: owner.id, frame });
    world.clock.setTimer(5000, beat);
  };
  beat();
  t.true(await world.finish());
  t.true(
    sent(world).every((line) => line === 'p1: a#0'),
    sent(world).join('; '),
  );
  t.is(world.fetchCountOf('a'), 1);
  t.is(counter(world, 'retriedTaskCount'), 0);
});

test('job run: a result that is lost while its owner goes on is asked for again', async (t) => {
  const world = storyWorld({ limits: { windowTasks: 1 } });
  for (let n = 0; n < 9; n += 1) world.put(`f${n}`, 50);
  world.delayMs = (what) => (what === 'task' ? 1500 : 1);
  let lost = false;
  world.fate = (_owner, _task, path) => {
    if (lost || !path.endsWith('f0')) return undefined;
    lost = true;
    return 'lose-result';
  };
  world.lead();
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(world.fetchCountOf('f0'), 1);
  t.is(counter(world, 'retriedTaskCount'), 0);
  t.is(world.verdict?.checkpoint.pass, 1);
});

test('job run: an epoch that changes during a pass calls for a second one, which copies', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 1 } });
  for (let n = 0; n < 10; n += 1) world.put(`f${n}`, 50);
  world.delayMs = () => 20;
  world.lead();
  await world.advance(70);
  world.addOwner('p0');
  world.order = () => [peerId('p0'), ...P];
  world.epoch += 1;
  world.placementChanged();
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(world.verdict?.checkpoint.pass, 2);
  for (let n = 0; n < 10; n += 1) t.is(world.fetchCountOf(`f${n}`), 1, `f${n}`);
  for (const object of world.objects) t.true(world.holdersOf(object, 0).includes(peerId('p0')));
  t.is(counter(world, 'loadedFiles'), 10);
});

test('job run: a new job asks who may hold a segment while placement is not in order', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 1 } });
  for (let n = 0; n < 10; n += 1) world.put(`f${n}`, 50);
  world.lead();
  t.true(await world.finish());
  world.addOwner('p0');
  world.order = () => [peerId('p0'), ...P];
  world.epoch += 1;
  world.isInOrder = false;
  Object.assign(world, { verdict: undefined, checkpoint: undefined });
  world.lead();
  t.true(await world.finish());
  t.like(world.verdict, { state: 'SUCCEEDED' });
  for (let n = 0; n < 10; n += 1) t.is(world.fetchCountOf(`f${n}`), 1, `f${n}`);
});

test('job run: what is missing from an inventory is loaded by the next pass', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 2 } });
  world.put('a', 50);
  world.put('b', 50);
  world.lead();
  for (let ms = 0; ms < 200 && world.owner('p2').segments.size < 2; ms += 1) await world.advance(1);
  world.owner('p2').segments.clear();
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(world.verdict?.checkpoint.pass, 2);
  t.is(world.owner('p2').segments.size, 2);
  t.is(world.fetchCountOf('a'), 1);
});

test('job run: an owner that holds as many segments, but another one, is asked again', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 2 } });
  world.put('a', 50);
  world.lead();
  const { leases } = world.owner('p2');
  for (let ms = 0; ms < 200 && leases.size === 0; ms += 1) await world.advance(1);
  const [leased] = leases.values();
  const [name] = leased?.keys() ?? [];
  // Long after it was acknowledged, the digest of what lies there is another one.
  while (world.run.state !== 'VERIFYING' && !world.verdict) await world.advance(1);
  leased?.set(name ?? '', 1n);
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(world.verdict?.checkpoint.pass, 2);
});

for (const [title, sizeBytes, metadataOnly] of [
  ['of a metadata-only load', 250, true],
  ['of an empty file', 0, false],
  ['of a file with bytes', 250, false],
] as const) {
  test(`job run: a record ${title} that a home lost is put back by the next pass`, async (t) => {
    const world = storyWorld({ spec: { replicaCount: 2, metadataOnly } });
    world.put('a', sizeBytes);
    let isLost = false;
    world.delayMs = (what) => {
      // The last batches are out, the inventories are not asked for yet.
      if (what === 'result' && !isLost) {
        isLost = true;
        world.clock.setTimer(2, () => void world.owner('p2').catalog.delete('s3://b/d/a'));
      }
      return what === 'batch' ? 5 : 1;
    };
    world.lead();
    t.true(await world.finish());
    t.is(world.verdict?.state, 'SUCCEEDED');
    t.is((await world.owner('p2').catalog.get('s3://b/d/a'))?.sizeBytes, sizeBytes);
    t.is((await world.owner('p1').catalog.get('s3://b/d/a'))?.sizeBytes, sizeBytes);
    const { expected } = world.verdict?.checkpoint ?? {};
    t.deepEqual(
      P.map((peer) => expected?.[peer]?.recordCount),
      [1, 1, undefined],
    );
  });
}

test('job run: the record of the new version takes the place of the old one', async (t) => {
  const world = storyWorld();
  world.put('a', 250);
  world.fate = (_owner, task, path) => {
    if (task.index !== 1 || world.objects[0]?.version !== 'v1') return undefined;
    world.put('a', 250, 'v2');
    return { code: 'ufs_changed', message: path };
  };
  world.lead();
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is((await world.owner('p1').catalog.get('s3://b/d/a'))?.version, 'v2');
  t.is(world.run.pass, 1, 'no further pass was needed');
});

/** The checksum of an object whose three segments have these sums. */
function wholeOf(sums: readonly number[]): ObjectChecksum {
  const [first = 0, second = 0, third = 0] = sums;
  let whole = carrySum('crc32c', BigInt(first), 150) ^ carrySum('crc32c', BigInt(second), 50);
  whole ^= BigInt(third);
  return { algorithm: 'crc32c', value: formatSum('crc32c', whole) };
}

function checkedWorld(): RunWorld {
  const world = storyWorld({ spec: { replicaCount: 2 } });
  world.put('a', 250);
  world.put('b', 50);
  const [first] = world.objects;
  if (first) world.objects[0] = { ...first, mayHaveChecksum: true };
  world.crcOf = (_path, index) => 11 + index;
  return world;
}

test('job run: a file is compared with the checksum of its object, and counted', async (t) => {
  const world = checkedWorld();
  world.checksums.set('s3://b/d/a', wholeOf([11, 12, 13]));
  world.lead();
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(counter(world, 'checkedFiles'), 1);
  t.is(counter(world, 'uncheckedFiles'), 1);
  t.is(world.fetchCountOf('a'), 1);
});

test('job run: a file that does not match is fetched once more, by all owners', async (t) => {
  const world = checkedWorld();
  world.checksums.set('s3://b/d/a', wholeOf([11, 12, 13]));
  let isSpoilt = true;
  world.crcOf = (path, index) => {
    const isMeant = path.endsWith('/a') && index === 1 && isSpoilt;
    if (isMeant) isSpoilt = false;
    return isMeant ? 99 : 11 + index;
  };
  world.lead();
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(world.verdict?.checkpoint.pass, 1);
  t.is(counter(world, 'checkedFiles'), 1);
  t.is(counter(world, 'loadedBytes'), 300);
  for (let index = 0; index < 3; index += 1) t.is(world.fetchCountOf('a', index), 2);
});

test('job run: a file that does not match twice fails, and is forgotten before the verdict', async (t) => {
  const world = checkedWorld();
  world.checksums.set('s3://b/d/a', wholeOf([11, 12, 99]));
  world.lead();
  t.true(await world.finish());
  t.is(world.verdict?.failure?.code, 'partially_failed');
  t.is(world.verdict?.checkpoint.failures[0]?.code, 'ufs_corrupt');
  t.is(world.verdict?.checkpoint.pass, 1);
  t.is(counter(world, 'loadedFiles'), 1);
  t.is(counter(world, 'failedBytes'), 250);
  for (const name of ['p1', 'p2']) {
    t.deepEqual([...world.owner(name).segments.keys()], ['s3://b/d/b@v1#0']);
    t.is(await world.owner(name).catalog.get('s3://b/d/a'), undefined);
  }
});

test('job run: what a store cannot tell the checksum of is loaded without', async (t) => {
  const world = checkedWorld();
  world.lead();
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(counter(world, 'checkedFiles'), 0);
  t.is(counter(world, 'uncheckedFiles'), 2);
});

test('job run: an inventory of an earlier pass proves nothing about this one', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 1 } });
  world.put('a', 50);
  world.lead();
  while (world.run.state !== 'VERIFYING' && !world.verdict) await world.advance(1);
  const inventory = { segmentCount: 9, bytes: 0, digest: '00'.repeat(8) };
  world.give({
    kind: 'inventory',
    from: P[0] ?? peerId(''),
    pass: 7,
    reply: { inventory, generation: 1 },
  });
  t.true(await world.finish());
  t.is(world.verdict?.checkpoint.pass, 1);
});

for (const [stormMs, state] of [
  [9_000, 'SUCCEEDED'],
  [60_000, 'FAILED'],
] as const) {
  test(`job run: a storm of 503 of ${stormMs} ms against 10 s of patience ends ${state}`, async (t) => {
    const limits = { taskRetryMaxCount: 1, throttlePatienceMs: 10_000, retryDelayMaxMs: 500 };
    const world = storyWorld({ limits });
    world.put('a', 250);
    world.fate = () =>
      world.clock.nowMs() < stormMs ? { code: 'ufs_throttled', message: '503' } : undefined;
    world.lead();
    t.true(await world.finish());
    t.is(world.verdict?.state, state);
    t.true(counter(world, 'retriedTaskCount') > 5);
    // Patience ends: what counts from then on is one retry.
    if (state === 'FAILED') t.true(world.clock.nowMs() < 15_000, `${world.clock.nowMs()} ms`);
  });
}

test('job run: throttling shrinks the windows of all owners, then they recover', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 1 } });
  for (let n = 0; n < 12; n += 1) world.put(`f${String(n).padStart(2, '0')}`, 50);
  const untilMs = 3000;
  let active = 0;
  let activeMax = 0;
  world.delayMs = (what) => (what === 'task' ? 100 : 1);
  world.fate = () => {
    active += 1;
    world.clock.setTimer(100, () => (active -= 1));
    if (world.clock.nowMs() > untilMs - 500 && world.clock.nowMs() < untilMs)
      activeMax = Math.max(activeMax, active);
    return world.clock.nowMs() < untilMs ? { code: 'ufs_throttled', message: '503' } : undefined;
  };
  world.lead();
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.true(activeMax >= 1 && activeMax <= 2, `${activeMax} tasks at once`);
});

test('job run: a changed object is loaded as what it is now, and counted once', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 2 } });
  world.put('a', 350);
  world.delayMs = () => 10;
  world.lead();
  await world.advance(25);
  world.put('a', 120, 'v2');
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  const object = world.objects[0];
  if (!object) throw new Error('no object');
  for (const index of [0, 1]) t.deepEqual(world.holdersOf(object, index), [P[0], P[1]]);
  t.is(counter(world, 'listedBytes'), 120);
  t.is(counter(world, 'loadedBytes'), 120);
  t.is(counter(world, 'replicaBytes'), 240);
  t.is(counter(world, 'replicaFiles'), 2);
});

test('job run: a new leader begins before what was listed and is not settled', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 1 } });
  for (let n = 0; n < 12; n += 1) world.put(`f${String(n).padStart(2, '0')}`, 50);
  world.delayMs = (what) => (what === 'task' ? 2000 : 1);
  world.lead();
  await world.advance(700);
  t.truthy(world.checkpoint);
  world.lead();
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(counter(world, 'listedFiles'), 12);
  t.is(counter(world, 'loadedFiles'), 12);
});

test('job run: a changed object of the same size is another object', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 2 } });
  world.put('a', 350);
  world.delayMs = () => 10;
  world.lead();
  await world.advance(25);
  world.put('a', 350, 'v2');
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  const object = world.objects[0];
  if (!object) throw new Error('no object');
  for (const index of [0, 1, 2, 3]) t.deepEqual(world.holdersOf(object, index), [P[0], P[1]]);
  t.is(counter(world, 'loadedBytes'), 350);
  t.is(counter(world, 'failedTaskCount'), 0);
});

test('job run: an object that only seemed changed goes on where it was', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 1 } });
  world.put('a', 350);
  let faults = 0;
  world.fate = (_owner, task) =>
    task.index === 2 && ++faults === 1
      ? { code: 'ufs_changed', message: 'so it seemed' }
      : undefined;
  world.lead();
  t.true(await world.finish());
  t.is(world.verdict?.checkpoint.pass, 1);
  for (let index = 0; index < 4; index += 1) t.is(world.fetchCountOf('a', index), 1);
  t.is(counter(world, 'loadedBytes'), 350);
});

test('job run: a deleted object fails its file alone', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 1 } });
  world.put('a', 50);
  world.put('b', 250);
  world.put('c', 50);
  world.delayMs = () => 10;
  world.lead();
  await world.advance(15);
  world.delete('b');
  t.true(await world.finish());
  t.is(world.verdict?.state, 'FAILED');
  t.is(world.verdict?.failure?.code, 'partially_failed');
  t.deepEqual(world.failedPaths, ['s3://b/d/b']);
  t.is(counter(world, 'loadedFiles'), 2);
  t.is(counter(world, 'failedFiles'), 1);
  t.is(counter(world, 'failedBytes'), 250);
});

test('job run: a failed file is over only when nothing of it is out any more', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 1 } });
  world.put('a', 300);
  world.fate = (_owner, task) =>
    task.index === 0 ? { code: 'ufs_forbidden', message: 'no' } : undefined;
  let tasks = 0;
  world.delayMs = (what) => (what === 'task' ? ++tasks * 100 : 1);
  world.lead();
  await world.advance(200);
  t.is(world.run.failures.length, 1);
  t.is(world.verdict, undefined);
  t.true(await world.finish());
  t.is(world.verdict?.state, 'FAILED');
  t.is(world.verdict?.checkpoint.pass, 1);
  t.is(counter(world, 'failedBytes'), 300);
  t.is(counter(world, 'loadedBytes'), 0);
});

for (const [retries, state] of [
  [2, 'FAILED'],
  [3, 'SUCCEEDED'],
] as const) {
  test(`job run: a task that fails three times ends ${state} with ${retries} retries`, async (t) => {
    const world = storyWorld({ limits: { taskRetryMaxCount: retries } });
    world.put('a', 50);
    let fails = 0;
    world.fate = () => (++fails <= 3 ? { code: 'ufs_unavailable', message: 'away' } : undefined);
    world.lead();
    t.true(await world.finish());
    t.is(world.verdict?.state, state);
    t.is(counter(world, 'retriedTaskCount'), Math.min(3, retries));
    t.is(counter(world, 'failedTaskCount'), state === 'FAILED' ? 1 : 0);
  });
}

test('job run: wrong credentials end the job at once, with an exact account', async (t) => {
  const world = storyWorld();
  for (let n = 0; n < 5; n += 1) world.put(`f${n}`, 250);
  world.fate = (_owner, _task, path) =>
    path.endsWith('f2') ? { code: 'ufs_credentials', message: 'expired' } : undefined;
  world.lead();
  t.true(await world.finish());
  t.is(world.verdict?.failure?.code, 'ufs_credentials');
  t.is(counter(world, 'listedFiles'), counter(world, 'loadedFiles'));
});

test('job run: a listing that fails ends the job with its error', async (t) => {
  const world = storyWorld();
  world.listFault = () => ({ code: 'ufs_forbidden', message: 'no' });
  world.lead();
  t.true(await world.finish());
  t.is(world.verdict?.state, 'FAILED');
  t.is(world.verdict?.failure?.code, 'ufs_forbidden');
});

test('job run: a verification pass that cannot list keeps the figures of the load', async (t) => {
  const world = storyWorld({ spec: { verify: true } });
  for (let n = 0; n < 5; n += 1) world.put(`f${n}`, 50);
  world.fate = (_owner, _task, path) =>
    path.endsWith('f2') ? { code: 'ufs_forbidden', message: 'no' } : undefined;
  world.listFault = () =>
    world.run.pass > 1 ? { code: 'ufs_forbidden', message: 'no listing' } : undefined;
  world.lead();
  t.true(await world.finish());
  t.is(world.verdict?.failure?.message, 'no listing');
  t.is(counter(world, 'listedFiles'), 5);
  t.is(counter(world, 'loadedFiles'), 4);
  t.deepEqual(
    world.verdict?.checkpoint.failures.map(({ path }) => path),
    ['s3://b/d/f2'],
  );
});

test('job run: figures never go down while a verification pass counts again', async (t) => {
  const world = storyWorld({ spec: { verify: true, replicaCount: 2 } });
  for (let n = 0; n < 30; n += 1) world.put(`f${String(n).padStart(2, '0')}`, 150);
  let first = true;
  world.fate = () => {
    if (!first) return undefined;
    first = false;
    return { code: 'ufs_unavailable', message: 'once' };
  };
  world.lead();
  const before = new Map<string, number>();
  while (!world.verdict) {
    await world.advance(1);
    for (const [name, value] of Object.entries(world.run.counters) as [string, number][]) {
      t.true(value >= (before.get(name) ?? 0), `${name} went from ${before.get(name)} to ${value}`);
      before.set(name, value);
    }
  }
  t.is(world.verdict.checkpoint.pass, 2);
  t.is(counter(world, 'retriedTaskCount'), 1);
});

test('job run: metadata alone is stored at every home, without a byte', async (t) => {
  const world = storyWorld({ spec: { metadataOnly: true, replicaCount: 2 } });
  world.put('a', 1000);
  world.lead();
  t.true(await world.finish());
  t.deepEqual(sent(world), ['p1: a#-1', 'p2: a#-1']);
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(counter(world, 'loadedFiles'), 1);
  t.is(counter(world, 'replicaBytes'), 0);
});

test('job run: an empty file is one record, an empty listing is a success', async (t) => {
  const empty = storyWorld({ spec: { replicaCount: 2 } });
  empty.put('a', 0);
  empty.lead();
  t.true(await empty.finish());
  t.deepEqual(sent(empty), ['p1: a#-1', 'p2: a#-1']);
  t.is(counter(empty, 'loadedFiles'), 1);
  const nothing = storyWorld();
  nothing.lead();
  t.true(await nothing.finish());
  t.is(nothing.verdict?.state, 'SUCCEEDED');
  t.is(counter(nothing, 'listedFiles'), 0);
});

test('job run: a filtered file is counted and never touched', async (t) => {
  const filtered = new RunWorld({ accepts: (path) => path.endsWith('b') });
  filtered.put('a', 70);
  filtered.put('b', 50);
  filtered.lead();
  t.true(await filtered.finish());
  t.is(counter(filtered, 'filteredFiles'), 1);
  t.is(counter(filtered, 'listedBytes'), 50);
  t.is(filtered.fetchCountOf('a'), 0);
});

test('job run: never more files and units at once than the windows allow', async (t) => {
  const world = new RunWorld({ limits: { windowFiles: 7, windowUnits: 5 } });
  for (let n = 0; n < 60; n += 1) world.put(`f${String(n).padStart(2, '0')}`, 320);
  world.delayMs = () => 10;
  world.lead();
  let filesMax = 0;
  let unitsMax = 0;
  while (!world.verdict) {
    await world.advance(1);
    filesMax = Math.max(filesMax, world.run.windowFileCount);
    unitsMax = Math.max(unitsMax, world.run.openUnitCount);
  }
  t.is(filesMax, 7);
  t.is(unitsMax, 5);
});

test('job run: no batch is larger than the spec asks for', async (t) => {
  const world = storyWorld({ spec: { batchSize: 2 } });
  for (let n = 0; n < 9; n += 1) world.put(`f${n}`, 50);
  world.lead();
  t.true(await world.finish());
  t.is(Math.max(...sent(world).map((line) => line.split(' ').length - 1)), 2);
});

test('job run: long paths make small batches', async (t) => {
  const world = storyWorld({
    spec: { batchSize: 4000 },
    limits: {
      batchSize: 4000,
      windowTasks: 4000,
      windowUnits: 4000,
      windowFiles: 4000,
      windowBytes: 1e9,
    },
  });
  for (let n = 0; n < 1000; n += 1)
    world.put(`${String(n).padStart(4, '0')}${'x'.repeat(2000)}`, 5);
  world.lead();
  t.true(await world.finish());
  t.true(sent(world).every((line) => line.length < 1.3 * 1024 * 1024));
});

test('job run: a new leader goes on from any checkpoint with exact figures', async (t) => {
  for (let cut = 5; cut < 400; cut += 35) {
    const world = storyWorld({ spec: { replicaCount: 2 }, limits: { checkpointIntervalMs: 40 } });
    for (let n = 0; n < 40; n += 1) world.put(`f${String(n).padStart(2, '0')}`, 10 * n);
    world.delayMs = () => 7;
    world.lead();
    await world.advance(cut);
    if (!world.verdict) world.lead();
    t.true(await world.finish());
    t.is(world.verdict?.state, 'SUCCEEDED', `cut at ${cut}`);
    t.is(counter(world, 'listedFiles'), 40);
    t.is(counter(world, 'loadedFiles'), 40);
    t.is(counter(world, 'loadedBytes'), 7800);
    for (const [name, count] of world.fetches) t.is(count, 1, `cut at ${cut}: ${name}`);
  }
});

test('job run: too few peers for the replicas end the job after a while', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 3 } });
  world.put('a', 50);
  world.owner('p3').onRing = false;
  world.lead();
  await world.advance(RUN_LIMITS.replicaWaitMs / 2);
  t.is(world.verdict, undefined);
  t.true(await world.finish());
  t.is(world.verdict?.failure?.code, 'conflict');
});

test('job run: comparisons that never agree end the job', async (t) => {
  const world = storyWorld({ limits: { passMaxCount: 3 } });
  world.put('a', 50);
  world.lead();
  const held = world.owner('p1');
  held.leases.set = () => held.leases; // What it is told to lease, it forgets.
  t.true(await world.finish());
  t.is(world.verdict?.failure?.code, 'internal');
});

test('job run: copies are sent before the fetches that wait for the same owner', async (t) => {
  const world = storyWorld({
    spec: { replicaCount: 2 },
    limits: { windowTasks: 1, batchSize: 1, windowUnits: 100 },
  });
  // Even segments are fetched by p1, odd ones by p2; each copies from the other.
  world.order = (_path, index) => (index % 2 === 0 ? P : [P[1]!, P[0]!]);
  world.put('a', 4000);
  world.lead();
  t.true(await world.finish());
  const toFirst = sent(world).filter((line) => line.startsWith('p1'));
  const firstCopy = toFirst.findIndex((line) => line.endsWith('from p2'));
  const lastFetch = toFirst.findLastIndex((line) => !line.endsWith('from p2'));
  t.is(toFirst.length, 40);
  // What the window holds may be on its way already.
  t.true(firstCopy <= RUN_LIMITS.windowTasks + 1, `the first copy was order ${firstCopy}`);
  t.true(lastFetch > firstCopy);
});

test('job run: what a draining owner has begun is waited for and copied, the rest is fetched elsewhere', async (t) => {
  const world = storyWorld({
    spec: { replicaCount: 1 },
    limits: { windowTasks: 2, batchSize: 2, windowUnits: 100 },
  });
  world.order = () => P;
  world.put('a', 1000);
  world.delayMs = (what) => (what === 'task' ? 200 : 1);
  world.lead();
  await world.advance(50);
  const begunCount = sent(world).length;
  t.true(begunCount < 10);
  world.drain('p1');
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  for (let index = 0; index < 10; index += 1) t.is(world.fetchCountOf('a', index), 1, `${index}`);
  const toFirst = sent(world).filter((line) => line.startsWith('p1'));
  t.is(toFirst.length, begunCount, 'nothing was begun there after that');
});

test('job run: a draining owner that goes before it answers is not waited for', async (t) => {
  const world = storyWorld({ spec: { replicaCount: 1 } });
  world.order = () => P;
  world.put('a', 300);
  world.delayMs = (what) => (what === 'task' ? 200 : 1);
  world.lead();
  await world.advance(50);
  world.drain('p1');
  await world.advance(50);
  world.setReachable('p1', false);
  t.true(await world.finish(60_000));
  t.is(world.verdict?.state, 'SUCCEEDED');
});

test('job run: an owner that answers after it left the ring is not waited for', async (t) => {
  const world = new RunWorld({ peers: 3, spec: { replicaCount: 1 } });
  world.order = () => ['p1', 'p2', 'p3'].map((name) => peerId(name));
  world.delayMs = (what) => (what === 'result' ? 100 : 1);
  world.put('a', 250);
  world.lead();
  await world.advance(50);
  world.setReachable('p2', false);
  world.setOnRing('p1', false);
  await world.advance(200);
  world.setReachable('p2', true);
  t.true(await world.finish(60_000));
  t.is(world.verdict?.state, 'SUCCEEDED');
});
