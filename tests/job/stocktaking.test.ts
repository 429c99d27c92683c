import test from 'ava';
import { Stocktaking } from '../../src/job/stocktaking.ts';
import { settle } from '../data/support.ts';

test('stocktaking: one at a time, and the answer is younger than the question', async (t) => {
  const counts = new Stocktaking<number>();
  const ends: (() => void)[] = [];
  let value = 1;
  const count = (): Promise<number> => {
    const seen = value;
    return new Promise((resolve) => {
      ends.push(() => {
        resolve(seen);
      });
    });
  };
  const first = counts.take('a', count);
  value = 2;
  const second = counts.take('a', count);
  const third = counts.take('a', count);
  const other = counts.take('b', count);
  await settle();
  t.is(ends.length, 2, 'one for each name');
  ends[0]?.();
  t.is(await first, 1);
  await settle();
  t.is(ends.length, 3, 'those who waited share the next one');
  ends[1]?.();
  ends[2]?.();
  t.deepEqual(await Promise.all([second, third, other]), [2, 2, 2]);
});

test('stocktaking: a count that fails is repeated for who asked meanwhile', async (t) => {
  const counts = new Stocktaking<number>();
  const failing = counts.take('a', () => Promise.reject(new Error('disk')));
  const next = counts.take('a', () => Promise.resolve(7));
  await t.throwsAsync(failing, { message: 'disk' });
  t.is(await next, 7);
  t.is(await counts.take('a', () => Promise.resolve(8)), 8);
});
