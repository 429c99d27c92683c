import test from 'ava';

import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError } from '../../src/base/errors.ts';
import { RetryBudget, RetryLoop, type Failure } from '../../src/ufs/retry.ts';

const error = new RingloadError('ufs_unavailable', 'down');
const soon: Failure = { error, again: 'soon' };
const later: Failure = { error, again: 'later' };
const never = new AbortController().signal;

function loopOf(clock: ManualClock, budget = new RetryBudget(), retryMaxCount = 3): RetryLoop {
  // Highest chance: the jitter gives (almost) the whole delay.
  const random = { next: () => 0.999_999 };
  return new RetryLoop({
    clock,
    random,
    budget,
    retryMaxCount,
    retryDelayMs: 100,
    retryDelayMaxMs: 1_000,
  });
}

/** Milliseconds that a retry waits. */
async function delayOf(loop: RetryLoop, clock: ManualClock, failure: Failure): Promise<number> {
  const startMs = clock.nowMs();
  const outcome = { isOver: false };
  const waiting = loop.waitOrThrow(failure, never).finally(() => {
    outcome.isOver = true;
  });
  waiting.catch(() => undefined);
  for (let ms = 0; ms < 10_000 && !outcome.isOver; ms++) {
    clock.advance(1);
    for (let i = 0; i < 5; i++) await Promise.resolve();
  }
  await waiting;
  return clock.nowMs() - startMs;
}

test('retry: delays double, are longer when throttled, and are capped', async (t) => {
  const clock = new ManualClock();
  const loop = loopOf(clock, new RetryBudget(), 9);
  const close = (actual: number, expected: number): boolean => Math.abs(actual - expected) <= 3;
  t.true(close(await delayOf(loop, clock, soon), 100));
  t.true(close(await delayOf(loop, clock, soon), 200));
  t.true(close(await delayOf(loop, clock, soon), 400));
  t.true(close(await delayOf(loop, clock, later), 1_000));
  t.true(close(await delayOf(loopOf(clock), clock, later), 400));
});

test('retry: the number of retries of a call is bounded', async (t) => {
  const clock = new ManualClock();
  const loop = loopOf(clock, new RetryBudget(), 2);
  await delayOf(loop, clock, soon);
  await delayOf(loop, clock, soon);
  t.is(await t.throwsAsync(loop.waitOrThrow(soon, never)), error);
});

test('retry: what is not retryable is thrown at once', async (t) => {
  const loop = loopOf(new ManualClock());
  t.is(await t.throwsAsync(loop.waitOrThrow({ error, again: 'never' }, never)), error);
});

test('retry: a storm of failures costs the budget and then a tenth of the successes', async (t) => {
  const clock = new ManualClock();
  const budget = new RetryBudget();
  let retryCount = 0;
  for (let i = 0; i < 500; i++) {
    try {
      await delayOf(loopOf(clock, budget, 1), clock, soon);
      retryCount++;
    } catch {
      // Refused by the budget.
    }
  }
  t.is(retryCount, RetryBudget.CAPACITY);
  for (let i = 0; i < 21; i++) budget.succeeded();
  t.true(budget.take());
  t.true(budget.take());
  t.false(budget.take());
});

test('retry: a corrected signature costs the budget nothing, once in a call', async (t) => {
  const clock = new ManualClock();
  const budget = new RetryBudget();
  while (budget.take());
  const loop = loopOf(clock, budget);
  const corrected: Failure = { error, again: 'corrected' };
  await delayOf(loop, clock, corrected);
  t.is(await t.throwsAsync(loop.waitOrThrow(corrected, never)), error);
});

test('retry: an abort ends the waiting with cancelled', async (t) => {
  const controller = new AbortController();
  const waiting = loopOf(new ManualClock()).waitOrThrow(soon, controller.signal);
  controller.abort();
  t.is((await t.throwsAsync(waiting, { instanceOf: RingloadError })).code, 'cancelled');
});
