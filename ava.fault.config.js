/** Real processes on real sockets: three files at a time (they mostly wait), generous deadlines. */
export default {
  files: ['build/tests/fault/**/*.test.js'],
  timeout: '3m',
  concurrency: 3,
  workerThreads: false,
};
