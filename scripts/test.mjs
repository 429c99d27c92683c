/**
 * `npm test`: the checks and the build of the tests, the unit suite, then the fault suite. Needs
 * Node and npm only.
 *
 * A check that fails counts as one failed test and does not keep the suites from running. The test
 * build compiles all that `tsconfig.json` names, under the same rules: it is the type check here.
 */
import { LINT, QUICK_CHECKS } from './check.mjs';
import { runSuite } from './run-tests.mjs';
import { addTally, close, emptyTally, runSteps } from './steps.mjs';

const BUILD = {
  name: 'check: types, build of the tests',
  command: ['node', 'scripts/build.mjs', 'test'],
};

/** Lint takes one core for about as long as all of this needs on the other. */
async function buildAndUnitSuite() {
  const tally = await runSteps([BUILD, ...QUICK_CHECKS]);
  addTally(tally, await runSuite('ava.config.js'));
  return tally;
}

const tally = emptyTally();
for (const lane of await Promise.all([runSteps([LINT]), buildAndUnitSuite()]))
  addTally(tally, lane);
addTally(tally, await runSuite('ava.fault.config.js'));
close(tally);
