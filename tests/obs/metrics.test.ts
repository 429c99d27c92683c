import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { MetricsService } from '../../src/http/services.ts';
import type { CacheUsage } from '../../src/cache/segment-store.ts';
import { JOB_STATES } from '../../src/job/job-status.ts';
import type { LinkStatus } from '../../src/peer/peer-network.ts';
import type { RaftStatus } from '../../src/raft/consensus.ts';
import { METRIC_TABLE, metricRow, type MetricName } from '../../src/obs/metric-table.ts';
import { createMetrics, type Metrics, type MetricSources } from '../../src/obs/metrics.ts';

function open(t: ExecutionContext): Metrics {
  const metrics = createMetrics({ version: '1.2.3' });
  t.teardown(() => metrics.close());
  return metrics;
}

/** Samples by name and labels, as exposed. */
async function samples(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await metrics.render()).split('\n');
  return new Map(
    lines
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const space = line.lastIndexOf(' ');
        return [line.slice(0, space), Number(line.slice(space + 1))];
      }),
  );
}

test('metrics: everything in the table is exposed, and nothing else', async (t) => {
  const metrics = open(t);
  t.deepEqual(metrics.names().sort(), Object.keys(METRIC_TABLE).sort());
  const text = await metrics.render();
  for (const name of Object.keys(METRIC_TABLE) as MetricName[]) {
    t.true(text.includes(`# TYPE ringload_${name} ${metricRow(name).type}\n`), `type of ${name}`);
  }
});

test('metrics: names and help follow the conventions', (t) => {
  for (const name of Object.keys(METRIC_TABLE) as MetricName[]) {
    const { type, help, bucketsSeconds } = metricRow(name);
    t.regex(name, /^[a-z][a-z0-9_]*$/);
    t.regex(help, /^.*[.]$/);
    t.is(name.endsWith('_total'), type === 'counter', `suffix of ${name}`);
    t.is(bucketsSeconds !== undefined, type === 'histogram', `buckets of ${name}`);
  }
});

test('metrics: implement the service that the routes use', async (t) => {
  const metrics = open(t);
  const service: MetricsService = metrics;
  t.regex(service.contentType, /^text\/plain; version=0\.0\.4/);
  t.regex(await service.render(), /ringload_build_info\{version="1\.2\.3",node="v\d+/);
});

test('metrics: what is counted adds up', async (t) => {
  const metrics = open(t);
  metrics.cacheRequest('hit');
  metrics.cacheRequest('hit');
  metrics.cacheRequest('miss');
  metrics.ufsRequest({ op: 'read', code: 'ok', seconds: 0.02 });
  metrics.ufsRequest({ op: 'read', code: 'ufs_throttled', seconds: 3 });
  metrics.ufsBytes(5_000_000_000);
  metrics.ufsBytes(1);
  metrics.loadFiles('loaded', 10);
  metrics.loadFiles('failed', 1);
  metrics.loadBytes('peer', 7);
  metrics.raftElection();
  metrics.httpRequest({ route: '/v1/jobs/:id', method: 'GET', status: 404, seconds: 0.003 });
  metrics.httpRequest({ route: '/v1/jobs/:id', method: 'BREW', status: 405, seconds: 0.003 });
  const found = await samples(metrics);
  const expected: Record<string, number> = {
    'cache_requests_total{result="hit"}': 2,
    'cache_requests_total{result="miss"}': 1,
    'ufs_requests_total{op="read",code="ok"}': 1,
    'ufs_requests_total{op="read",code="ufs_throttled"}': 1,
    'ufs_request_duration_seconds_count{op="read"}': 2,
    'ufs_request_duration_seconds_bucket{le="0.025",op="read"}': 1,
    ufs_bytes_total: 5_000_000_001,
    'load_files_total{state="loaded"}': 10,
    'load_files_total{state="failed"}': 1,
    'load_bytes_total{source="peer"}': 7,
    raft_elections_total: 1,
    'http_requests_total{route="/v1/jobs/:id",method="GET",status="404"}': 1,
    'http_requests_total{route="/v1/jobs/:id",method="other",status="405"}': 1,
    'http_request_duration_seconds_count{route="/v1/jobs/:id"}': 2,
  };
  for (const [name, value] of Object.entries(expected)) {
    t.is(found.get(`ringload_${name}`), value, `value of ${name}`);
  }
});

test('metrics: states are asked for at each scrape', async (t) => {
  const metrics = open(t);
  const usage = {
    capacityBytes: 100,
    usedBytes: 60,
    segmentCount: 3,
    leasedBytes: 20,
    pinnedBytes: 0,
    evictedSegmentCount: 7,
    corruptSegmentCount: 1,
    directories: [
      { path: '/a', state: 'ok' },
      { path: '/b', state: 'failed' },
    ],
  } satisfies CacheUsage;
  let current: CacheUsage = usage;
  metrics.watch({
    cache: () => current,
    raft: () => ({ role: 'leader', term: 4, commitIndex: 20, appliedIndex: 19 }),
    members: () => [{ state: 'up' }, { state: 'up' }, { state: 'down' }],
    links: () => [{ connected: true }, { connected: false }],
    jobs: () => [{ state: 'RUNNING' }],
    ring: () => ({ epoch: 9, share: 0.25 }),
    repair: () => ({ copiedSegmentCount: 6 }),
    log: () => ({ droppedLineCount: 2 }),
  });
  const first = await samples(metrics);
  const expected: Record<string, number> = {
    cache_bytes: 60,
    cache_capacity_bytes: 100,
    cache_leased_bytes: 20,
    cache_segments: 3,
    'cache_directories{state="failed"}': 1,
    cache_evictions_total: 7,
    repair_copied_segments_total: 6,
    segments_corrupt_total: 1,
    raft_is_leader: 1,
    raft_term: 4,
    raft_commit_index: 20,
    raft_applied_index: 19,
    'peers{state="up"}': 2,
    'peers{state="suspect"}': 0,
    peer_links: 1,
    'load_jobs{state="RUNNING"}': 1,
    'load_jobs{state="FAILED"}': 0,
    ring_epoch: 9,
    ring_share: 0.25,
    log_lines_dropped_total: 2,
  };
  for (const [name, value] of Object.entries(expected)) {
    t.is(first.get(`ringload_${name}`), value, `value of ${name}`);
  }
  current = { ...usage, usedBytes: 10, evictedSegmentCount: 9 };
  const second = await samples(metrics);
  t.is(second.get('ringload_cache_bytes'), 10);
  t.is(second.get('ringload_cache_evictions_total'), 9);
});

test('metrics: a source that throws costs its own metrics only', async (t) => {
  const metrics = open(t);
  metrics.watch({
    raft: () => {
      throw new Error('stopped');
    },
    ring: () => ({ epoch: 9, share: 1 }),
  });
  t.is((await samples(metrics)).get('ringload_ring_epoch'), 9);
});

test('metrics: the sources fit the parts that the node wires to them', (t) => {
  const fits = (sources: Partial<MetricSources>): boolean => Object.keys(sources).length > 0;
  t.true(
    fits({
      raft: () => ({}) as RaftStatus,
      links: () => [] as readonly LinkStatus[],
      cache: () => ({}) as CacheUsage,
    }),
  );
});

test('metrics: every state of a job is exposed', async (t) => {
  const found = await samples(open(t));
  for (const state of JOB_STATES) t.is(found.get(`ringload_load_jobs{state="${state}"}`), 0);
});

test('metrics: the number of routes is bounded', async (t) => {
  const metrics = open(t);
  for (let index = 0; index < 1_000; index++) {
    metrics.httpRequest({ route: `/path/${index}`, method: 'GET', status: 200, seconds: 0 });
  }
  const found = [...(await samples(metrics)).keys()];
  t.is(found.filter((name) => name.startsWith('ringload_http_requests_total')).length, 201);
});

test('metrics: two nodes in one process do not share a metric', async (t) => {
  const [one, two] = [open(t), open(t)];
  one.raftElection();
  t.is((await samples(one)).get('ringload_raft_elections_total'), 1);
  t.is((await samples(two)).get('ringload_raft_elections_total'), 0);
});

test('metrics: a blocked event loop shows in the lag, once', async (t) => {
  const metrics = open(t);
  await delay(30);
  const untilMs = performance.now() + 200;
  while (performance.now() < untilMs);
  await delay(30);
  t.true((await samples(metrics)).get('ringload_eventloop_lag_seconds')! >= 0.1);
});

test('metrics: the process is measured', async (t) => {
  const found = await samples(open(t));
  for (const name of ['cpu_seconds_total', 'resident_memory_bytes', 'heap_used_bytes']) {
    t.true(found.get(`ringload_process_${name}`)! > 0, `value of ${name}`);
  }
  const startSeconds = found.get('ringload_process_start_time_seconds')!;
  t.true(startSeconds <= Date.now() / 1000 && startSeconds > 1_700_000_000);
});
