import test from 'ava';
import type { FileRecord } from '../../src/cache/file-catalog.ts';
import { AheadBudget, ReadAhead } from '../../src/read/read-ahead.ts';
import { slicesOf } from '../../src/read/segment-slice.ts';

const SEGMENT_BYTES = 100;
const RECORD: FileRecord = {
  path: 's3://b/k',
  sizeBytes: 50 * SEGMENT_BYTES,
  version: 'v',
  mtimeMs: 0,
  segmentSizeBytes: SEGMENT_BYTES,
  segmented: true,
  replicaCount: 1,
};

function begin({ budget = new AheadBudget(), readerMaxBytes = 1e6 } = {}) {
  const orders: { readonly index: number; readonly signal: AbortSignal; done(): void }[] = [];
  const ahead = new ReadAhead({
    slices: slicesOf(RECORD, 0, RECORD.sizeBytes),
    prepare: ({ index }, signal) =>
      new Promise((resolve, reject) => {
        orders.push({ index, signal, done: resolve });
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
      }),
    budget,
    readerMaxBytes,
  });
  return { ahead, orders, budget };
}

test('read ahead: the distance grows with each miss, in order, behind what is opened', (t) => {
  const { ahead, orders } = begin();
  ahead.opened(0, true);
  t.deepEqual(
    orders.map(({ index }) => index),
    [2],
  );
  ahead.opened(1, true);
  ahead.opened(2, true);
  t.deepEqual(
    orders.map(({ index }) => index),
    [2, 3, 4],
  );
});

test('read ahead: a reader who finds everything in the caches orders nothing', (t) => {
  const { ahead, orders } = begin();
  for (let index = 0; index < 10; index++) ahead.opened(index, false);
  t.is(orders.length, 0);
});

test('read ahead: what one reader, and all together, may order is bounded', async (t) => {
  const alone = begin({ readerMaxBytes: 3 * SEGMENT_BYTES });
  for (let index = 0; index < 10; index++) alone.ahead.opened(index, true);
  t.is(alone.orders.length, 3);
  const budget = new AheadBudget(4 * SEGMENT_BYTES);
  const [first, second] = [begin({ budget }), begin({ budget })];
  for (let index = 0; index < 5; index++) {
    first.ahead.opened(index, true);
    second.ahead.opened(index, true);
  }
  t.is(first.orders.length + second.orders.length, 4);
  for (const { done } of [...first.orders, ...second.orders]) done();
  await new Promise(setImmediate);
  t.is(budget.bytes, 0);
});

test('read ahead: who reads on no more gives up all that was ordered, each by a signal of its own', async (t) => {
  const { ahead, orders, budget } = begin();
  for (let index = 0; index < 20; index++) ahead.opened(index, true);
  t.true(orders.length > 12);
  t.is(new Set(orders.map(({ signal }) => signal)).size, orders.length);
  ahead.end(new Error('the range is over'));
  t.true(orders.every(({ signal }) => signal.aborted));
  await new Promise(setImmediate);
  t.is(budget.bytes, 0);
});
