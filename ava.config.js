export default {
  files: ['build/tests/**/*.test.js', '!build/tests/fault/**', '!build/tests/extended/**'],
  timeout: '60s',
  workerThreads: true,
};
