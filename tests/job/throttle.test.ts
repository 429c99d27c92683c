import test from 'ava';
import { Throttle } from '../../src/job/throttle.ts';

test('throttle: complaints that go on halve the share step by step down to its minimum', (t) => {
  const throttle = new Throttle();
  throttle.slowDown(0);
  t.is(throttle.share, 0.5, 'also in the first half second of the clock');
  for (let nowMs = 0; nowMs < 10_000; nowMs += 100) {
    throttle.recover(nowMs);
    throttle.slowDown(nowMs + 50);
  }
  t.is(throttle.share, 1 / 64);
});

test('throttle: complaints within half a second count once', (t) => {
  const throttle = new Throttle();
  for (const nowMs of [1000, 1100, 1499]) throttle.slowDown(nowMs);
  t.is(throttle.share, 0.5);
  throttle.slowDown(1500);
  t.is(throttle.share, 0.25);
});

test('throttle: the share is whole again after quiet', (t) => {
  const throttle = new Throttle();
  throttle.slowDown(0);
  throttle.recover(1999);
  t.is(throttle.share, 0.5);
  for (let nowMs = 2000; nowMs <= 4000; nowMs += 100) throttle.recover(nowMs);
  t.is(throttle.share, 1);
});
