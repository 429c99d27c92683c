export default {
  files: [
    'build/tests/**/*.test.js',
    '!build/tests/fault/**',
    '!build/tests/extended/**',
    '!build/tests/long/**',
  ],
  timeout: '60s',
  workerThreads: true,
};
