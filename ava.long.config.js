/** Long stories with real processes, run by hand. */
export default {
  files: ['build/tests/long/**/*.test.js'],
  timeout: '10m',
  concurrency: 1,
  workerThreads: false,
};
