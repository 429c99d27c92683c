import { longestFirst } from './scripts/longest-first.mjs';

export default {
  files: [
    'build/tests/**/*.test.js',
    '!build/tests/fault/**',
    '!build/tests/extended/**',
    '!build/tests/long/**',
  ],
  timeout: '60s',
  // Twice the cores of a small machine: many files wait for deadlines most of the time.
  concurrency: 4,
  sortTestFiles: longestFirst([
    'ufs/io/s3-read-faults',
    'sim/',
    'cli/content',
    'cli/wait',
    'conformance/',
    'tooling/',
    'ufs/io/',
  ]),
  workerThreads: true,
};
