/**
 * How fast a peer serves warm ranges over S3, beside nginx on the same bytes: what it holds itself,
 * and what another peer holds; besides, over REST, and what its data endpoint gives to other peers.
 */
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { formatSegmentRequest } from '../src/data/segment-request.ts';
import { Cluster } from '../tests/support/cluster.ts';
import type { Peer } from '../tests/support/peer-process.ts';
import { waitFor } from '../tests/support/wait-for.ts';
import { DEFAULT_TIMERS } from './support/default-timers.ts';
import { isNginxInstalled } from './support/nginx.ts';
import { type Origin, ORIGIN_BUCKET, startOrigin } from './support/origin.ts';
import { median } from './support/pairs.ts';
import { hostLine, printTable } from './support/report.ts';
import { cpuSeconds } from './support/usage.ts';
import {
  isWrkInstalled,
  runWrk,
  type Target,
  type WrkOptions,
  type WrkResult,
} from './support/wrk.ts';

export const question = 'How fast does a peer serve cached ranges, against nginx?';

const MIB = 1024 * 1024;
const SEGMENT_BYTES = 8 * MIB;
const PROFILED_PROGRAM = join(import.meta.dirname, 'support/profiled-peer.js');
/** Hosts that rest between two measurements give both the same start. */
const REST_MS = 300;
/** Share of the ring of who holds everything, and of who holds nothing. */
const WEIGHTS = ['100', '0.01'];

interface Contender {
  readonly name: string;
  readonly pids: readonly number[];
  readonly reads: Pick<WrkOptions, 'endpoint' | 'targets' | 'byHeader'>;
}

interface Sample extends WrkResult {
  readonly cpuSeconds: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pairs: { type: 'string', default: '5' },
      'size-kib': { type: 'string', default: '1024' },
      'file-mib': { type: 'string', default: '512' },
      seconds: { type: 'string', default: '4' },
      connections: { type: 'string', default: '16' },
      json: { type: 'boolean', default: false },
      only: { type: 'string' },
      profile: { type: 'string' },
    },
  });
  if (!isNginxInstalled() || !isWrkInstalled()) {
    throw new Error('this benchmark needs nginx and wrk: bench/install-tools.sh installs them');
  }
  const sizeBytes = Number(values['file-mib']) * MIB;
  const rangeBytes = Number(values['size-kib']) * 1024;
  await using origin = await startOrigin({ count: 1, sizeBytes });
  await using cluster = await loadedCluster(origin, values.profile);
  const all = await contendersOf(cluster, origin, rangeBytes);
  const contenders = all.filter(({ name }) => values.only === undefined || name === values.only);
  const options = {
    rangeBytes,
    connectionCount: Number(values.connections),
    seconds: Number(values.seconds),
  };
  const samples = new Map<Contender, Sample[]>(contenders.map((each) => [each, []]));
  for (let pair = 1; pair <= Number(values.pairs); pair++) {
    for (const contender of contenders) {
      const sample = await measure(contender, options);
      samples.get(contender)?.push(sample);
      console.error(`pair ${pair}: ${contender.name} ${rateOf(sample).toFixed(2)} GB/s`);
    }
  }
  report(
    samples,
    [
      `${options.connectionCount} connections, ${options.seconds} s each, random aligned ranges of ${rangeBytes} bytes of one file of ${sizeBytes} bytes`,
      `medians of ${values.pairs} rounds; nginx: 2 workers, sendfile; the ratios at the end are of S3 to nginx`,
      'CPU: whole processes, all threads, without wrk; "via another peer": of both peers',
    ],
    values.json,
  );
}

/** Two peers, the first of which owns everything. */
async function loadedCluster(origin: Origin, profileFolder?: string): Promise<Cluster> {
  const cluster = await Cluster.start({
    peers: 2,
    mounts: [origin.mount],
    env: {
      ...DEFAULT_TIMERS,
      RINGLOAD_CACHE_REGION_SIZE_BYTES: '',
      RINGLOAD_LOG_LEVEL: 'warn',
      ...(profileFolder !== undefined && { BENCH_PROFILE_FOLDER: resolve(profileFolder) }),
    },
    ...(profileFolder !== undefined && { program: PROFILED_PROGRAM }),
    envOf: (index) => ({ RINGLOAD_PEER_WEIGHT: WEIGHTS[index] ?? '1' }),
    cacheCapacity: '4GiB',
  });
  const { api } = cluster.peers[0] as Peer;
  const { jobId } = await api.submit({ path: `s3://${ORIGIN_BUCKET}`, segmentSize: SEGMENT_BYTES });
  await waitFor(async () => (await api.job(jobId)).state === 'SUCCEEDED', {
    what: 'the load to succeed',
    deadlineMs: 120_000,
    context: () => cluster.logs(),
  });
  return cluster;
}

async function contendersOf(
  cluster: Cluster,
  origin: Origin,
  rangeBytes: number,
): Promise<readonly Contender[]> {
  const [holder, reader] = cluster.peers as [Peer, Peer];
  const path = `s3://${ORIGIN_BUCKET}/${origin.keyOf(0)}`;
  const { record, segments } = await holder.api.placement(path);
  const holderId = (await holder.api.self()).id;
  const isHeld = segments.every(({ residentOn }) => residentOn.join() === holderId);
  if (!isHeld) throw new Error('the first peer does not hold everything alone');
  const slotCount = Math.floor(record.sizeBytes / rangeBytes);
  const object = [{ path: `/${ORIGIN_BUCKET}/${origin.keyOf(0)}`, slotCount }];
  const content = [{ path: `/v1/files/content?path=${encodeURIComponent(path)}`, slotCount }];
  const { version } = record;
  const pieces = segments.map(({ index, lengthBytes }): Target => {
    const key = { path, version, segmentSizeBytes: record.segmentSizeBytes, index };
    const request = formatSegmentRequest({ key, offset: 0 }).replace(/&o=0$/, '');
    const inSegment = Math.floor(lengthBytes / rangeBytes);
    return { path: `${request}&o={from}&l={length}`, slotCount: inSegment };
  });
  return [
    {
      name: 'S3',
      pids: [holder.pid],
      reads: { endpoint: holder.s3Url, targets: object, byHeader: true },
    },
    {
      name: 'nginx',
      pids: origin.pids,
      reads: { endpoint: origin.endpoint, targets: object, byHeader: true },
    },
    {
      name: 'S3 via another peer',
      pids: [holder.pid, reader.pid],
      reads: { endpoint: reader.s3Url, targets: object, byHeader: true },
    },
    {
      name: 'REST',
      pids: [holder.pid],
      reads: { endpoint: holder.restUrl, targets: content, byHeader: true },
    },
    {
      name: 'data endpoint',
      pids: [holder.pid],
      reads: {
        endpoint: `http://127.0.0.1:${holder.dataPort}`,
        targets: pieces.filter((piece) => piece.slotCount > 0),
        byHeader: false,
      },
    },
  ];
}

async function measure(
  { pids, reads }: Contender,
  options: Pick<WrkOptions, 'rangeBytes' | 'connectionCount' | 'seconds'>,
): Promise<Sample> {
  await delay(REST_MS);
  const before = await cpuOf(pids);
  const result = await runWrk({ ...reads, ...options });
  return { ...result, cpuSeconds: (await cpuOf(pids)) - before };
}

/** Of these processes alone: what wrk costs is the reader's. */
async function cpuOf(pids: readonly number[]): Promise<number> {
  return (await cpuSeconds(pids)) - (await cpuSeconds([]));
}

function rateOf({ bytes, seconds }: Sample): number {
  return bytes / seconds / 1e9;
}

function cpuPerGb({ bytes, cpuSeconds: cpu }: Sample): number {
  return (1e9 * cpu) / bytes;
}

function report(
  samples: ReadonlyMap<Contender, readonly Sample[]>,
  notes: readonly string[],
  json: boolean,
): void {
  const [peer = [], nginx = []] = samples.values();
  const over = (own: readonly Sample[], figure: (sample: Sample) => number): number =>
    median(own.map((sample, index) => figure(sample) / figure(nginx[index] ?? sample)));
  if (json) {
    const contenders = [...samples].map(([{ name }, runs]) => ({ name, runs }));
    console.log(
      JSON.stringify({ name: 'read', host: hostLine(), notes, contenders }, undefined, 2),
    );
  } else {
    printTable([
      ['', 'GB/s', 'requests/s', 'CPU-s/GB', 'p50 ms', 'p99 ms', '/ nginx', 'p99 / nginx'],
      ...[...samples].map(([{ name }, runs]) => {
        const middle = (figure: (sample: Sample) => number): number => median(runs.map(figure));
        return [
          name,
          middle(rateOf).toFixed(2),
          middle((sample) => sample.requestCount / sample.seconds).toFixed(0),
          middle(cpuPerGb).toFixed(2),
          middle((sample) => sample.p50Ms).toFixed(2),
          middle((sample) => sample.p99Ms).toFixed(2),
          over(runs, rateOf).toFixed(2),
          over(runs, (sample) => sample.p99Ms).toFixed(2),
        ];
      }),
    ]);
    console.log(`\n${[hostLine(), ...notes].join('\n')}`);
  }
  const [ratio, cpuRatio] = [over(peer, rateOf), over(peer, cpuPerGb)];
  console.log(`read ratio=${ratio.toFixed(3)} cpu_ratio=${cpuRatio.toFixed(3)} limit=none`);
}
