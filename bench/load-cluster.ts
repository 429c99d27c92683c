/**
 * A load by three peers at default settings, with one copy and with two: time until everything is
 * warm, and whether each peer holds what the ring gives it.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { epoch } from '../src/base/ids.ts';
import type { JobStatus } from '../src/job/job-status.ts';
import { placementKey } from '../src/ring/keys.ts';
import { Ring } from '../src/ring/ring.ts';
import { Cluster } from '../tests/support/cluster.ts';
import { DEFAULT_TIMERS } from './support/default-timers.ts';
import { type Origin, ORIGIN_BUCKET, startOrigin } from './support/origin.ts';
import { median } from './support/pairs.ts';
import { hostLine, printTable } from './support/report.ts';
import { cpuSeconds } from './support/usage.ts';

export const question = 'How fast do three peers warm a data set, with one copy and with two?';

const MIB = 1024 * 1024;
/** Keys that measure how often a peer is one of the first owners. */
const SAMPLE_COUNT = 200_000;
const SETTINGS = { ...DEFAULT_TIMERS, RINGLOAD_CACHE_REGION_SIZE_BYTES: '' };

interface Plan {
  readonly segmentBytes: number;
  readonly replicas: number;
}

interface PeerShare {
  readonly storedBytes: number;
  /** What the ring gives it of the keys that were loaded. */
  readonly ownedBytes: number;
  /** What the ring gives it of all keys. */
  readonly ringBytes: number;
}

interface Sample extends Plan {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly amplification: number;
  readonly peers: readonly PeerShare[];
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pairs: { type: 'string', default: '5' },
      count: { type: 'string', default: '1024' },
      'size-mib': { type: 'string', default: '2' },
      'segment-mib': { type: 'string', default: '8' },
      'rate-mbps': { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const sizeBytes = Number(values['size-mib']) * MIB;
  const { count, 'rate-mbps': rate } = values;
  const rateMbps = rate === undefined ? {} : { rateMbps: Number(rate) };
  await using origin = await startOrigin({ count: Number(count), sizeBytes, ...rateMbps });
  const samples: Sample[] = [];
  for (let round = 1; round <= Number(values.pairs); round++) {
    for (const replicas of [1, 2]) {
      const segmentBytes = Number(values['segment-mib']) * MIB;
      const sample = await loadOnce(origin, { segmentBytes, replicas });
      samples.push(sample);
      console.error(`round ${round}, replicas ${replicas}: ${sample.seconds.toFixed(2)} s`);
    }
  }
  if (values.json) console.log(JSON.stringify(samples));
  report(origin, samples);
}

async function loadOnce(origin: Origin, plan: Plan): Promise<Sample> {
  await using cluster = await Cluster.start({
    program: join(process.cwd(), 'dist/cli/main.js'),
    mounts: [origin.mount],
    cacheCapacity: `${Math.ceil((2 * origin.count * origin.sizeBytes) / MIB) + 1024}MiB`,
    env: SETTINGS,
  });
  await cluster.waitForLeader();
  const pids = cluster.peers.map(({ pid }) => pid);
  const { members } = (await cluster.peers[0]?.api.cluster()) ?? { members: [] };
  const cpuBefore = await cpuSeconds(pids);
  const startedMs = performance.now();
  const path = `s3://${ORIGIN_BUCKET}`;
  const { segmentBytes: segmentSize, replicas } = plan;
  const id = await cluster.submit({ path, segmentSize, replicas });
  const status = await cluster.waitForState(id, 'SUCCEEDED', 600_000);
  const seconds = (performance.now() - startedMs) / 1000;
  return {
    ...plan,
    seconds,
    cpuSeconds: (await cpuSeconds(pids)) - cpuBefore,
    amplification: status.amplification ?? 0,
    peers: sharesOf(origin, plan, Ring.from({ epoch: epoch(1), members }), status),
  };
}

function sharesOf(origin: Origin, plan: Plan, ring: Ring, status: JobStatus): PeerShare[] {
  const { segmentBytes, replicas } = plan;
  const owned = new Map<string, number>();
  const sampled = new Map<string, number>();
  const add = (sums: Map<string, number>, key: string, weight: number): void => {
    for (const peer of ring.ownersOf(key, replicas)) {
      sums.set(peer, (sums.get(peer) ?? 0) + weight);
    }
  };
  for (let number = 0; number < origin.count; number++) {
    const path = `s3://${ORIGIN_BUCKET}/${origin.keyOf(number)}`;
    for (let index = 0; index * segmentBytes < origin.sizeBytes; index++) {
      const length = Math.min(segmentBytes, origin.sizeBytes - index * segmentBytes);
      add(owned, placementKey({ path, index, segmented: true }), length);
    }
  }
  for (let sample = 0; sample < SAMPLE_COUNT; sample++) add(sampled, `sample ${sample}`, 1);
  const totalBytes = origin.count * origin.sizeBytes;
  return ring.members.map(({ id }) => ({
    storedBytes: status.peers.find(({ peerId }) => peerId === id)?.storedBytes ?? 0,
    ownedBytes: owned.get(id) ?? 0,
    ringBytes: ((sampled.get(id) ?? 0) / SAMPLE_COUNT) * totalBytes,
  }));
}

function report(origin: Origin, samples: readonly Sample[]): void {
  const totalMb = (origin.count * origin.sizeBytes) / 1e6;
  const of = (replicas: number) => samples.filter((sample) => sample.replicas === replicas);
  const medianOf = (replicas: number, figure: (sample: Sample) => number): number =>
    median(of(replicas).map(figure));
  const seconds = (sample: Sample): number => sample.seconds;
  printTable([
    ['', 'seconds', 'min, max', 'MB/s loaded', 'MB/s stored', 'CPU-s/GB stored', 'amplification'],
    ...[1, 2].map((replicas) => {
      const all = of(replicas).map(seconds);
      const time = median(all);
      return [
        `replicas ${replicas}`,
        time.toFixed(2),
        `${Math.min(...all).toFixed(2)}, ${Math.max(...all).toFixed(2)}`,
        (totalMb / time).toFixed(0),
        ((replicas * totalMb) / time).toFixed(0),
        medianOf(replicas, (sample) => (1e3 * sample.cpuSeconds) / (replicas * totalMb)).toFixed(2),
        Math.max(...of(replicas).map(({ amplification }) => amplification)).toFixed(3),
      ];
    }),
  ]);
  console.log('\nBytes of each peer in the last round, MB');
  const percent = (part: number, whole: number): string =>
    `${(100 * (part / whole - 1)).toFixed(1)} %`;
  printTable([
    ['', 'stored', 'by the ring, these keys', 'off', 'by the ring, all keys', 'off'],
    ...[1, 2].flatMap((replicas) =>
      (of(replicas).at(-1)?.peers ?? []).map(({ storedBytes, ownedBytes, ringBytes }, index) => [
        `replicas ${replicas}, peer ${index}`,
        (storedBytes / 1e6).toFixed(0),
        (ownedBytes / 1e6).toFixed(0),
        percent(storedBytes, ownedBytes),
        (ringBytes / 1e6).toFixed(0),
        percent(storedBytes, ringBytes),
      ]),
    ),
  ]);
  console.log(`\n${hostLine()}`);
  console.log(
    `${origin.count} objects of ${origin.sizeBytes} bytes from ${origin.server}, segments of ${samples[0]?.segmentBytes ?? 0} bytes, 3 peers on one host, default settings; ${of(1).length} rounds`,
  );
  const off = (share: PeerShare, bytes: number): number => Math.abs(share.storedBytes / bytes - 1);
  const peers = samples.flatMap((sample) => sample.peers);
  const offKeys = Math.max(...peers.map((share) => off(share, share.ownedBytes)));
  const offRing = Math.max(...peers.map((share) => off(share, share.ringBytes)));
  const amplification = Math.max(...samples.map((sample) => sample.amplification));
  const ratio = medianOf(2, seconds) / medianOf(1, seconds);
  console.log(
    `load-cluster two_copies_over_one=${ratio.toFixed(2)} amplification=${amplification.toFixed(3)} off_keys=${offKeys.toFixed(3)} off_ring=${offRing.toFixed(3)}`,
  );
}
