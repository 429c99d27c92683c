/** Checks the checkers: every planted defect has to be found within a bounded number of seeds. */
import test from 'ava';
import { PLANTED_BUGS } from './planted-bugs.ts';
import { runSeed } from './run-seed.ts';
import { shrink } from './shrink.ts';

const MAX_SEEDS = 150;

for (const bug of PLANTED_BUGS) {
  test.serial(`cluster simulator: finds the planted bug "${bug.name}"`, async (t) => {
    t.timeout(300_000);
    const { mode } = bug;
    for (let seed = 1; seed <= MAX_SEEDS; seed++) {
      const { violation, plan } = await runSeed(seed, { mode, bug });
      if (!violation) continue;
      t.is(violation.invariant, bug.breaks, `seed ${seed}: ${violation.message}`);
      const all = plan.faults.map((_fault, index) => index);
      const kept = await shrink({ seed, mode, violation, bug, faults: all });
      t.log(`seed ${seed}: ${violation.message}; ${kept.length} of ${all.length} faults needed`);
      return;
    }
    t.fail(`not found in ${MAX_SEEDS} seeds`);
  });
}
