/**
 * The metrics of one node, in a registry of their own: one test process holds many nodes.
 *
 * What happens is counted through small methods where it happens. What is a state somewhere else
 * (the cache's usage, Raft's term, members) is asked for at the scrape, so that no gauge is ever
 * stale; the node hands in the sources as its parts come up.
 */
import { readdir } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ErrorCode } from '../base/errors.ts';
import { METRIC_PREFIX, type MetricName, metricRow, type NameOf } from './metric-table.ts';

export type CacheResult = 'hit' | 'peer' | 'miss' | 'error';
export type UfsOperation = 'list' | 'stat' | 'read' | 'write' | 'delete';
export type FileOutcome = 'loaded' | 'skipped' | 'failed' | 'filtered';

/** States that are asked for at each scrape. One that throws leaves its metrics as they were. */
export interface MetricSources {
  readonly cache: () => {
    readonly usedBytes: number;
    readonly capacityBytes: number;
    readonly leasedBytes: number;
    readonly segmentCount: number;
    readonly evictedSegmentCount: number;
    readonly corruptSegmentCount: number;
    readonly directories: readonly { readonly state: string }[];
  };
  readonly raft: () => {
    readonly term: number;
    readonly role: string;
    readonly commitIndex: number;
    readonly appliedIndex: number;
  };
  readonly members: () => readonly { readonly state: string }[];
  readonly links: () => readonly { readonly connected: boolean }[];
  readonly jobs: () => readonly { readonly state: string }[];
  readonly ring: () => { readonly epoch: number; readonly share: number };
  readonly repair: () => { readonly copiedSegmentCount: number };
  readonly log: () => { readonly droppedLineCount: number };
}

export interface UfsRequest {
  readonly op: UfsOperation;
  readonly code: ErrorCode | 'ok';
  readonly seconds: number;
}

export interface HttpExchange {
  /** The route's pattern, such as `/v1/jobs/:id`. */
  readonly route: string;
  readonly method: string;
  readonly status: number;
  readonly seconds: number;
}

export interface MetricsOptions {
  /** Version of Ringload. */
  readonly version: string;
}

/** Distinct routes that get a label of their own; a bound, in case a path is handed in. */
const ROUTE_MAX_COUNT = 200;
const OTHER = 'other';
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** Idle peers wake up that often for it. */
const LAG_RESOLUTION_MS = 25;

/** Implements the `MetricsService` of the routes. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #sources: Partial<MetricSources> = {};
  readonly #routes = new Set<string>();
  readonly #eventLoopDelay = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });

  readonly #cacheRequests = this.#counter('cache_requests_total');
  readonly #ufsRequests = this.#counter('ufs_requests_total');
  readonly #ufsBytes = this.#counter('ufs_bytes_total');
  readonly #ufsDuration = this.#histogram('ufs_request_duration_seconds');
  readonly #loadFiles = this.#counter('load_files_total');
  readonly #fillFallbacks = this.#counter('fill_fallbacks_total');
  readonly #followedBytes = this.#counter('fills_followed_bytes_total');
  readonly #readTroubles = this.#counter('read_troubles_total');
  readonly #loadBytes = this.#counter('load_bytes_total');
  readonly #batchesRefused = this.#counter('load_batches_refused_total');
  readonly #connectionsRefused = this.#counter('connections_refused_total');
  readonly #elections = this.#counter('raft_elections_total');
  readonly #httpRequests = this.#counter('http_requests_total');
  readonly #httpDuration = this.#histogram('http_request_duration_seconds');

  constructor(options: MetricsOptions) {
    this.#eventLoopDelay.enable();
    const build = { version: options.version, node: process.version };
    this.#gauge('build_info', (gauge) => gauge.set(build, 1));
    this.#declareCache();
    this.#declareRaft();
    this.#declareCluster();
    this.#declareProcess();
  }

  /** Says where states are asked for; a later call replaces the sources that it names. */
  watch(sources: Partial<MetricSources>): void {
    Object.assign(this.#sources, sources);
  }

  cacheRequest(result: CacheResult, count = 1): void {
    this.#cacheRequests.inc({ result }, count);
  }

  readTrouble(kind: 'hedge' | 'stall' | 'failure'): void {
    this.#readTroubles.inc({ kind });
  }

  ufsRequest({ op, code, seconds }: UfsRequest): void {
    this.#ufsRequests.inc({ op, code });
    this.#ufsDuration.observe({ op }, seconds);
  }

  ufsBytes(bytes: number): void {
    this.#ufsBytes.inc(bytes);
  }

  loadFiles(state: FileOutcome, count: number): void {
    this.#loadFiles.inc({ state }, count);
  }

  loadBytes(source: 'ufs' | 'peer', bytes: number): void {
    this.#loadBytes.inc({ source }, bytes);
  }

  fillFallback(source: 'ufs' | 'peer'): void {
    this.#fillFallbacks.inc({ source });
  }

  followed({ ringBytes, diskBytes }: { ringBytes: number; diskBytes: number }): void {
    this.#followedBytes.inc({ from: 'memory' }, ringBytes);
    this.#followedBytes.inc({ from: 'disk' }, diskBytes);
  }

  connectionRefused(port: 'rest' | 'data' | 's3' | 'worker'): void {
    this.#connectionsRefused.inc({ port });
  }

  batchRefused(): void {
    this.#batchesRefused.inc();
  }

  raftElection(): void {
    this.#elections.inc();
  }

  httpRequest({ route, method, status, seconds }: HttpExchange): void {
    const label = this.#routeLabel(route);
    const known = METHODS.includes(method) ? method : OTHER;
    this.#httpRequests.inc({ route: label, method: known, status: String(status) });
    this.#httpDuration.observe({ route: label }, seconds);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Prometheus text exposition. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Names of everything that is exposed, without the prefix. */
  names(): string[] {
    return this.#registry.getMetricsAsArray().map(({ name }) => name.slice(METRIC_PREFIX.length));
  }

  /** Stops measuring the event loop. */
  close(): void {
    this.#eventLoopDelay.disable();
    this.#registry.clear();
  }

  #declareCache(): void {
    const cache = () => this.#sources.cache?.();
    this.#gauge('cache_bytes', (gauge) => gauge.set(cache()?.usedBytes ?? 0));
    this.#gauge('cache_capacity_bytes', (gauge) => gauge.set(cache()?.capacityBytes ?? 0));
    this.#gauge('cache_leased_bytes', (gauge) => gauge.set(cache()?.leasedBytes ?? 0));
    this.#gauge('cache_segments', (gauge) => gauge.set(cache()?.segmentCount ?? 0));
    this.#gauge('cache_directories', (gauge) =>
      setCounts(gauge, ['ok', 'failed'], cache()?.directories ?? []),
    );
    this.#total('cache_evictions_total', () => cache()?.evictedSegmentCount ?? 0);
    this.#total('segments_corrupt_total', () => cache()?.corruptSegmentCount ?? 0);
  }

  #declareRaft(): void {
    const raft = () => this.#sources.raft?.();
    this.#gauge('raft_term', (gauge) => gauge.set(raft()?.term ?? 0));
    this.#gauge('raft_is_leader', (gauge) => gauge.set(raft()?.role === 'leader' ? 1 : 0));
    this.#gauge('raft_commit_index', (gauge) => gauge.set(raft()?.commitIndex ?? 0));
    this.#gauge('raft_applied_index', (gauge) => gauge.set(raft()?.appliedIndex ?? 0));
  }

  #declareCluster(): void {
    const sources = this.#sources;
    this.#gauge('load_jobs', (gauge) => setCounts(gauge, JOB_STATES, sources.jobs?.() ?? []));
    this.#gauge('peers', (gauge) => setCounts(gauge, MEMBER_STATES, sources.members?.() ?? []));
    this.#gauge('peer_links', (gauge) =>
      gauge.set((sources.links?.() ?? []).filter(({ connected }) => connected).length),
    );
    this.#gauge('ring_epoch', (gauge) => gauge.set(sources.ring?.().epoch ?? 0));
    this.#gauge('ring_share', (gauge) => gauge.set(sources.ring?.().share ?? 0));
    this.#total('repair_copied_segments_total', () => sources.repair?.().copiedSegmentCount ?? 0);
    this.#total('log_lines_dropped_total', () => sources.log?.().droppedLineCount ?? 0);
  }

  #declareProcess(): void {
    const startSeconds = Date.now() / 1000 - process.uptime();
    this.#gauge('eventloop_lag_median_seconds', (gauge) => gauge.set(this.#lagSeconds(50)));
    this.#gauge('eventloop_lag_max_seconds', (gauge) => gauge.set(this.#lagSeconds(100)));
    this.#gauge('eventloop_lag_seconds', (gauge) => {
      gauge.set(this.#lagSeconds(99));
      // Gauges are asked in the order of their declaration: this is the last of them.
      this.#eventLoopDelay.reset();
    });
    this.#total('process_cpu_seconds_total', () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
    this.#gauge('process_resident_memory_bytes', (gauge) => gauge.set(process.memoryUsage.rss()));
    this.#gauge('process_heap_used_bytes', (gauge) => gauge.set(process.memoryUsage().heapUsed));
    this.#gauge('process_external_memory_bytes', (gauge) =>
      gauge.set(process.memoryUsage().external),
    );
    this.#gauge('process_start_time_seconds', (gauge) => gauge.set(startSeconds));
    this.#gauge('process_open_fds', async (gauge) => gauge.set(await openFileCount()));
  }

  /** The histogram measures whole timer periods, so an idle loop shows the resolution. */
  #lagSeconds(percentile: number): number {
    const histogram = this.#eventLoopDelay;
    const delayNs = histogram.count === 0 ? 0 : histogram.percentile(percentile);
    return Math.max(0, delayNs / 1e9 - LAG_RESOLUTION_MS / 1e3);
  }

  #routeLabel(route: string): string {
    if (!this.#routes.has(route)) {
      if (this.#routes.size >= ROUTE_MAX_COUNT) return OTHER;
      this.#routes.add(route);
    }
    return route;
  }

  #counter(name: NameOf<'counter'>): Counter {
    return new Counter(this.#declaration(name));
  }

  #histogram(name: NameOf<'histogram'>): Histogram {
    const buckets = [...(metricRow(name).bucketsSeconds ?? [])];
    return new Histogram({ ...this.#declaration(name), buckets });
  }

  /** A gauge that is set at each scrape. */
  #gauge(name: NameOf<'gauge'>, collect: (gauge: Gauge) => void | Promise<void>): void {
    const gauge: Gauge = new Gauge({
      ...this.#declaration(name),
      collect: () => unlessItThrows(() => collect(gauge)),
    });
  }

  /** A counter whose total is kept elsewhere. */
  #total(name: NameOf<'counter'>, total: () => number): void {
    const counter: Counter = new Counter({
      ...this.#declaration(name),
      collect: () =>
        unlessItThrows(() => {
          const value = total();
          counter.reset();
          counter.inc(value);
        }),
    });
  }

  #declaration(name: MetricName) {
    const { help, labels } = metricRow(name);
    return {
      name: `${METRIC_PREFIX}${name}`,
      help,
      labelNames: Object.keys(labels ?? {}),
      registers: [this.#registry],
    };
  }
}

export function createMetrics(options: MetricsOptions): Metrics {
  return new Metrics(options);
}

const JOB_STATES = ['WAITING', 'RUNNING', 'VERIFYING', 'SUCCEEDED', 'FAILED', 'STOPPED'];
const MEMBER_STATES = ['up', 'suspect', 'down', 'draining', 'left'];

/** Sets every known state, so that one that empties goes to 0 and does not vanish. */
function setCounts(
  gauge: Gauge,
  states: readonly string[],
  things: readonly { readonly state: string }[],
): void {
  for (const state of states) {
    gauge.set({ state }, things.filter((thing) => thing.state === state).length);
  }
}

/** A part that cannot answer must not cost the whole scrape. */
async function unlessItThrows(collect: () => void | Promise<void>): Promise<void> {
  try {
    await collect();
  } catch {
    // The metric keeps its last value.
  }
}

/** 0 where the system does not tell. */
async function openFileCount(): Promise<number> {
  try {
    return (await readdir('/proc/self/fd')).length;
  } catch {
    return 0;
  }
}
