import test from 'ava';

import { SingleFlight } from '../../src/cache/single-flight.ts';

/** Work that ends when the test says so, and notes when it is cancelled. */
function newWork<T>() {
  let startCount = 0;
  let isCancelled = false;
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const work = (signal: AbortSignal): Promise<T> => {
    startCount++;
    signal.addEventListener('abort', () => {
      isCancelled = true;
      reject(signal.reason as Error);
    });
    return new Promise<T>((onResolve, onReject) => {
      resolve = onResolve;
      reject = onReject;
    });
  };
  return {
    work,
    get startCount() {
      return startCount;
    },
    get isCancelled() {
      return isCancelled;
    },
    resolve: (value: T) => {
      resolve(value);
    },
    reject: (error: Error) => {
      reject(error);
    },
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('single flight: callers of one key share one run, another key has its own', async (t) => {
  const flight = new SingleFlight<number>();
  const first = newWork<number>();
  const other = newWork<number>();
  const results = [flight.run('a', first.work), flight.run('a', first.work)];
  const otherResult = flight.run('b', other.work);
  await turn();
  t.is(first.startCount, 1);
  t.is(flight.size, 2);
  first.resolve(7);
  other.resolve(8);
  t.deepEqual(await Promise.all(results), [7, 7]);
  t.is(await otherResult, 8);
  t.is(flight.size, 0);
});

test('single flight: a failure reaches everyone, and the next call tries again', async (t) => {
  const flight = new SingleFlight<number>();
  const work = newWork<number>();
  const results = [flight.run('a', work.work), flight.run('a', work.work)];
  await turn();
  work.reject(new Error('broken'));
  for (const result of results) await t.throwsAsync(result, { message: 'broken' });
  const again = flight.run('a', () => Promise.resolve(1));
  t.is(await again, 1);
});

test('single flight: who leaves gets the reason, the work goes on for the others', async (t) => {
  const flight = new SingleFlight<number>();
  const work = newWork<number>();
  const leaver = new AbortController();
  const left = flight.run('a', work.work, leaver.signal);
  const stayed = flight.run('a', work.work, new AbortController().signal);
  await turn();
  leaver.abort(new Error('enough'));
  await t.throwsAsync(left, { message: 'enough' });
  t.false(work.isCancelled);
  work.resolve(3);
  t.is(await stayed, 3);
});

test('single flight: when the last waiter leaves the work is cancelled', async (t) => {
  const flight = new SingleFlight<number>();
  const work = newWork<number>();
  const leavers = [new AbortController(), new AbortController()];
  const results = leavers.map(({ signal }) => flight.run('a', work.work, signal));
  await turn();
  leavers[0]?.abort(new Error('first'));
  await t.throwsAsync(results[0] ?? Promise.resolve(), { message: 'first' });
  t.false(work.isCancelled);
  leavers[1]?.abort(new Error('second'));
  await t.throwsAsync(results[1] ?? Promise.resolve(), { message: 'second' });
  t.true(work.isCancelled);
  t.is(flight.size, 0);
  t.is(await flight.run('a', () => Promise.resolve(5)), 5, 'the next call starts anew');
});

test('single flight: a caller who had given up before starts nothing', async (t) => {
  const flight = new SingleFlight<number>();
  const work = newWork<number>();
  const signal = AbortSignal.abort(new Error('too late'));
  await t.throwsAsync(flight.run('a', work.work, signal), { message: 'too late' });
  await turn();
  t.is(work.startCount, 0);
});

test('single flight: work that throws at once is a rejection', async (t) => {
  const flight = new SingleFlight<number>();
  const result = flight.run('a', () => {
    throw new Error('at once');
  });
  await t.throwsAsync(result, { message: 'at once' });
  t.is(flight.size, 0);
});
