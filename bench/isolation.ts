/**
 * What bulk work does to everything else: while a load takes all of the machine and clients hammer a
 * peer with reads, how late do the main threads run, is a leader elected, and how long does a reader
 * wait for what nobody has cached?
 */
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Cluster } from '../tests/support/cluster.ts';
import type { Peer } from '../tests/support/peer-process.ts';
import { waitFor } from '../tests/support/wait-for.ts';
import { DEFAULT_TIMERS } from './support/default-timers.ts';
import { type Origin, ORIGIN_BUCKET, startOrigin } from './support/origin.ts';
import { hostLine, printTable } from './support/report.ts';
import { isWrkInstalled, runWrk } from './support/wrk.ts';

export const question = 'What do loads and readers do to Raft, and to reads of what is not cached?';

const MIB = 1024 * 1024;
const SEGMENT_BYTES = 8 * MIB;
const FILE_BYTES = 512 * MIB;
/** The first file is hammered, two are read cold, idle and under load. */
const [HOT, COLD_IDLE, COLD_BUSY, FIRST_LOADED] = [0, 1, 2, 3];
const PROBE_COUNT = FILE_BYTES / SEGMENT_BYTES;
const READ_BYTES = 64 * 1024;
const HAMMER = { connectionCount: 16, rangeBytes: MIB };
const LOAD_DEADLINE_MS = 170_000;
const SMALL_BUCKET = 'bench-small';
const SMALL_BYTES = 64 * 1024;
const LAG_TARGET_MS = 50;
const PROFILED_PROGRAM = join(import.meta.dirname, 'support/profiled-peer.js');

interface Lag {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

interface Wanted {
  readonly peerCount: number;
  /** Large files to load, or so many small objects. */
  readonly fileCount: number;
  readonly smallCount: number;
  /** Replaced: the program, with its settings. */
  readonly program?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** What one build of the peer made of it. */
interface Outcome {
  readonly lags: readonly Lag[];
  /** Whose readers hammer it. */
  readonly leaderIndex: number;
  readonly elections: number;
  /** Reads of what is not cached, milliseconds each. */
  readonly idle: readonly number[];
  readonly busy: readonly number[];
  readonly seconds: number;
  readonly requestCount: number;
}

const OPTIONS = {
  files: { type: 'string', default: '12' },
  /** Objects of 64 KiB, in place of large files. */
  small: { type: 'string', default: '0' },
  peers: { type: 'string', default: '3' },
  against: { type: 'string' },
  profile: { type: 'string' },
} as const;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  if (!isWrkInstalled()) {
    throw new Error('this benchmark needs wrk: bench/install-tools.sh installs it');
  }
  const { against, profile } = values;
  const smallCount = Number(values.small);
  const wanted = {
    peerCount: Number(values.peers),
    fileCount: smallCount > 0 ? 0 : Number(values.files),
    smallCount,
    ...(profile !== undefined && {
      program: PROFILED_PROGRAM,
      env: { BENCH_PROFILE_FOLDER: resolve(profile) },
    }),
  };
  if (against !== undefined) {
    const program = join(resolve(against), 'cli/main.js');
    console.log(`${against}:`);
    console.log(report(wanted, await measure({ ...wanted, program })));
    console.log('\nthis build:');
  }
  console.log(report(wanted, await measure(wanted)));
}

async function measure(wanted: Wanted): Promise<Outcome> {
  const { peerCount, fileCount, smallCount, program, env } = wanted;
  const count = FIRST_LOADED + fileCount;
  await using origin = await startOrigin({ count, sizeBytes: FILE_BYTES });
  const options = { count: Math.max(1, smallCount), sizeBytes: SMALL_BYTES, bucket: SMALL_BUCKET };
  await using small = await startOrigin(options);
  await using cluster = await Cluster.start({
    peers: peerCount,
    mounts: [origin.mount, small.mount],
    env: {
      ...DEFAULT_TIMERS,
      RINGLOAD_CACHE_REGION_SIZE_BYTES: '',
      RINGLOAD_LOG_LEVEL: 'warn',
      ...env,
    },
    cacheCapacity: '8GiB',
    ...(program !== undefined && { program }),
  });
  const leader = await cluster.waitForLeader();
  await load(leader, [pathOf(origin, HOT)]);
  const idle = await probe(leader, origin, COLD_IDLE, () => false);
  await Promise.all(cluster.peers.map(lagOf));
  const termBefore = (await leader.api.cluster()).term;
  const startMs = performance.now();
  const files = Array.from({ length: fileCount }, (_, file) => FIRST_LOADED + file);
  const paths =
    smallCount > 0 ? [`s3://${SMALL_BUCKET}`] : files.map((file) => pathOf(origin, file));
  let isOver = false;
  const loading = load(leader, paths).finally(() => (isOver = true));
  const hammering = hammer(leader, origin, () => isOver);
  const busy = await probe(leader, origin, COLD_BUSY, () => isOver);
  await loading;
  const seconds = (performance.now() - startMs) / 1000;
  const requestCount = await hammering;
  const lags = await Promise.all(cluster.peers.map(lagOf));
  const elections = (await leader.api.cluster()).term - termBefore;
  const leaderIndex = cluster.peers.indexOf(leader);
  return { lags, leaderIndex, elections, idle, busy, seconds, requestCount };
}

/** @returns the last line */
function report(wanted: Wanted, outcome: Outcome): string {
  const { lags, leaderIndex, elections, idle, busy, seconds, requestCount } = outcome;
  printTable([
    ['main thread late by, ms', 'p50', 'p99', 'max'],
    ...lags.map(({ p50Ms, p99Ms, maxMs }, index) => [
      index === leaderIndex ? `peer ${index}, leader, hammered` : `peer ${index}`,
      ...[p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(1)),
    ]),
  ]);
  console.log('');
  printTable([
    ['read of what is not cached, ms', 'reads', 'p50', 'p90', 'p99', 'max'],
    ...[idle, busy].map((times, row) => [
      row === 0 ? 'idle' : 'under load',
      String(times.length),
      ...[0.5, 0.9, 0.99, 1].map((share) => quantile(times, share).toFixed(0)),
    ]),
  ]);
  const { peerCount, fileCount, smallCount } = wanted;
  const bytes = smallCount > 0 ? smallCount * SMALL_BYTES : fileCount * FILE_BYTES;
  const what =
    smallCount > 0
      ? `${smallCount} objects of ${SMALL_BYTES / 1024} KiB`
      : `${fileCount} files of ${FILE_BYTES / MIB} MiB`;
  // A miss on an idle cluster is a whole segment, fetched, synced and served.
  const segmentMs = quantile(idle, 0.5);
  const targetMs = 2 * quantile(idle, 0.99) + segmentMs;
  const missMs = quantile(busy, 0.99);
  const lagMs = Math.max(...lags.map(({ p99Ms }) => p99Ms));
  console.log(`\n${hostLine()}`);
  console.log(
    `${peerCount} peers, 2 replicas, default timers; ${what} loaded in ${seconds.toFixed(1)} s (${(bytes / seconds / 1e6).toFixed(0)} MB/s)`,
  );
  console.log(
    `meanwhile ${(requestCount / seconds).toFixed(0)} ranges of 1 MiB a second from one peer's S3 endpoint over ${HAMMER.connectionCount} connections, and one reader of cold segments of 8 MiB`,
  );
  console.log(
    `targets: late by ${LAG_TARGET_MS} ms at p99, no election, a miss at p99 within ${targetMs.toFixed(0)} ms (twice the idle one and one segment time of ${segmentMs.toFixed(0)} ms)`,
  );
  return `isolation ratio=${(missMs / targetMs).toFixed(2)} lag_p99_ms=${lagMs.toFixed(1)} elections=${elections} miss_p99_ms=${missMs.toFixed(0)} target_ms=${targetMs.toFixed(0)}`;
}

async function load({ api }: Peer, paths: readonly string[]): Promise<void> {
  const jobs = await Promise.all(paths.map((path) => api.submit({ path, replicas: 2 })));
  for (const { jobId } of jobs) {
    await waitFor(async () => (await api.job(jobId)).state === 'SUCCEEDED', {
      what: 'a load to succeed',
      deadlineMs: LOAD_DEADLINE_MS,
      intervalMs: 100,
    });
  }
}

/** Reads the beginnings of segments that nobody has. @returns milliseconds of each */
async function probe(
  { api }: Peer,
  origin: Origin,
  file: number,
  isOver: () => boolean,
): Promise<number[]> {
  const times: number[] = [];
  for (let segment = 0; segment < PROBE_COUNT && !isOver(); segment++) {
    const startMs = performance.now();
    await api.readFile(pathOf(origin, file), {
      offset: segment * SEGMENT_BYTES,
      length: READ_BYTES,
    });
    times.push(performance.now() - startMs);
    await delay(50);
  }
  return times;
}

/** @returns how many ranges were read */
async function hammer(peer: Peer, origin: Origin, isOver: () => boolean): Promise<number> {
  const path = `/${ORIGIN_BUCKET}/${origin.keyOf(HOT)}`;
  const targets = [{ path, slotCount: FILE_BYTES / HAMMER.rangeBytes }];
  let requestCount = 0;
  while (!isOver()) {
    const reads = { endpoint: peer.s3Url, targets, byHeader: true, seconds: 2, ...HAMMER };
    requestCount += (await runWrk(reads)).requestCount;
  }
  return requestCount;
}

/** Since it was asked for the last time. */
async function lagOf({ api }: Peer): Promise<Lag> {
  const text = await api.metrics();
  const ms = (name: string): number =>
    1000 * Number(new RegExp(`^ringload_${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
  return {
    p50Ms: ms('eventloop_lag_median_seconds'),
    p99Ms: ms('eventloop_lag_seconds'),
    maxMs: ms('eventloop_lag_max_seconds'),
  };
}

function pathOf(origin: Origin, file: number): string {
  return `s3://${ORIGIN_BUCKET}/${origin.keyOf(file)}`;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
