/** One peer is asked to slow down: all of them do, although none of their tasks fails. */
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { expectExactAccounting } from './expect.ts';
import { Stage } from './stage.ts';

/** So long that what is under way sets the pace, on a busy machine, too. */
const READ_MS = 400;
/** Several waves of reads, and over before the peers dare to begin more again. */
const WINDOW_MS = 1600;

test.serial('slow down: one 503 halves the requests of all peers for a while', async (t) => {
  await using stage = await Stage.open({
    peers: 3,
    env: { RINGLOAD_LOAD_SLOW_AFTER_MS: 60_000, RINGLOAD_LOAD_CONCURRENCY: 1 },
  });
  const data = stage.addFiles({ count: 100 });
  stage.slowReads(READ_MS);
  const load = await stage.load(data);
  await load.isUnderWay();
  await delay(WINDOW_MS + 200);
  const saidMs = performance.now();
  stage.script(
    { operation: 'get', times: 1, action: { kind: 'status', status: 503, code: 'SlowDown' } },
    { operation: 'get', action: { kind: 'delay', delayMs: READ_MS } },
  );
  await delay(WINDOW_MS + 400);
  const countIn = (fromMs: number, toMs: number): number =>
    stage.origin.requests.filter(
      ({ operation, atMs }) =>
        operation === 'get' && atMs >= saidMs + fromMs && atMs < saidMs + toMs,
    ).length;
  const before = countIn(-WINDOW_MS, 0);
  const after = countIn(400, 400 + WINDOW_MS);
  t.log(`${before} requests, then ${after} in the same time`);
  t.true(before >= 60, `the load is under way: ${before}`);
  t.true(after >= 10, 'it goes on');
  t.true(after <= 0.8 * before, `${before} requests, then ${after}`);
  stage.calm();
  expectExactAccounting(t, load, await load.succeeds());
});
