import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { randomInt, SeededRandom } from '../../src/base/random.ts';
import { HotCopies } from '../../src/read/hot-copies.ts';
import { segmentLengthOf, type SegmentSlice } from '../../src/read/segment-slice.ts';
import { settle } from '../data/support.ts';

const SEGMENT = 100;

function slice(name: string, index = 0, length = SEGMENT): SegmentSlice {
  const file = { path: `s3://b/${name}`, sizeBytes: 250, version: 'v1', mtimeMs: 0 };
  const record = { ...file, segmentSizeBytes: SEGMENT, segmented: true, replicaCount: 1 };
  return { record, index, offset: 0, length };
}

class World {
  readonly clock = new ManualClock();
  /** What lies here. */
  readonly here = new Map<string, SegmentSlice>();
  readonly owned = new Set<string>();
  copyCount = 0;
  failure: Error | undefined;
  readonly hot: HotCopies;

  constructor(budgetBytes = 300) {
    const nameOf = (key: { path: string; index: number }): string => `${key.path}#${key.index}`;
    this.hot = new HotCopies({
      store: {
        lookup: () => Promise.resolve(undefined),
        free: (key) => Promise.resolve(this.here.delete(nameOf(key)) ? 'freed' : 'missing'),
      },
      copy: (copied) => {
        this.copyCount += 1;
        if (this.failure) return Promise.reject(this.failure);
        this.here.set(nameOf({ path: copied.record.path, index: copied.index }), copied);
        return Promise.resolve();
      },
      isOwner: ({ record }) => this.owned.has(record.path),
      budgetBytes,
      clock: this.clock,
      logger: silentLogger,
    });
  }

  async read(name: string, times: number, index = 0): Promise<void> {
    for (let n = 0; n < times; n += 1) {
      const read = slice(name, index);
      const isHere = this.here.has(`${read.record.path}#${index}`);
      this.hot.served(isHere ? 'local' : 'peer', read, segmentLengthOf(read));
      await settle();
    }
  }

  bytesHere(): number {
    return [...this.here.values()].reduce((sum, each) => sum + segmentLengthOf(each), 0);
  }
}

test('hot copies: what is read four times over within a minute is copied here, once', async (t) => {
  const world = new World();
  await world.read('a', 3);
  world.clock.advance(61_000);
  await world.read('a', 3);
  t.is(world.copyCount, 0, 'a read a while ago does not count');
  await world.read('a', 1);
  t.is(world.copyCount, 1);
  await world.read('a', 20);
  t.is(world.copyCount, 1);
  t.is(world.hot.bytes, 100);
  await world.read('b', 4, 2);
  t.is(world.hot.bytes, 150, 'the last segment is shorter');
});

test('hot copies: many small ranges of a large segment make it hot only when they add up', async (t) => {
  const world = new World();
  for (let n = 0; n < 39; n += 1) world.hot.served('peer', slice('a', 0, 10), 10);
  t.is(world.copyCount, 0);
  world.hot.served('peer', slice('a', 0, 10), 10);
  await settle();
  t.is(world.copyCount, 1);
});

test('hot copies: the budget is kept, and only what cooled makes room', async (t) => {
  const world = new World(200);
  await world.read('a', 4);
  await world.read('b', 4);
  await world.read('c', 8);
  t.is(world.copyCount, 2);
  t.deepEqual([...world.here.keys()], ['s3://b/a#0', 's3://b/b#0']);
  world.clock.advance(50_000);
  await world.read('b', 1);
  world.clock.advance(20_000);
  await world.read('c', 4);
  t.deepEqual([...world.here.keys()], ['s3://b/b#0', 's3://b/c#0']);
  t.is(world.hot.bytes, 200);
});

test('hot copies: what nobody reads any more is let go of, unless the ring wants it here', async (t) => {
  const world = new World();
  for (const name of ['a', 'b', 'c']) await world.read(name, 4);
  world.owned.add('s3://b/b');
  for (let n = 0; n < 6; n += 1) {
    world.clock.advance(30_000);
    await world.read('c', 1);
  }
  t.deepEqual([...world.here.keys()], ['s3://b/b#0', 's3://b/c#0']);
  t.is(world.hot.bytes, 100);
});

test('hot copies: owners make none, a failed one counts for nothing, and without a budget there are none', async (t) => {
  const world = new World();
  world.owned.add('s3://b/a');
  await world.read('a', 9);
  t.is(world.copyCount, 0);
  world.failure = new RingloadError('peer_unreachable', 'away');
  await world.read('b', 4);
  t.is(world.copyCount, 1);
  t.is(world.hot.bytes, 0);
  world.failure = undefined;
  await world.read('b', 4);
  t.is(world.hot.bytes, 100);
  const off = new World(0);
  await off.read('a', 9);
  t.is(off.copyCount, 0);
});

/** `HOT_SEED=n` replays one history. */
const given = process.env['HOT_SEED'];
const first = given === undefined ? Math.floor(Math.random() * 2 ** 30) : Number(given);
const count = given === undefined ? 20 : 1;

test('hot copies: at no moment do they take more than the budget', async (t) => {
  for (let seed = first; seed < first + count; seed += 1) {
    const random = new SeededRandom(seed);
    const pick = (bound: number): number => randomInt(random, bound);
    const world = new World(350);
    for (let step = 0; step < 150; step += 1) {
      await world.read(`f${pick(6)}`, pick(6), pick(3));
      world.clock.advance(pick(4) === 0 ? 70_000 : pick(5000));
      await settle();
      t.true(world.bytesHere() <= 350, `HOT_SEED=${seed}, step ${step}: ${world.bytesHere()}`);
      t.is(world.hot.bytes, world.bytesHere(), `HOT_SEED=${seed}, step ${step}`);
    }
  }
});
