/**
 * `npm run check`: types, lint, format, layers, dead code; each counts as one test. With `lint` it
 * is lint alone.
 *
 * Two lanes, because lint alone takes about as long as the rest together. Caches lie in
 * node_modules/.cache; eslint's knows a file's own content only, so a change of a type elsewhere
 * shows in a fresh clone (as in CI) and not always here.
 */
import { isMain } from './is-main.mjs';
import { addTally, close, emptyTally, runSteps } from './steps.mjs';

const CACHE = 'node_modules/.cache';
const bin = (name) => ['node', `node_modules/${name}`];

export const TYPECHECK = {
  name: 'check: types',
  command: [
    ...bin('typescript/bin/tsc'),
    ...['-p', 'tsconfig.json', '--incremental', '--tsBuildInfoFile', `${CACHE}/tsc/.tsbuildinfo`],
  ],
};

const LINT = {
  name: 'check: lint',
  command: [
    ...bin('eslint/bin/eslint.js'),
    ...['.', '--max-warnings', '0', '--cache', '--cache-strategy', 'content'],
    ...['--cache-location', `${CACHE}/eslint/`],
  ],
};

export const QUICK_CHECKS = [
  {
    name: 'check: format',
    command: [
      ...bin('prettier/bin/prettier.cjs'),
      ...['--check', '.', '--cache', '--cache-strategy', 'content'],
      ...['--cache-location', `${CACHE}/prettier/.cache`],
    ],
  },
  {
    name: 'check: layers',
    command: [
      ...bin('dependency-cruiser/bin/dependency-cruise.mjs'),
      ...['--config', '.dependency-cruiser.cjs', '--output-type', 'err-long', 'src'],
    ],
  },
  { name: 'check: dead code', command: [...bin('knip/bin/knip.js'), '--no-progress'] },
];

if (isMain(import.meta.url)) {
  const tally = emptyTally();
  const others = process.argv[2] === 'lint' ? [] : [TYPECHECK, ...QUICK_CHECKS];
  const lanes = [runSteps([LINT]), runSteps(others)];
  for (const lane of await Promise.all(lanes)) addTally(tally, lane);
  close(tally);
}
