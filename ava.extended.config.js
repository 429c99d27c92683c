/**
 * Against other programs (object stores, clients), each installed by its install-*.sh; and fault
 * stories that take too long for the basic command.
 */
export default {
  files: [
    'build/tests/extended/**/*.test.js',
    '!build/tests/extended/netns-*.test.js',
    'build/tests/fault/{membership-load,resume}.test.js',
  ],
  timeout: '10m',
  concurrency: 1,
  workerThreads: false,
};
