/** First half of the seeds; `RAFT_SIM_SEEDS=A..B` chooses others for both files. */
import test from 'ava';
import { runSeed } from './run-seed.ts';
import { declareSimulation } from './simulate.ts';

declareSimulation(test, 0);

test.serial('raft simulator: two runs of one seed are the same run', async (t) => {
  t.deepEqual(await runSeed(7), await runSeed(7));
});
