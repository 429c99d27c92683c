/** Owners that do not keep pace: what others can do for them is done by others, once. */
import test from 'ava';
import { carrySum, formatSum } from '../../src/base/crc-combine.ts';
import { peerId } from '../../src/base/ids.ts';
import { type ZERO_COUNTERS } from '../../src/job/job-status.ts';
import { type ModelOwner, RunWorld, type WorldOptions } from './support/run-world.ts';

const SLOW = peerId('p1');
/** As long as many of the others' fills; a job that waits for all of p1's takes minutes. */
const SLOW_FILL_MS = 10_000;

const slowUfs = (owner: ModelOwner, from: 'ufs' | 'peer'): number =>
  owner.id === SLOW && from === 'ufs' ? SLOW_FILL_MS : 10;

function worldOf(options: WorldOptions & { files: number }): RunWorld {
  const world = new RunWorld({ peers: 4, ...options });
  for (let n = 0; n < options.files; n += 1) world.put(`f${String(n).padStart(4, '0')}`, 250);
  return world;
}

function counter(world: RunWorld, name: keyof typeof ZERO_COUNTERS): number {
  return world.verdict?.checkpoint.counters[name] ?? Number.NaN;
}

function fetchSum(world: RunWorld): number {
  return [...world.fetches.values()].reduce((sum, count) => sum + count, 0);
}

/** Every owner holds its segments, and the counters say what is true. */
function everyOwnerHolds(world: RunWorld): boolean {
  const { replicaCount } = world.spec;
  return world.objects.every((object) =>
    [0, 1, 2].every((index) => {
      const holders = world.holdersOf(object, index);
      const owners = world.order(object.path, index).slice(0, replicaCount);
      return owners.every((owner) => holders.includes(owner));
    }),
  );
}

test('straggler: an owner with a slow store copies what others fetch, with two replicas', async (t) => {
  const world = worldOf({ files: 60, spec: { replicaCount: 2 } });
  world.fillMs = slowUfs;
  world.lead();
  t.true(await world.finish(60_000));
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.true(everyOwnerHolds(world));
  t.true(world.clock.nowMs() < 2 * SLOW_FILL_MS, `${world.clock.nowMs()} ms`);
  t.true(counter(world, 'movedTaskCount') > 10);
  t.is(counter(world, 'relayedBytes'), 0);
  t.is(counter(world, 'loadedBytes'), 60 * 250);
  t.is(counter(world, 'replicaBytes'), 2 * 60 * 250);
  // What the slow owner had begun is fetched again, no more.
  t.true(fetchSum(world) <= 180 + world.limits.windowTasks, `${fetchSum(world)} fetches`);
});

test('straggler: a single replica is fetched by a helper and copied by its owner', async (t) => {
  const world = worldOf({ files: 60, spec: { replicaCount: 1 } });
  world.fillMs = slowUfs;
  world.lead();
  t.true(await world.finish(60_000));
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.true(everyOwnerHolds(world));
  t.true(world.clock.nowMs() < 3 * SLOW_FILL_MS, `${world.clock.nowMs()} ms`);
  t.true(counter(world, 'relayedBytes') > 0);
  t.is(counter(world, 'loadedBytes'), 60 * 250);
  t.is(counter(world, 'replicaBytes'), 60 * 250);
  t.true(fetchSum(world) <= 180 + 2 * world.limits.windowTasks, `${fetchSum(world)} fetches`);
});

test('straggler: a helper keeps nothing of a file that did not match its checksum', async (t) => {
  const limits = { throttlePatienceMs: 600_000 };
  const world = worldOf({ files: 60, spec: { replicaCount: 1 }, limits });
  // By the time that all of the file is stored, its owner is quick, and needs no helper.
  const isEarly = (): boolean => world.clock.nowMs() < 20_000;
  world.fillMs = (owner, from) => (isEarly() ? slowUfs(owner, from) : 10);
  const late = world.objects.findLast(({ path }) => world.order(path, 1)[0] === SLOW);
  if (!late) throw new Error('p1 owns nothing');
  world.objects[world.objects.indexOf(late)] = { ...late, mayHaveChecksum: true };
  const whole = carrySum('crc32c', 7n, 150) ^ carrySum('crc32c', 7n, 50) ^ 7n;
  world.checksums.set(late.path, { algorithm: 'crc32c', value: formatSum('crc32c', whole) });
  world.fate = (_owner, task, path) =>
    path === late.path && task.index === 2 && world.clock.nowMs() < 100_000
      ? { code: 'ufs_throttled', message: 'not yet' }
      : undefined;
  let isSpoilt = true;
  world.crcOf = (path, index) => {
    const isMeant = path === late.path && index === 1 && isSpoilt;
    if (isMeant) isSpoilt = false;
    return isMeant ? 99 : 7;
  };
  world.lead();
  t.true(await world.finish(600_000));
  t.is(world.verdict?.state, 'SUCCEEDED');
  const copies = [...world.owners.values()].flatMap(({ segments }) => [...segments]);
  t.deepEqual(
    copies.filter(([, { crc }]) => crc !== 7),
    [],
  );
  t.is(world.verdict?.checkpoint.pass, 1);
  t.is(counter(world, 'checkedFiles'), 1);
  t.true(counter(world, 'relayedBytes') > 0);
});

test('straggler: an owner that is slow at everything holds nobody else up', async (t) => {
  const world = worldOf({ files: 40, spec: { replicaCount: 1 }, limits: { windowFiles: 100 } });
  world.fillMs = (owner) => (owner.id === SLOW ? 3_000 : 10);
  world.lead();
  const others = world.objects.flatMap((object) =>
    [0, 1, 2]
      .filter((index) => world.order(object.path, index)[0] !== SLOW)
      .map((index) => ({ object, index })),
  );
  await world.advance(5_000);
  t.true(
    others.every(({ object, index }) => {
      const [owner] = world.order(object.path, index);
      return owner !== undefined && world.holdersOf(object, index).includes(owner);
    }),
  );
  t.is(world.verdict, undefined);
  t.true(await world.finish(600_000));
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.true(everyOwnerHolds(world));
});

test('straggler: a helper without room is no reason to fail the file', async (t) => {
  const world = worldOf({ files: 30, spec: { replicaCount: 1 } });
  world.fillMs = (owner, from) => (owner.id === SLOW && from === 'ufs' ? 4_000 : 10);
  world.fate = (owner, task, path) =>
    world.order(path, task.index)[0] === owner.id
      ? undefined
      : { code: 'cache_full', message: 'no room' };
  world.lead();
  t.true(await world.finish(600_000));
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.true(everyOwnerHolds(world));
  t.is(counter(world, 'relayedBytes'), 0);
});

test('straggler: owners that vary within reason keep their work, and nothing is fetched twice', async (t) => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const world = worldOf({ files: 40, seed, spec: { replicaCount: 2 } });
    world.fillMs = () => Math.round(10 + world.random.next() ** 4 * 600);
    world.lead();
    t.true(await world.finish(120_000));
    t.is(counter(world, 'movedTaskCount'), 0, `seed ${seed}`);
    t.is(fetchSum(world), 120, `seed ${seed}`);
  }
});

test('straggler: a new leader judges anew and ends the job', async (t) => {
  const world = worldOf({ files: 60, spec: { replicaCount: 1 } });
  world.fillMs = slowUfs;
  world.lead();
  await world.advance(4_000);
  world.lead();
  t.true(await world.finish(120_000));
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.true(everyOwnerHolds(world));
});

test('straggler: what it was slow at is recalled, though the others end with little to do', async (t) => {
  const world = worldOf({ files: 60, spec: { replicaCount: 2 } });
  let count = 0;
  // The last of the others' fetches come one by one, as when connections were reset.
  world.fillMs = (owner, from) => {
    if (from === 'peer') return 10;
    if (owner.id === SLOW) return 60_000;
    return (count += 1) > 120 ? 1_500 : 10;
  };
  world.lead();
  t.true(await world.finish(120_000));
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.true(world.clock.nowMs() < 60_000, `${world.clock.nowMs()} ms`);
});

test('straggler: copies from a slow source keep nobody from fetching', async (t) => {
  const limits = { windowFiles: 100, windowUnits: 1_000 };
  const world = worldOf({ files: 60, spec: { replicaCount: 2 }, limits });
  const begun: number[] = [];
  world.fillMs = (_owner, from) => {
    if (from === 'peer') return 20_000;
    begun.push(world.clock.nowMs());
    return 10;
  };
  world.lead();
  await world.advance(19_000);
  t.is(begun.length, 180);
  t.true(await world.finish(600_000));
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(counter(world, 'movedTaskCount'), 0);
});

test('straggler: what a crawling owner does not give back is fetched elsewhere all the same', async (t) => {
  const limits = { windowFiles: 100, windowUnits: 1_000, silentAfterMs: 120_000 };
  const world = worldOf({ files: 60, spec: { replicaCount: 2 }, limits });
  world.fillMs = (owner, from) => (owner.id === SLOW && from === 'ufs' ? 60_000 : 10);
  world.losesRecalls = true;
  world.lead();
  await world.advance(20_000);
  const unheld = world.objects.filter((object) =>
    [0, 1, 2].some((index) => world.holdersOf(object, index).length === 0),
  );
  t.deepEqual(unheld, []);
  t.true(await world.finish(600_000));
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.true(everyOwnerHolds(world));
  t.is(counter(world, 'loadedBytes'), 60 * 250);
});
