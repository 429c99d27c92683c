/**
 * How fast a leader schedules: ten million objects that exist only as formulas, listed page by page
 * into the real scheduler, with owners that answer at once. Memory is looked at on the way: it must
 * not grow with what was listed.
 */
import { setFlagsFromString } from 'node:v8';
import { parseArgs } from 'node:util';
import { runInNewContext } from 'node:vm';
import { KIB } from '../src/base/units.ts';
import { runLoneLoad } from './support/lone-leader.ts';
import { hostLine, printTable } from './support/report.ts';
import { peakBytes, residentBytes } from './support/usage.ts';
import { VirtualStore } from './support/virtual-store.ts';

export const question = 'How many segments a second does a leader schedule, in how much memory?';

const TARGET_PER_SECOND = 100_000;
const SAMPLED_SHARES = [0.1, 0.5, 1];

/** When the listing had come so far. */
interface MemorySample {
  readonly listedCount: number;
  readonly seconds: number;
  /** What is alive: after a full collection. */
  readonly liveBytes: number;
  readonly residentBytes: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      count: { type: 'string', default: '1000000' },
      'segments-per-file': { type: 'string', default: '1' },
      'segment-kib': { type: 'string', default: '64' },
      peers: { type: 'string', default: '10' },
      replicas: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
    },
  });
  const count = Number(values.count);
  const segmentsPerFile = Number(values['segments-per-file']);
  const segmentSizeBytes = Number(values['segment-kib']) * KIB;
  const peerCount = Number(values.peers);
  const replicaCount = Number(values.replicas);
  const memory = new MemoryWatch(count);
  const store = new VirtualStore({
    count,
    sizeBytes: segmentsPerFile * segmentSizeBytes,
    onPage: (listedCount) => {
      memory.look(listedCount);
    },
  });
  const spec = { path: store.root, replicaCount, segmentSizeBytes };
  const figures = await runLoneLoad({ store, spec, peerCount });
  const samples = await memory.samples();
  const peak = await peakBytes([process.pid]);
  const segmentCount = count * segmentsPerFile;
  const perSecond = segmentCount / figures.seconds;
  const perCpuSecond = segmentCount / figures.cpuSeconds;
  const options = { count, segmentsPerFile, segmentSizeBytes, peerCount, replicaCount };
  const closing = [
    `schedule ratio=${(perSecond / TARGET_PER_SECOND).toFixed(3)}`,
    `cpu_ratio=${(perCpuSecond / TARGET_PER_SECOND).toFixed(3)}`,
    `limit=none segments_per_second=${perSecond.toFixed(0)} peak_mb=${(peak / 1e6).toFixed(0)}`,
  ].join(' ');
  if (values.json) {
    const report = { name: 'schedule', host: hostLine(), ...options, ...figures, samples, peak };
    console.log(JSON.stringify(report, undefined, 2));
    console.log(closing);
    return;
  }
  printTable([
    ['listed', 'seconds', 'objects/s', 'live heap MB', 'resident MB'],
    ...samples.map((sample) => [
      `${((100 * sample.listedCount) / count).toFixed(0)} %`,
      sample.seconds.toFixed(2),
      (sample.listedCount / sample.seconds).toFixed(0),
      (sample.liveBytes / 1e6).toFixed(1),
      (sample.residentBytes / 1e6).toFixed(0),
    ]),
  ]);
  console.log('');
  printTable([
    ['', 'segments/s', 'tasks/s', 'CPU us/segment', 'tasks/batch', 'peak MB'],
    [
      'leader',
      perSecond.toFixed(0),
      (figures.taskCount / figures.seconds).toFixed(0),
      ((1e6 * figures.cpuSeconds) / segmentCount).toFixed(2),
      (figures.taskCount / figures.batchCount).toFixed(1),
      (peak / 1e6).toFixed(0),
    ],
  ]);
  console.log(`\n${hostLine()}`);
  console.log(
    `${count} objects of ${segmentsPerFile} × ${values['segment-kib']} KiB, ${peerCount} peers, ${replicaCount} replicas; ${figures.checkpointCount} commits of at most ${figures.checkpointMaxBytes} bytes`,
  );
  console.log(
    'one process: objects, leader and null owners; ratio is segments a second to 100,000, cpu_ratio segments a CPU second to the same',
  );
  console.log(closing);
}

/** Looks at the memory of this process when the listing reaches certain shares. */
class MemoryWatch {
  readonly #count: number;
  readonly #startedMs = performance.now();
  readonly #samples: Promise<MemorySample>[] = [];
  readonly #collect: () => void;

  constructor(count: number) {
    this.#count = count;
    setFlagsFromString('--expose-gc');
    this.#collect = runInNewContext('gc') as () => void;
  }

  look(listedCount: number): void {
    const share = SAMPLED_SHARES[this.#samples.length];
    if (share === undefined || listedCount < share * this.#count) return;
    this.#samples.push(this.#sample(listedCount));
  }

  samples(): Promise<readonly MemorySample[]> {
    return Promise.all(this.#samples);
  }

  async #sample(listedCount: number): Promise<MemorySample> {
    const seconds = (performance.now() - this.#startedMs) / 1_000;
    const resident = residentBytes(process.pid);
    this.#collect();
    const liveBytes = process.memoryUsage().heapUsed;
    return { listedCount, seconds, liveBytes, residentBytes: await resident };
  }
}
