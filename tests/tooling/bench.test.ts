import { execFile } from 'node:child_process';
import { platform } from 'node:process';
import { promisify } from 'node:util';
import test from 'ava';
import { type Contender, median, runPairs } from '../../bench/support/pairs.ts';
import { closingLine } from '../../bench/support/report.ts';
import { cpuSeconds, peakBytes } from '../../bench/support/usage.ts';
import { Child } from '../support/child.ts';
import { requires } from '../support/requires.ts';

const onLinux = requires(platform === 'linux' ? undefined : 'Linux (reads /proc)');

test('bench: the median of an even number of values lies between the middle two', (t) => {
  t.is(median([5, 1, 3]), 3);
  t.is(median([4, 1, 3, 2]), 2.5);
  t.is(median([7]), 7);
  t.true(Number.isNaN(median([])));
});

onLinux('bench: contenders take turns, and ratios are taken pair by pair', async (t) => {
  const order: string[] = [];
  const contender = (name: string, bytes: number): Contender => ({
    name,
    prepare: async () => {
      order.push(`prepare ${name}`);
    },
    run: async () => {
      order.push(name);
      return { bytes, objects: 1 };
    },
  });
  const [subject, yardstick] = [contender('a', 2_000), contender('b', 1_000)];
  const comparison = await runPairs({ subject, yardstick, pairs: 3 });
  const turn = ['prepare a', 'a', 'prepare b', 'b'];
  t.deepEqual(order, [...turn, ...turn, ...turn]);
  t.is(comparison.samples.get(subject)?.length, 3);
  t.is(comparison.limitRatio, undefined);
  t.is(
    closingLine('x', { ...comparison, ratio: 1.5, cpuRatio: 0.25, limitRatio: 0.8125 }),
    'x ratio=1.500 cpu_ratio=0.250 limit=0.813',
  );
  t.regex(closingLine('x', { ...comparison, ratio: 2, cpuRatio: 1 }), /limit=none$/);
});

onLinux('bench: counts the CPU of a process that goes on and of one that has ended', async (t) => {
  const burn =
    'const until = process.cpuUsage().user + 300_000; while (process.cpuUsage().user < until);';
  const before = await cpuSeconds([]);
  await promisify(execFile)(process.execPath, ['-e', burn]);
  t.true((await cpuSeconds([])) - before >= 0.28);

  const child = await Child.start({
    command: process.execPath,
    args: ['-e', `${burn} console.log('burnt'); setInterval(() => {}, 1000)`],
  });
  t.teardown(() => child.stop());
  while (child.logs() !== 'burnt') await new Promise((resolve) => setImmediate(resolve));
  t.true((await cpuSeconds([child.pid])) - (await cpuSeconds([])) >= 0.28);
  t.true((await peakBytes([child.pid])) > 10_000_000);
});
