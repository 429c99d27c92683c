/** Owners that do not keep pace: what others can do for them is done by others, once. */
import test from 'ava';
import { carrySum, formatSum } from '../../src/base/crc-combine.ts';
import { peerId } from '../../src/base/ids.ts';
import { type ZERO_COUNTERS } from '../../src/job/job-status.ts';
import { type OwnerLoad, PaceWatch } from '../../src/job/pace-watch.ts';
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

const A = peerId('a');
const B = peerId('b');

/** `b` answers a task of 100 bytes every 10 ms, `a` has work and answers nothing. */
function watchWithPeer(answers = 10): PaceWatch {
  const watch = new PaceWatch({ slowAfterMs: 1_000 });
  watch.begin(A, 0);
  watch.begin(B, 0);
  for (let n = 1; n <= answers; n += 1) watch.answered(B, 100, 10 * n, n === answers);
  return watch;
}

const LATE = { oldestSentMs: 0, bytes: 1_000, count: 10 };

function judge(watch: PaceWatch, load: OwnerLoad, nowMs: number): void {
  watch.judge(new Map([[A, load]]), nowMs);
}

test('pace: old work makes an owner slow when it is found old twice in a row', (t) => {
  const watch = watchWithPeer();
  judge(watch, LATE, 1_000);
  judge(watch, LATE, 1_001);
  t.false(watch.isSlow(A));
  judge(watch, LATE, 1_100);
  t.is(watch.levelOf(A), 'crawling');
});

test('pace: a stall of the leader makes nobody slow', (t) => {
  const watch = watchWithPeer();
  judge(watch, LATE, 60_000);
  judge(watch, { ...LATE, oldestSentMs: 60_000 }, 60_100);
  judge(watch, { ...LATE, oldestSentMs: 60_000 }, 60_200);
  t.false(watch.isSlow(A));
});

test('pace: what the others would need as long for is not late', (t) => {
  const watch = watchWithPeer();
  const much = { oldestSentMs: 0, bytes: 1_000_000, count: 10 };
  watch.begin(B, 100);
  for (let nowMs = 1_000; nowMs < 300_000; nowMs += 1_000) {
    watch.judge(
      new Map([
        [A, much],
        [B, much],
      ]),
      nowMs,
    );
  }
  t.false(watch.isSlow(A));
});

test('pace: work that piles up is no excuse', (t) => {
  const watch = watchWithPeer();
  const pile = { oldestSentMs: 0, bytes: 100_000, count: 1_000 };
  judge(watch, pile, 1_001);
  judge(watch, pile, 1_100);
  t.true(watch.isSlow(A));
});

/** `a` answers one task of 100 bytes every `everyMs`, with `count` more out; `b` is idle or not. */
function watchAtWork(everyMs: number, count: number, busyCount: number): PaceWatch {
  const watch = watchWithPeer();
  watch.begin(B, 100);
  const loadOf = (tasks: number, nowMs: number): OwnerLoad => {
    return { oldestSentMs: nowMs - 2_000, bytes: tasks * 100, count: tasks };
  };
  for (let nowMs = 110; nowMs < 20_000; nowMs += 10) {
    if (busyCount > 0) watch.answered(B, 100, nowMs, false);
    if (nowMs % everyMs !== 0) continue;
    watch.answered(A, 100, nowMs, false);
    const loads = new Map([[A, loadOf(count, nowMs)]]);
    if (busyCount > 0) loads.set(B, loadOf(busyCount, nowMs));
    watch.judge(loads, nowMs);
  }
  return watch;
}

test('pace: half the speed of others that are at work is fast enough, a twentieth is not', (t) => {
  t.is(watchAtWork(20, 100, 100).levelOf(A), 'steady');
  t.is(watchAtWork(200, 100, 100).levelOf(A), 'crawling');
});

test('pace: with idle others, an owner with much work is behind; with little, it is not', (t) => {
  t.is(watchAtWork(50, 500, 0).levelOf(A), 'behind');
  t.is(watchAtWork(50, 500, 400).levelOf(A), 'steady');
  t.is(watchAtWork(50, 20, 0).levelOf(A), 'steady');
});

test('pace: answers that come many at a time say as much as one by one', (t) => {
  const watch = watchWithPeer();
  for (let nowMs = 1_000; nowMs <= 20_000; nowMs += 1_000) {
    for (let n = 0; n < 100; n += 1) watch.answered(B, 100, nowMs, n === 99);
    for (let n = 0; n < 50; n += 1) watch.answered(A, 100, nowMs, false);
    watch.begin(B, nowMs);
    const load = { oldestSentMs: nowMs - 2_000, bytes: 1_000, count: 10 };
    watch.judge(
      new Map([
        [A, load],
        [B, load],
      ]),
      nowMs + 900,
    );
  }
  t.deepEqual([watch.levelOf(A), watch.levelOf(B)], ['steady', 'steady']);
});

test('pace: with nobody to compare, or too few answers, nobody is slow', (t) => {
  for (const watch of [new PaceWatch({ slowAfterMs: 1_000 }), watchWithPeer(3)]) {
    for (let nowMs = 0; nowMs < 300_000; nowMs += 1_000) judge(watch, LATE, nowMs);
    t.false(watch.isSlow(A));
  }
});

test('pace: a slow owner gets another chance, each time later', (t) => {
  const watch = watchWithPeer();
  const changes: number[] = [];
  let slow = false;
  for (let nowMs = 0; nowMs <= 200_000; nowMs += 500) {
    // It has work for some time, and then is done with it, which nobody finds slow.
    judge(watch, { ...LATE, oldestSentMs: slow ? nowMs : 0 }, nowMs);
    if (watch.isSlow(A) !== slow) changes.push(nowMs);
    slow = watch.isSlow(A);
  }
  const rests = changes.flatMap((atMs, n) => (n % 2 === 1 ? [atMs - (changes[n - 1] ?? 0)] : []));
  t.deepEqual(rests.slice(0, 2), [30_000, 60_000]);
});
