/** Failpoints: a closed list, orders that are checked, and nothing at all without orders. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  failpoint,
  failpointNames,
  isPause,
  pausePoint,
  setFailpointHook,
} from '../../src/base/failpoint.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { armFailpoints, parseFailpoints } from '../../src/node/failpoints.ts';
import { PeerFailpoints } from '../support/peer-failpoints.ts';
import { tempFolder } from '../support/temp-folder.ts';

test.afterEach(() => {
  setFailpointHook(undefined);
});

test('failpoints: each name of the list is one place of the product', (t) => {
  const calls: string[] = [];
  for (const name of readdirSync('src', { recursive: true }) as string[]) {
    if (!name.endsWith('.ts')) continue;
    const text = readFileSync(join('src', name), 'utf8');
    for (const [, call, point] of text.matchAll(/(failpoint|pausePoint)\('([a-z.]+)'\)/g)) {
      calls.push(point ?? '');
      t.is(call, isPause(point ?? '') ? 'pausePoint' : 'failpoint', `${name}: ${point}`);
    }
  }
  t.deepEqual(calls.sort(), [...failpointNames()].sort());
});

test('failpoints: orders are read, wrong ones refused', (t) => {
  t.deepEqual(parseFailpoints(' job.batch.sent=kill@2; #3\njob.list.begin=kill:20;'), [
    { name: 'job.batch.sent', action: 'kill', ms: 0, nth: 2 },
    { name: 'job.list.begin', action: 'kill', ms: 20, nth: undefined },
  ]);
  for (const wrong of [
    'job.batch.lost=kill',
    'job.batch.sent=explode',
    'job.batch.sent=kill@x',
    'job.batch.sent=pause:5',
    'job.batch.sent=kill:5',
    'job.list.begin=pause',
    'job.batch.sent=block',
  ]) {
    t.throws(() => parseFailpoints(wrong), { message: /^failpoint "/ }, wrong);
  }
});

test.serial('failpoints: nothing happens without orders', (t) => {
  armFailpoints(undefined, silentLogger);
  failpoint('job.batch.sent');
  t.is(pausePoint('job.list.begin'), undefined);
});

test.serial('failpoints: an order acts on the hit that it names', async (t) => {
  armFailpoints('job.batch.sent=throw@2; job.list.begin=pause:1', silentLogger);
  failpoint('job.batch.sent');
  t.throws(() => failpoint('job.batch.sent'), { message: /job\.batch\.sent/ });
  failpoint('job.batch.sent');
  const startMs = performance.now();
  await pausePoint('job.list.begin');
  t.true(performance.now() > startMs);
});

test.serial('failpoints: orders in a file may change, hits are counted', async (t) => {
  await using folder = await tempFolder('failpoints');
  const orders = new PeerFailpoints(join(folder.path, 'orders'));
  armFailpoints(orders.setting, silentLogger);
  failpoint('job.batch.sent');
  failpoint('job.batch.sent');
  t.is(orders.hits().get('job.batch.sent'), 2);
  orders.arm('job.batch.sent=throw@2');
  t.is(orders.hits().size, 0);
  failpoint('job.batch.sent');
  t.false(orders.acted('job.batch.sent', 'throw@2'));
  t.throws(() => failpoint('job.batch.sent'));
  t.true(orders.acted('job.batch.sent', 'throw@2'));
  t.is(orders.hits().get('job.batch.sent'), 2);
});
