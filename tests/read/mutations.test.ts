import test from 'ava';
import { runTrials } from './mutation-trial.ts';

const SEED = Number(process.env['MUTATION_SEED'] ?? 1);
const COUNT = Number(process.env['MUTATION_COUNT'] ?? 400);

test(`mutations: no read mixes versions, is short, or hangs, whatever happens to the object (seed ${SEED})`, async (t) => {
  const { violations, ...counts } = await runTrials(SEED, COUNT);
  t.log(`${COUNT} trials from seed ${SEED}: ${JSON.stringify(counts)}`);
  t.deepEqual(violations.slice(0, 10), []);
  t.true(counts.wholeCount > COUNT && counts.cutCount > 0 && counts.refusedCount > 0);
});
