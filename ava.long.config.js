/** Long stories with real processes, run by hand. */
export default {
  files: ['build/tests/long/**/*.test.js', 'build/tests/fault/{membership-load,resume}.test.js'],
  timeout: '10m',
  concurrency: 1,
  workerThreads: false,
};
