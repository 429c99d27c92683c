/** Real partitions between network namespaces: needs root and nftables. */
export default {
  files: ['build/tests/extended/netns-*.test.js'],
  timeout: '10m',
  concurrency: 1,
  workerThreads: false,
};
