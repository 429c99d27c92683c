/**
 * Against other programs (object stores, clients), each installed by its install-*.sh; and fault
 * stories that take too long for the basic command. Two files at a time: they mostly wait.
 */
export default {
  files: ['build/tests/extended/**/*.test.js', '!build/tests/extended/netns-*.test.js'],
  timeout: '10m',
  concurrency: 2,
  workerThreads: false,
};
