/** Checks the checkers: every planted defect has to be found within a bounded number of seeds. */
import test from 'ava';
import { PLANTED_BUGS } from './planted-bugs.ts';
import { runSeed } from './run-seed.ts';

const MAX_SEEDS = 150;

for (const bug of PLANTED_BUGS.filter((each) => each.isDirected !== true)) {
  test.serial(`raft simulator: finds the planted bug "${bug.name}"`, async (t) => {
    t.timeout(120_000);
    const { firstSeed = 1 } = bug;
    for (let seed = firstSeed; seed < firstSeed + MAX_SEEDS; seed++) {
      const { violation } = await runSeed(seed, {
        bug,
        ...(bug.needsChurn === true ? { churn: true } : {}),
      });
      if (!violation) continue;
      t.log(`seed ${seed}: ${violation.message}`);
      t.pass();
      return;
    }
    t.fail(`not found in ${MAX_SEEDS} seeds from ${firstSeed} on`);
  });
}
