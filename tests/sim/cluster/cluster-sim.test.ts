/** Whole clusters through faults and back; `npm run sim` runs any number of seeds. */
import test from 'ava';
import { runSeed } from './run-seed.ts';
import { runRange } from './seed-runs.ts';

const SEEDS_PER_TEST = 12;
const TEST_COUNT = 4;

for (let part = 0; part < TEST_COUNT; part++) {
  const first = 1 + part * SEEDS_PER_TEST;
  const last = first + SEEDS_PER_TEST - 1;
  test.serial(`cluster: every promise holds through faults, seeds ${first}..${last}`, async (t) => {
    t.timeout(300_000);
    const { failures, counts } = await runRange({ first, last, shrinks: true });
    t.deepEqual(failures, []);
    t.true((counts['jobs.SUCCEEDED'] ?? 0) > 0, 'no job ever ended well');
    t.true((counts['reads'] ?? 0) > 0, 'nothing was ever read');
  });
}

test.serial('cluster simulator: two runs of one seed are the same run', async (t) => {
  t.timeout(120_000);
  for (const [seed, mode] of [
    [7, 'safety'],
    [8, 'liveness'],
  ] as const) {
    const first = await runSeed(seed, { mode });
    const second = await runSeed(seed, { mode });
    t.deepEqual(second, first);
    t.true(first.events > 1000);
  }
});
