/** As `read/mutations.test.ts`, ten thousand times. */
import test from 'ava';
import { runTrials } from '../read/mutation-trial.ts';

const SEED = Number(process.env['MUTATION_SEED'] ?? 1_000_000);
const COUNT = Number(process.env['MUTATION_COUNT'] ?? 10_000);

test(`mutations: no read mixes versions in ${COUNT} trials (seed ${SEED})`, async (t) => {
  const { violations, ...counts } = await runTrials(SEED, COUNT);
  t.log(`${COUNT} trials from seed ${SEED}: ${JSON.stringify(counts)}`);
  t.deepEqual(violations.slice(0, 10), []);
  t.true(counts.wholeCount > COUNT && counts.cutCount > 0 && counts.refusedCount > 0);
});
