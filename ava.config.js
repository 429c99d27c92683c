export default {
  files: [
    'build/tests/**/*.test.js',
    '!build/tests/fault/**',
    '!build/tests/extended/**',
    '!build/tests/long/**',
  ],
  timeout: '60s',
  // One more than the cores of a small machine: some files wait for deadlines most of the time.
  concurrency: 3,
  workerThreads: true,
};
