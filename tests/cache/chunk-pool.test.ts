import test from 'ava';
import { ChunkPool } from '../../src/cache/chunk-pool.ts';

const KIB = 1024;

test('chunk pool: what was given back is lent again, once', (t) => {
  const pool = new ChunkPool();
  const first = pool.take(100 * KIB);
  t.is(first.length, 100 * KIB);
  t.not(pool.take(100 * KIB).buffer, first.buffer, 'lent to two readers');
  pool.giveBack(first.subarray(10, 20));
  pool.giveBack(first);
  t.is(pool.take(128 * KIB).buffer, first.buffer);
  t.not(pool.take(128 * KIB).buffer, first.buffer, 'lent twice after it was given back twice');
});

test('chunk pool: a chunk never comes with less memory than was asked for', (t) => {
  const pool = new ChunkPool();
  for (const length of [0, 1, 64 * KIB, 64 * KIB + 1, 1024 * KIB]) {
    const chunk = pool.take(length);
    t.is(chunk.length, length);
    pool.giveBack(chunk);
  }
});

test('chunk pool: memory of others is not lent', (t) => {
  const pool = new ChunkPool();
  const foreign = new Uint8Array(64 * KIB);
  pool.giveBack(foreign);
  t.not(pool.take(64 * KIB).buffer, foreign.buffer);
});

test('chunk pool: what waits for readers is bounded', (t) => {
  const pool = new ChunkPool();
  const chunks = Array.from({ length: 40 }, () => pool.take(1024 * KIB));
  const lent = new Set<unknown>(chunks.map(({ buffer }) => buffer));
  for (const chunk of chunks) pool.giveBack(chunk);
  const again = chunks.map(() => pool.take(1024 * KIB).buffer);
  t.is(again.filter((buffer) => lent.has(buffer)).length, 16);
});
