import test from 'ava';
import { SeededRandom, randomInt } from '../../src/base/random.ts';
import type { WireError } from '../../src/base/errors.ts';
import { RunWorld, segmentName, SEGMENT_BYTES } from './support/run-world.ts';

/** `JOB_RUN_SEED=n` replays one run, `JOB_RUN_COUNT=n` changes how many are drawn. */
const givenSeed = process.env['JOB_RUN_SEED'];
const runCount = givenSeed === undefined ? Number(process.env['JOB_RUN_COUNT'] ?? 150) : 1;
const firstSeed = givenSeed === undefined ? Math.floor(Math.random() * 2 ** 30) : Number(givenSeed);

const FAULTS: readonly WireError[] = [
  { code: 'ufs_unavailable', message: 'no answer' },
  { code: 'ufs_throttled', message: 'slow down' },
  { code: 'cache_io', message: 'disk' },
  { code: 'peer_unreachable', message: 'source away' },
  { code: 'ufs_changed', message: 'so it seemed' },
];

function drawWorld(seed: number, withFaults: boolean): RunWorld {
  const random = new SeededRandom(seed);
  const pick = (bound: number): number => randomInt(random, bound);
  const peers = 1 + pick(5);
  const world = new RunWorld({
    seed: seed + 1,
    peers,
    spec: {
      replicaCount: 1 + pick(Math.min(3, peers)),
      verify: pick(4) === 0,
      metadataOnly: pick(12) === 0,
      batchSize: 1 + pick(8),
    },
    limits: {
      windowTasks: 1 + pick(8),
      windowBytes: 1 + pick(3000),
      windowFiles: 1 + pick(20),
      windowUnits: 1 + pick(20),
      checkpointIntervalMs: 50 + pick(500),
    },
    accepts: (path) => !path.endsWith('x'),
  });
  const files = pick(40);
  for (let n = 0; n < files; n += 1) {
    const name = `${String(pick(500)).padStart(4, '0')}${pick(6) === 0 ? 'x' : ''}`;
    world.put(name, pick(5) === 0 ? 0 : pick(5 * SEGMENT_BYTES));
  }
  world.delayMs = () => 1 + pick(withFaults ? 60 : 20);
  const followers = new SeededRandom(seed + 3);
  const followedOfTen = randomInt(followers, 11);
  world.tellsBegun = () => randomInt(followers, 10) < followedOfTen;
  return world;
}

/** Tells how many faults there were so far. */
function addFaults(world: RunWorld, seed: number): () => number {
  let faultCount = 0;
  const random = new SeededRandom(seed + 2);
  const pick = (bound: number): number => randomInt(random, bound);
  const untilMs = 500 + pick(5000);
  const isOn = (): boolean => world.clock.nowMs() < untilMs;
  world.fate = () => {
    const draw = isOn() ? pick(40) : 40;
    if (draw < 4) faultCount += 1;
    if (draw === 0) return FAULTS[pick(FAULTS.length)];
    if (draw === 1) return 'lose-result';
    return draw < 4 ? 'repeat-result' : undefined;
  };
  world.batchFault = () => {
    if (!isOn() || pick(15) > 0) return undefined;
    faultCount += 1;
    return pick(2) === 0 ? 'lost' : 'taken';
  };
  const names = [...world.owners.values()].map(({ id }) => id as string);
  const someone = (): string => names[pick(names.length)] ?? 'p1';
  const heal = (): void => {
    for (const name of names) {
      world.owner(name).stuck = false;
      if (!world.owner(name).reachable) world.setReachable(name, true);
      if (!world.owner(name).onRing) world.setOnRing(name, true);
    }
  };
  const strike = (): void => {
    if (!isOn()) {
      heal();
      return;
    }
    const draw = pick(8);
    faultCount += 1;
    if (draw === 0) world.restart(someone(), pick(2) === 0);
    else if (draw === 1) world.setReachable(someone(), pick(2) === 0);
    else if (draw === 2) world.setOnRing(someone(), pick(3) > 0);
    else if (draw === 3) world.lead();
    else if (draw === 4) world.put(String(pick(500)).padStart(4, '0'), pick(300), `v${pick(99)}`);
    else if (draw === 5) world.delete(String(pick(500)).padStart(4, '0'));
    else if (draw === 6) world.owner(someone()).stuck = true;
    world.clock.setTimer(20 + pick(400), strike);
  };
  world.clock.setTimer(pick(300), strike);
  return () => faultCount;
}

/** What must hold at the end of any run; a text names what does not. */
function broken(world: RunWorld): string | undefined {
  const { verdict, spec } = world;
  if (!verdict) return 'no verdict';
  const { counters } = verdict.checkpoint;
  const of = (name: string): number => counters[name] ?? 0;
  const accounted =
    of('loadedFiles') + of('skippedFiles') + of('failedFiles') + of('filteredFiles');
  if (of('listedFiles') !== accounted) return `listed ${of('listedFiles')}, not ${accounted}`;
  const bytes = of('loadedBytes') + of('skippedBytes') + of('failedBytes');
  if (!spec.metadataOnly && of('listedBytes') !== bytes) {
    return `listed bytes ${of('listedBytes')}, not ${bytes}`;
  }
  if (verdict.state === 'SUCCEEDED' && of('failedFiles') > 0) return 'succeeded with failures';
  if (world.eventCount > 60_000) return `${world.eventCount} events`;
  return undefined;
}

function underReplicated(world: RunWorld): string | undefined {
  const { spec, verdict } = world;
  if (spec.metadataOnly || verdict?.state !== 'SUCCEEDED') return undefined;
  for (const object of world.objects) {
    if (object.path.endsWith('x')) continue;
    const segments = Math.ceil(object.sizeBytes / SEGMENT_BYTES);
    for (let index = 0; index < segments; index += 1) {
      const holders = world.holdersOf(object, index).length;
      if (holders < spec.replicaCount) return `${segmentName(object, index)} has ${holders} copies`;
    }
  }
  return undefined;
}

test('job run: without faults each segment is fetched once and held by R owners', async (t) => {
  for (let seed = firstSeed; seed < firstSeed + runCount; seed += 1) {
    const replay = `JOB_RUN_SEED=${seed}`;
    const world = drawWorld(seed, false);
    world.lead();
    t.true(await world.finish(), `${replay}: no verdict`);
    t.is(world.verdict?.state, 'SUCCEEDED', replay);
    t.is(broken(world), undefined, replay);
    t.is(underReplicated(world), undefined, replay);
    for (const [name, count] of world.fetches) t.is(count, 1, `${replay}: ${name}`);
    t.is(world.verdict?.checkpoint.pass, world.spec.verify ? 2 : 1, replay);
  }
});

test('job run: under faults the account is exact and nothing is claimed that is not there', async (t) => {
  t.timeout(60_000);
  for (let seed = firstSeed; seed < firstSeed + runCount; seed += 1) {
    const replay = `JOB_RUN_SEED=${seed}`;
    const world = drawWorld(seed, true);
    const faultCount = addFaults(world, seed);
    let changed = false;
    const put = world.put.bind(world);
    world.put = (...args): void => {
      changed = true;
      put(...args);
    };
    world.lead();
    t.true(await world.finish(), `${replay}: no verdict`);
    t.is(broken(world), undefined, replay);
    const most = Math.max(0, ...world.fetches.values());
    t.true(most <= 1 + faultCount(), `${replay}: ${most} fetches of one segment`);
    // Objects that change behind the listing's cursor belong to no promise.
    if (!changed) t.is(underReplicated(world), undefined, replay);
  }
});
