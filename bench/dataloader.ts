/**
 * What a training job's data loader does: eight readers that take random 128 KiB ranges of large
 * objects, and whole files of 100 KB: cold, warm, and from Ringload once more after a load job, which
 * is how data is meant to get there. Ringload over S3, beside the origin itself and nginx as a
 * caching proxy by slices, all on the same bytes in one run.
 */
import { Agent, get } from 'node:http';
import { parseArgs } from 'node:util';
import { Cluster } from '../tests/support/cluster.ts';
import type { Peer } from '../tests/support/peer-process.ts';
import { waitFor } from '../tests/support/wait-for.ts';
import { DEFAULT_TIMERS } from './support/default-timers.ts';
import { isNginxInstalled, type Nginx, startNginx } from './support/nginx.ts';
import { type Origin, ORIGIN_BUCKET, startOrigin } from './support/origin.ts';
import { hostLine, printTable } from './support/report.ts';
import { cpuSeconds } from './support/usage.ts';

export const question = 'How fast do data loaders read, beside the origin and nginx as a cache?';

const MIB = 1024 * 1024;
const RANGE_BYTES = 128 * 1024;
const FILE_BYTES = 100_000;
const LARGE_BYTES = 64 * MIB;

const RINGLOAD = 'Ringload';
const SLICES = 'nginx slice cache';

interface Read {
  readonly path: string;
  readonly length: number;
  /** Absent: the whole file. */
  readonly from?: number;
}

interface Pass {
  readonly bytes: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly timesMs: readonly number[];
}

interface Contender {
  readonly name: string;
  readonly endpoint: string;
  readonly pids: readonly number[];
}

interface Options {
  readonly readerCount: number;
  readonly warmCount: number;
  readonly peerCount: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      objects: { type: 'string', default: '6' },
      files: { type: 'string', default: '4000' },
      readers: { type: 'string', default: '8' },
      warm: { type: 'string', default: '3' },
      peers: { type: 'string', default: '1' },
    },
  });
  if (!isNginxInstalled()) {
    throw new Error('this benchmark needs nginx: bench/install-tools.sh installs it');
  }
  const options = {
    readerCount: Number(values.readers),
    warmCount: Number(values.warm),
    peerCount: Number(values.peers),
  };
  const objectCount = Number(values.objects);
  const fileCount = Number(values.files);
  const rangesOf = (origin: Origin): Read[] =>
    Array.from({ length: (objectCount * LARGE_BYTES) / RANGE_BYTES }, (_, slot) => {
      const perObject = LARGE_BYTES / RANGE_BYTES;
      const path = pathOf(origin, Math.floor(slot / perObject));
      return { path, from: (slot % perObject) * RANGE_BYTES, length: RANGE_BYTES };
    });
  const filesOf = (origin: Origin): Read[] =>
    Array.from({ length: fileCount }, (_, number) => {
      return { path: pathOf(origin, number), length: FILE_BYTES };
    });
  const large = { count: objectCount, sizeBytes: LARGE_BYTES };
  const small = { count: fileCount, sizeBytes: FILE_BYTES };
  const ratios = [
    await compare('random ranges of 128 KiB', large, rangesOf, options),
    await compare('whole files of 100 KB', small, filesOf, options),
  ];
  console.log(hostLine());
  console.log(
    `${options.readerCount} readers over kept connections, in one Node process on the same cores; every range and file once cold, then ${options.warmCount} times warm, in another order each time; "loaded": after a load job of the same path`,
  );
  console.log(
    `${options.peerCount} peer(s), default settings; nginx: 2 workers, slices of 1 MiB, cache on the same disk; the origin answers from memory, without any delay`,
  );
  const [ranges, files] = ratios.map((ratio) => ratio.toFixed(3));
  console.log(`dataloader ranges_to_nginx_cache=${ranges} files_to_nginx_cache=${files}`);
}

/** @returns the rate of Ringload after a load over the warm one of nginx as a cache */
async function compare(
  title: string,
  objects: { readonly count: number; readonly sizeBytes: number },
  readsOf: (origin: Origin) => readonly Read[],
  options: Options,
): Promise<number> {
  await using origin = await startOrigin(objects);
  await using cache = await startNginx({ root: '/', sliceCacheOf: origin.endpoint });
  await using cluster = await Cluster.start({
    peers: options.peerCount,
    mounts: [origin.mount],
    env: { ...DEFAULT_TIMERS, RINGLOAD_CACHE_REGION_SIZE_BYTES: '', RINGLOAD_LOG_LEVEL: 'warn' },
    cacheCapacity: '4GiB',
  });
  const contenders = await contendersOf(origin, cache, cluster);
  const reads = readsOf(origin);
  const rows: string[][] = [];
  const rates = new Map<string, number>();
  const passes = async (contender: Contender, how: string, count: number): Promise<void> => {
    const all: Pass[] = [];
    for (let time = 0; time < count; time++)
      all.push(await pass(contender, shuffled(reads), options));
    const { name } = contender;
    const sum = together(all);
    rows.push(rowOf(`${name}, ${how}`, sum));
    rates.set(`${name}, ${how}`, sum.bytes / sum.seconds);
  };
  for (const contender of contenders) {
    await passes(contender, 'cold', 1);
    await passes(contender, 'warm', options.warmCount);
    if (contender.name !== RINGLOAD) continue;
    await load(cluster);
    await passes(contender, 'loaded', options.warmCount);
  }
  printTable([[title, 'GB/s', 'reads/s', 'CPU-s/GB', 'p50 ms', 'p99 ms', 'max ms'], ...rows]);
  console.log('');
  return (rates.get(`${RINGLOAD}, loaded`) ?? 0) / (rates.get(`${SLICES}, warm`) ?? 1);
}

async function contendersOf(
  origin: Origin,
  cache: Nginx,
  cluster: Cluster,
): Promise<readonly Contender[]> {
  const [peer] = cluster.peers as [Peer];
  return [
    { name: RINGLOAD, endpoint: peer.s3Url, pids: cluster.peers.map(({ pid }) => pid) },
    { name: 'the origin', endpoint: origin.endpoint, pids: origin.pids },
    { name: SLICES, endpoint: cache.endpoint, pids: await cache.pids() },
  ];
}

/** What was read through is resident already; the job adds what the catalogue knows of the files. */
async function load({ peers }: Cluster): Promise<void> {
  const [{ api }] = peers as [Peer];
  const { jobId } = await api.submit({ path: `s3://${ORIGIN_BUCKET}` });
  await waitFor(async () => (await api.job(jobId)).state === 'SUCCEEDED', {
    what: 'the load to succeed',
    deadlineMs: 120_000,
  });
}

async function pass(
  { endpoint, pids }: Contender,
  reads: readonly Read[],
  { readerCount }: Options,
): Promise<Pass> {
  const agent = new Agent({ keepAlive: true, maxSockets: readerCount });
  const timesMs: number[] = [];
  const cpuBefore = await cpuOf(pids);
  const startMs = performance.now();
  let next = 0;
  const reader = async (): Promise<void> => {
    for (let read = reads[next++]; read; read = reads[next++]) {
      const beganMs = performance.now();
      await readOne(endpoint, read, agent);
      timesMs.push(performance.now() - beganMs);
    }
  };
  await Promise.all(Array.from({ length: readerCount }, reader));
  const seconds = (performance.now() - startMs) / 1000;
  agent.destroy();
  const bytes = reads.reduce((sum, { length }) => sum + length, 0);
  return { bytes, seconds, timesMs, cpuSeconds: (await cpuOf(pids)) - cpuBefore };
}

/** @throws when it is not answered with exactly the bytes that were asked for. */
function readOne(endpoint: string, { path, from, length }: Read, agent: Agent): Promise<void> {
  const headers = from === undefined ? {} : { range: `bytes=${from}-${from + length - 1}` };
  return new Promise((resolve, reject) => {
    const request = get(`${endpoint}${path}`, { agent, headers }, (response) => {
      let received = 0;
      response.on('data', (chunk: Buffer) => (received += chunk.length));
      response.once('error', reject);
      response.once('end', () => {
        const { statusCode } = response;
        const isGood = statusCode === (from === undefined ? 200 : 206) && received === length;
        if (isGood) resolve();
        else reject(new Error(`${endpoint}${path}: ${statusCode}, ${received} bytes`));
      });
    });
    request.once('error', reject);
  });
}

/** Of these processes alone. */
async function cpuOf(pids: readonly number[]): Promise<number> {
  return (await cpuSeconds(pids)) - (await cpuSeconds([]));
}

function together(passes: readonly Pass[]): Pass {
  const sum = (figure: (pass: Pass) => number): number =>
    passes.reduce((total, each) => total + figure(each), 0);
  return {
    bytes: sum(({ bytes }) => bytes),
    seconds: sum(({ seconds }) => seconds),
    cpuSeconds: sum((each) => each.cpuSeconds),
    timesMs: passes.flatMap(({ timesMs }) => timesMs),
  };
}

function rowOf(name: string, { bytes, seconds, cpuSeconds: cpu, timesMs }: Pass): string[] {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (share: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN).toFixed(2);
  return [
    name,
    (bytes / seconds / 1e9).toFixed(2),
    (timesMs.length / seconds).toFixed(0),
    ((1e9 * cpu) / bytes).toFixed(2),
    at(0.5),
    at(0.99),
    at(1),
  ];
}

function pathOf(origin: Origin, number: number): string {
  return `/${ORIGIN_BUCKET}/${origin.keyOf(number)}`;
}

function shuffled<T>(values: readonly T[]): T[] {
  const result = [...values];
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [result[last], result[other]] = [result[other] as T, result[last] as T];
  }
  return result;
}
