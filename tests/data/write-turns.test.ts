import test from 'ava';
import { WriteTurns } from '../../src/data/write-turns.ts';

/** A disk whose writes end by hand, and turns on it. */
function stageOf(maxCount: number) {
  const state = { readersWait: false };
  const turns = new WriteTurns(() => state.readersWait, maxCount);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const write = (name: string, isAhead: () => boolean): Promise<void> =>
    turns.run(() => {
      begun.push(name);
      return new Promise((resolve) => ends.set(name, resolve));
    }, isAhead);
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { state, begun, write, end };
}

const ahead = (): boolean => true;
const awaited = (): boolean => false;

test('write turns: what a reader waits for overtakes all writes that wait', async (t) => {
  const { begun, write, end } = stageOf(3);
  for (let number = 0; number < 20; number++) void write(`ahead ${number}`, ahead);
  void write('awaited', awaited);
  await end('');
  // Three were under way when it came; the other seventeen are behind it.
  t.deepEqual(begun, ['awaited', 'ahead 0', 'ahead 1', 'ahead 2']);
});

test('write turns: while a reader waits one at a time is written ahead, and none stands still', async (t) => {
  const { state, begun, write, end } = stageOf(3);
  state.readersWait = true;
  const writes = Array.from({ length: 10 }, (_, number) => write(`ahead ${number}`, ahead));
  for (let number = 0; number < 10; number++) {
    await end('');
    t.is(begun.length, number + 1);
    void write(`awaited ${number}`, awaited);
    await end('');
    t.is(begun.pop(), `awaited ${number}`);
    await end(`ahead ${number}`);
  }
  await Promise.all(writes);
  t.deepEqual(
    begun,
    Array.from({ length: 10 }, (_, number) => `ahead ${number}`),
  );
});

test('write turns: what a reader begins to wait for goes next, whatever is under way', async (t) => {
  const { state, begun, write, end } = stageOf(1);
  let isAhead = true;
  for (let number = 0; number < 5; number++) void write(`ahead ${number}`, ahead);
  void write('joined', () => isAhead);
  await end('');
  state.readersWait = true;
  isAhead = false;
  await end('ahead 0');
  t.deepEqual(begun, ['ahead 0', 'joined']);
  await end('joined');
  t.deepEqual(begun, ['ahead 0', 'joined', 'ahead 1']);
});

test('write turns: a write that fails gives its turn to the next', async (t) => {
  const { begun, write, end } = stageOf(1);
  const turns = new WriteTurns(() => false, 1);
  const failing = turns.run(() => Promise.reject(new Error('no space')), ahead);
  let hasRun = false;
  const next = turns.run(() => {
    hasRun = true;
    return Promise.resolve();
  }, ahead);
  await t.throwsAsync(failing, { message: 'no space' });
  await next;
  t.true(hasRun);
  void write('other', ahead);
  await end('other');
  t.deepEqual(begun, ['other']);
});
