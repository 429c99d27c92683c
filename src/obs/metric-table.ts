/**
 * Every metric, once: name, type, help, labels. `metrics.ts` creates them from here and the
 * reference page lists them from here.
 *
 * Base units, `_total` on counters, and labels from closed sets only: never a path, a key or an id.
 */

interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** Label names with their values in words. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Upper bounds of a histogram's buckets, in seconds. */
  readonly bucketsSeconds?: readonly number[];
}

const CODES = 'ok or an error code';

export const METRIC_TABLE = {
  cache_requests_total: {
    type: 'counter',
    help: 'Reads of a segment, by where it was found.',
    labels: { result: 'hit (here), peer (on another peer), miss (fetched), error' },
  },
  cache_bytes: { type: 'gauge', help: 'Bytes used in the cache directories.' },
  cache_capacity_bytes: { type: 'gauge', help: 'Bytes that the cache directories may use.' },
  cache_leased_bytes: { type: 'gauge', help: 'Bytes that jobs keep from eviction.' },
  cache_segments: { type: 'gauge', help: 'Resident segments.' },
  cache_directories: {
    type: 'gauge',
    help: 'Cache directories by state.',
    labels: { state: 'ok, failed' },
  },
  cache_evictions_total: { type: 'counter', help: 'Segments evicted to make room.' },
  segments_corrupt_total: { type: 'counter', help: 'Segments dropped since a checksum failed.' },
  ufs_requests_total: {
    type: 'counter',
    help: 'Requests to under file systems.',
    labels: { op: 'list, stat, read, write, delete', code: CODES },
  },
  ufs_bytes_total: {
    type: 'counter',
    help: 'Bytes read from under file systems, retries included.',
  },
  ufs_request_duration_seconds: {
    type: 'histogram',
    help: 'Duration of requests to under file systems, body included.',
    labels: { op: 'list, stat, read, write, delete' },
    bucketsSeconds: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  },
  fill_fallbacks_total: {
    type: 'counter',
    help: 'Segments that lanes could not receive and that went through the main thread.',
    labels: { source: 'ufs, peer' },
  },
  fills_followed_bytes_total: {
    type: 'counter',
    help: 'Bytes that other owners copied from this peer while it fetched them itself, by where they were taken from; of copies that came to their end.',
    labels: { from: 'memory, disk' },
  },
  read_troubles_total: {
    type: 'counter',
    help: 'What readers of this peer met: second requests because the first was late, sources that stood still, sources that failed.',
    labels: { kind: 'hedge, stall, failure' },
  },
  load_files_total: {
    type: 'counter',
    help: 'Files that load jobs of this leader settled.',
    labels: { state: 'loaded, skipped, failed, filtered' },
  },
  load_bytes_total: {
    type: 'counter',
    help: 'Bytes that this peer loaded, by source.',
    labels: { source: 'ufs, peer' },
  },
  load_batches_refused_total: {
    type: 'counter',
    help: 'Batches of tasks that this peer refused: their leader was deposed or their run had ended.',
  },
  load_jobs: {
    type: 'gauge',
    help: 'Load jobs that the cluster knows, by state.',
    labels: { state: 'WAITING, RUNNING, VERIFYING, SUCCEEDED, FAILED, STOPPED' },
  },
  raft_term: { type: 'gauge', help: 'Current term.' },
  raft_is_leader: { type: 'gauge', help: '1 on the leader, else 0.' },
  raft_commit_index: { type: 'gauge', help: 'Last committed entry.' },
  raft_applied_index: { type: 'gauge', help: 'Last applied entry.' },
  raft_elections_total: { type: 'counter', help: 'Elections that this peer won.' },
  peers: {
    type: 'gauge',
    help: 'Members by state.',
    labels: { state: 'up, suspect, down, draining, left' },
  },
  peer_links: { type: 'gauge', help: 'Open links to other peers.' },
  ring_epoch: { type: 'gauge', help: 'Epoch of the ring.' },
  ring_share: { type: 'gauge', help: 'Share of the ring that this peer owns, 0 to 1.' },
  repair_copied_segments_total: {
    type: 'counter',
    help: 'Segments copied to this peer to restore placement.',
  },
  http_requests_total: {
    type: 'counter',
    help: 'Requests answered.',
    labels: {
      route: 'the pattern, never the path',
      method: 'GET, HEAD, ...',
      status: 'HTTP status',
    },
  },
  http_request_duration_seconds: {
    type: 'histogram',
    help: 'Duration of requests, body included.',
    labels: { route: 'the pattern, never the path' },
    bucketsSeconds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
  eventloop_lag_seconds: {
    type: 'gauge',
    help: '99th percentile of the delay of the main event loop since the previous scrape.',
  },
  eventloop_lag_median_seconds: { type: 'gauge', help: 'Median of the same.' },
  eventloop_lag_max_seconds: { type: 'gauge', help: 'Maximum of the same.' },
  process_cpu_seconds_total: { type: 'counter', help: 'User and system CPU time of the process.' },
  process_resident_memory_bytes: { type: 'gauge', help: 'Resident memory of the process.' },
  process_heap_used_bytes: { type: 'gauge', help: 'Heap in use.' },
  process_external_memory_bytes: {
    type: 'gauge',
    help: 'Buffers and other memory outside the heap.',
  },
  process_start_time_seconds: { type: 'gauge', help: 'Start of the process since 1970.' },
  connections_refused_total: {
    type: 'counter',
    help: 'Connections that were too many for the limit of open files.',
    labels: { port: 'rest, data, s3' },
  },
  process_open_fds: { type: 'gauge', help: 'Open file descriptors; 0 where unknown.' },
  log_lines_dropped_total: {
    type: 'counter',
    help: 'Log lines dropped since stderr was too slow.',
  },
  build_info: {
    type: 'gauge',
    help: 'Always 1.',
    labels: { version: 'of Ringload', node: 'version of Node' },
  },
} as const satisfies Readonly<Record<string, MetricRow>>;

export const METRIC_PREFIX = 'ringload_';

export type MetricTable = typeof METRIC_TABLE;
export type MetricName = keyof MetricTable;

/** Names of the metrics of one type. */
export type NameOf<Type extends MetricRow['type']> = {
  [Name in MetricName]: MetricTable[Name]['type'] extends Type ? Name : never;
}[MetricName];

export function metricRow(name: MetricName): MetricRow {
  return METRIC_TABLE[name];
}
