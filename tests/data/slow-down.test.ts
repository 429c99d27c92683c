import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { SlowDown } from '../../src/data/slow-down.ts';
import { Urgency } from '../../src/data/urgency.ts';
import { settle } from './support.ts';

const fresh = (): AbortSignal => new AbortController().signal;

/** Fills that take 100 ms each, as many as may; how many began. */
function begin(clock: ManualClock, slowDown: SlowDown, takerCount: number) {
  const state = { begunCount: 0, isOn: true };
  const take = async (): Promise<void> => {
    while (state.isOn) {
      const fill = (): Promise<void> => {
        state.begunCount++;
        return new Promise((resolve) => clock.setTimer(100, resolve));
      };
      await slowDown.run(fill, fresh());
    }
  };
  for (let taker = 0; taker < takerCount; taker++) void take();
  return state;
}

async function run(clock: ManualClock, forMs: number): Promise<void> {
  for (let ms = 0; ms < forMs; ms += 10) {
    await settle();
    clock.advance(10);
  }
}

test('slow down: a complaint halves what is under way, quiet brings it back', async (t) => {
  const clock = new ManualClock();
  const slowDown = new SlowDown(clock);
  const state = begin(clock, slowDown, 16);
  await run(clock, 1000);
  const before = state.begunCount;
  t.true(slowDown.complain());
  t.false(slowDown.complain(), 'those that come together count once');
  t.is(slowDown.limit, 8);
  await run(clock, 1000);
  const after = state.begunCount - before;
  t.true(after <= before * 0.6, `${before}, then ${after}`);
  await run(clock, 6000);
  const late = state.begunCount;
  await run(clock, 1000);
  state.isOn = false;
  t.true(state.begunCount - late >= before * 0.9, 'as before');
});

test('slow down: never below one, whoever complains, and a wait ends with its signal', async (t) => {
  const clock = new ManualClock();
  const slowDown = new SlowDown(clock);
  for (let n = 0; n < 5; n++) {
    slowDown.complain();
    clock.advance(1000);
  }
  t.is(slowDown.limit, 1);
  void slowDown.run(() => new Promise(() => undefined), fresh());
  const controller = new AbortController();
  const waiting = slowDown.run(() => Promise.resolve(), controller.signal);
  controller.abort(new Error('enough'));
  await t.throwsAsync(waiting, { message: 'enough' });
});

test('slow down: what a reader begins to wait for does not wait for its turn', async (t) => {
  const clock = new ManualClock();
  const slowDown = new SlowDown(clock);
  const state = begin(clock, slowDown, 4);
  await run(clock, 100);
  slowDown.complain();
  await run(clock, 200);
  state.isOn = false;
  let isBegun = false;
  const urgency = new Urgency(false);
  const never = new Promise<void>(() => undefined);
  while (slowDown.limit > 1) {
    await run(clock, 500);
    slowDown.complain();
  }
  void slowDown.run(() => never, fresh());
  await settle();
  const waiting = slowDown.run(() => Promise.resolve((isBegun = true)), fresh(), urgency);
  await run(clock, 200);
  t.false(isBegun);
  urgency.raise();
  await run(clock, 100);
  t.true(await waiting);
});
