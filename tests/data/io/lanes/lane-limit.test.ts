import test from 'ava';
import { LaneLimit } from '../../../../src/data/io/lanes/lane-limit.ts';
import { RateGate } from '../../../../src/data/io/lanes/rate-gate.ts';

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

test('rate gate: over ten seconds the average is the rate', (t) => {
  const gate = new RateGate();
  const rate = { group: 'job', bytesPerSecond: 1_000_000 };
  let nowMs = 0;
  let taken = 0;
  while (nowMs < 10_000) {
    taken += 65_536;
    nowMs += gate.take(rate, 65_536, nowMs);
  }
  t.true(Math.abs(taken / (nowMs / 1000) / 1_000_000 - 1) < 0.02, `${taken} in ${nowMs} ms`);
});

test('rate gate: groups do not pay for each other, idleness earns a short burst only', (t) => {
  const gate = new RateGate();
  const one = { group: 'one', bytesPerSecond: 1000 };
  t.true(gate.take(one, 5000, 0) > 4000);
  t.is(gate.take({ group: 'two', bytesPerSecond: 1000 }, 0, 0), 0);
  t.true(gate.take(one, 200, 3_600_000) > 0);
});
