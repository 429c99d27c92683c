/** One peer is asked to slow down: all of them do, although none of their tasks fails. */
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { expectExactAccounting } from './expect.ts';
import { Stage } from './stage.ts';

const READ_MS = 200;

test.serial('slow down: one 503 halves the requests of all peers for a while', async (t) => {
  await using stage = await Stage.open({
    peers: 3,
    env: { RINGLOAD_LOAD_SLOW_AFTER_MS: 60_000, RINGLOAD_LOAD_CONCURRENCY: 2 },
  });
  const data = stage.addFiles({ count: 100 });
  stage.slowReads(READ_MS);
  const load = await stage.load(data);
  await load.isUnderWay();
  await delay(1500);
  const saidMs = performance.now();
  stage.script(
    { operation: 'get', times: 1, action: { kind: 'status', status: 503, code: 'SlowDown' } },
    { operation: 'get', action: { kind: 'delay', delayMs: READ_MS } },
  );
  await delay(1800);
  const countIn = (fromMs: number, toMs: number): number =>
    stage.origin.requests.filter(
      ({ operation, atMs }) =>
        operation === 'get' && atMs >= saidMs + fromMs && atMs < saidMs + toMs,
    ).length;
  const before = countIn(-1200, 0);
  const after = countIn(500, 1700);
  t.log(`${before} requests, then ${after} in the same time`);
  t.true(before >= 60, `the load is under way: ${before}`);
  t.true(after >= 10, 'it goes on');
  t.true(after <= 0.75 * before, `${before} requests, then ${after}`);
  stage.calm();
  expectExactAccounting(t, load, await load.succeeds());
});
