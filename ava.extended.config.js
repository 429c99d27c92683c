import { longestFirst } from './scripts/longest-first.mjs';

/**
 * Against other programs (object stores, clients), each installed by its install-*.sh; and fault
 * stories that take too long for the basic command. Two files at a time: they mostly wait. Those
 * that compute all the time come first, so that they have each other beside them, and no story of
 * real processes that are to be heard in time.
 */
export default {
  files: ['build/tests/extended/**/*.test.js', '!build/tests/extended/netns-*.test.js'],
  timeout: '10m',
  concurrency: 2,
  sortTestFiles: longestFirst(['sim-planted-bugs', 'raft-sim-second', 'mutations', 'million-keys']),
  workerThreads: false,
};
