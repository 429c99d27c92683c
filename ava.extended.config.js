/** Against other programs (object stores, clients), each installed by its install-*.sh. */
export default {
  files: ['build/tests/extended/**/*.test.js', '!build/tests/extended/netns-*.test.js'],
  timeout: '10m',
  concurrency: 1,
  workerThreads: false,
};
