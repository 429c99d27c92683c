import test from 'ava';
import { LaneLimit } from '../../../../src/data/io/lanes/lane-limit.ts';

/** Rounds of a second at a store that gives each lane so much, up to a whole. */
function run(limit: LaneLimit, seconds: number, storeMaxRate: number, fromSecond = 0): void {
  for (let second = fromSecond + 1; second <= fromSecond + seconds; second++) {
    limit.received(Math.min(limit.value * 85, storeMaxRate));
    limit.round(second * 1000, true);
  }
}

test('lane limit: grows while more lanes bring more, then seldom', (t) => {
  const limit = new LaneLimit(1000);
  run(limit, 8, Infinity);
  t.true(limit.value > 70, `${limit.value}`);
  const satisfied = new LaneLimit(1000);
  run(satisfied, 8, 16 * 85);
  t.true(satisfied.value <= 25, `${satisfied.value}`);
});

test('lane limit: never above its bound, and unmoved while nobody waits', (t) => {
  const limit = new LaneLimit(20);
  run(limit, 30, Infinity);
  t.is(limit.value, 20);
  const idle = new LaneLimit(1000);
  for (let second = 1; second < 10; second++) idle.round(second * 1000, false);
  t.is(idle.value, 16);
});

test('lane limit: throttling halves it, once for complaints that come together', (t) => {
  const limit = new LaneLimit(64);
  limit.throttled(10_000);
  limit.throttled(10_400);
  t.is(limit.value, 8);
  limit.received(1e9);
  limit.round(11_000, true);
  t.is(limit.value, 8, 'it rests');
  for (let n = 0; n < 10; n++) limit.throttled(20_000 + n * 1000);
  t.is(limit.value, 2);
  run(limit, 3, Infinity, 40);
  t.true(limit.value > 2);
});
