/** Real processes on real sockets: one file at a time, generous deadlines. */
export default {
  files: ['build/tests/fault/**/*.test.js'],
  timeout: '3m',
  concurrency: 1,
  workerThreads: false,
};
