/**
 * `npm test`: both builds, then the checks and the unit suites beside the fault suites, which mostly
 * wait for what they have caused. Needs Node and npm only.
 *
 * A check that fails counts as one failed test and does not keep the suites from running. The test
 * build compiles all that `tsconfig.json` names, under the same rules: it is the type check here.
 */
import { LINT, QUICK_CHECKS } from './check.mjs';
import { runSuite } from './run-tests.mjs';
import { addTally, close, emptyTally, runSteps } from './steps.mjs';

const BUILDS = [
  { name: 'check: types, build of the tests', command: ['node', 'scripts/build.mjs', 'test'] },
  { name: 'build', command: ['node', 'scripts/build.mjs'] },
];

const tally = emptyTally();

/** Lanes run side by side, the work of a lane one after the other. */
async function run(...lanes) {
  const inTurn = async (lane) => {
    for (const work of lane) addTally(tally, await work());
  };
  await Promise.all(lanes.map(inTurn));
}

await run(...BUILDS.map((step) => [() => runSteps([step])]));
await run(
  [() => runSteps([LINT, ...QUICK_CHECKS]), () => runSuite('ava.config.js')],
  [() => runSuite('ava.fault.config.js')],
);
close(tally);
