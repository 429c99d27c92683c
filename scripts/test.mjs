/**
 * `npm test`: the build of the tests and the quick checks, then the unit and the fault suites. Needs
 * Node and npm only. Lint, which takes as long as a suite, is a command of its own.
 *
 * A check that fails counts as one failed test and does not keep the suites from running. The test
 * build compiles all that `tsconfig.json` names, under the same rules: it is the type check here.
 */
import { QUICK_CHECKS } from './check.mjs';
import { runSuite } from './run-tests.mjs';
import { addTally, close, emptyTally, runSteps } from './steps.mjs';

const BUILD = {
  name: 'check: types, build of the tests',
  command: ['node', 'scripts/build.mjs', 'test'],
};

const tally = emptyTally();
for (const lane of await Promise.all([runSteps([BUILD]), runSteps(QUICK_CHECKS)])) {
  addTally(tally, lane);
}
for (const config of ['ava.config.js', 'ava.fault.config.js']) {
  addTally(tally, await runSuite(config));
}
close(tally);
