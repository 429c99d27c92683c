/** Copies that are ordered while the first owner fetches. */
import test from 'ava';
import { carrySum, formatSum } from '../../src/base/crc-combine.ts';
import { peerId } from '../../src/base/ids.ts';
import { RunWorld, RUN_LIMITS, type WorldOptions } from './support/run-world.ts';

const P = ['p1', 'p2', 'p3'].map(peerId);
const FILL_MS = 200;

/** Every segment belongs to p1, then p2, then p3; fetches take a while, and are told of. */
function followWorld(options: WorldOptions = {}): RunWorld {
  const world = new RunWorld({ spec: { replicaCount: 2 }, ...options });
  world.order = () => P;
  world.fillMs = (_owner, from) => (from === 'ufs' ? FILL_MS : 1);
  world.tellsBegun = () => true;
  return world;
}

function sent(world: RunWorld): string[] {
  return world.trace.filter((line) => !line.startsWith('checkpoint'));
}

function counter(world: RunWorld, name: string): number {
  return world.verdict?.checkpoint.counters[name] ?? 0;
}

test('job run: the others follow the first owner while it fetches', async (t) => {
  const world = followWorld({ spec: { replicaCount: 3 } });
  world.put('a', 50);
  world.lead();
  await world.advance(FILL_MS / 2);
  t.deepEqual(sent(world), ['p1: a#0', 'p2: a#0 behind p1', 'p3: a#0 behind p1']);
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(sent(world).length, 3, 'nobody copies what it followed');
  t.is(world.fetchCountOf('a'), 1);
  t.is(counter(world, 'loadedBytes'), 50);
  t.is(counter(world, 'replicaBytes'), 150);
});

test('job run: small segments are not followed, nor what is loaded anew', async (t) => {
  const worlds = [
    followWorld({ limits: { followMinBytes: 51 } }),
    followWorld({ spec: { replicaCount: 2, reload: true } }),
  ];
  for (const world of worlds) {
    world.put('a', 50);
    world.lead();
    t.true(await world.finish());
    t.deepEqual(sent(world), ['p1: a#0', 'p2: a#0 from p1']);
  }
});

test('job run: who followed in vain copies later, and no attempt is used up', async (t) => {
  const world = followWorld();
  world.put('a', 50);
  let isFirst = true;
  world.fate = (_owner, { follows }) => {
    if (follows !== true || !isFirst) return undefined;
    isFirst = false;
    return { code: 'peer_unreachable', message: 'the connection was cut' };
  };
  world.lead();
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.deepEqual(sent(world), ['p1: a#0', 'p2: a#0 behind p1', 'p2: a#0 from p1']);
  t.is(world.fetchCountOf('a'), 1);
  t.is(counter(world, 'retriedTaskCount'), 0);
});

test('job run: a source that dies takes the copy with it, and one owner fetches again', async (t) => {
  const world = followWorld();
  world.put('a', 50);
  world.lead();
  await world.advance(FILL_MS / 2);
  world.restart('p1', true);
  t.true(await world.finish());
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(world.fetchCountOf('a'), 2, 'what was lost, and once more');
});

test('job run: who follows a slow fetch is not slow', async (t) => {
  const world = followWorld({ limits: { slowAfterMs: 100 } });
  world.order = (path) => (path.endsWith('slow') ? P : [P[2], P[1], P[0]].flatMap((p) => p ?? []));
  for (let n = 0; n < 20; n += 1) world.put(`a${n}`, 50);
  world.put('slow', 50);
  world.fillMs = (owner, from) => (from === 'ufs' && owner.id === P[0] ? 5000 : 1);
  world.lead();
  await world.advance(4000);
  t.true(sent(world).includes('p2: slow#0 behind p1'));
  t.is(world.trace.filter((line) => line.startsWith('recall') && line.endsWith('p2')).length, 0);
});

test('job run: a checksum that died with the fetch is computed by another one', async (t) => {
  const world = followWorld();
  world.put('a', 150);
  const [object] = world.objects;
  if (object) world.objects[0] = { ...object, mayHaveChecksum: true };
  world.crcOf = (_path, index) => 11 + index;
  const whole = carrySum('crc32', 11n, 50) ^ 12n;
  world.checksums.set('s3://b/d/a', { algorithm: 'crc32', value: formatSum('crc32', whole) });
  let isLost = false;
  world.fate = (owner, { index, copy }) => {
    if (isLost || owner.id !== P[0] || index !== 0 || copy) return undefined;
    isLost = true;
    return 'lose-result';
  };
  world.lead();
  await world.advance(FILL_MS * 2);
  t.is(world.verdict, undefined);
  t.true(await world.finish(RUN_LIMITS.answerTimeoutMs * 3));
  t.is(world.verdict?.state, 'SUCCEEDED');
  t.is(counter(world, 'checkedFiles'), 1);
  t.is(world.fetchCountOf('a'), 1);
});
