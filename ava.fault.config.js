import { longestFirst } from './scripts/longest-first.mjs';

/** Real processes on real sockets: four files at a time (they mostly wait), generous deadlines. */
export default {
  files: ['build/tests/fault/**/*.test.js'],
  timeout: '3m',
  concurrency: 4,
  sortTestFiles: longestFirst(['membership', 'leader', 'owner', 'origin', 'odd-keys', 'failpoint']),
  workerThreads: false,
};
