/** Checks the checkers: every planted defect has to be found within a bounded number of seeds. */
import test from 'ava';
import { PLANTED_BUGS } from '../sim/cluster/planted-bugs.ts';
import { runSeed } from '../sim/cluster/run-seed.ts';
import { shrink } from '../sim/cluster/shrink.ts';

const MAX_SEEDS = 60;

for (const bug of PLANTED_BUGS) {
  test.serial(`cluster simulator: finds the planted bug "${bug.name}"`, async (t) => {
    t.timeout(300_000);
    const { mode, firstSeed = 1 } = bug;
    for (let seed = firstSeed; seed < firstSeed + MAX_SEEDS; seed++) {
      const { violation } = await runSeed(seed, { mode, bug });
      if (!violation) continue;
      t.is(violation.invariant, bug.breaks, `seed ${seed}: ${violation.message}`);
      t.log(`seed ${seed}: ${violation.message}`);
      return;
    }
    t.fail(`not found in ${MAX_SEEDS} seeds from ${firstSeed} on`);
  });
}

test.serial(
  'cluster simulator: the faults of a failing run are cut down to those it needs',
  async (t) => {
    t.timeout(300_000);
    const bug = PLANTED_BUGS.find(({ name }) => name === 'index record not synced')!;
    const { mode } = bug;
    for (let seed = 1; seed <= MAX_SEEDS; seed++) {
      const { violation, plan } = await runSeed(seed, { mode, bug });
      if (!violation || plan.faults.length < 4) continue;
      const faults = plan.faults.map((_fault, index) => index);
      const kept = await shrink({ seed, mode, violation, bug, faults });
      t.true(kept.length < faults.length);
      t.truthy((await runSeed(seed, { mode, bug, only: kept })).violation);
      return;
    }
    t.fail(`no failing run with faults to spare in ${MAX_SEEDS} seeds`);
  },
);
