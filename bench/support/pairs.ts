/**
 * Side-by-side measurement: A B A B …, so that a machine that gets slower or faster meanwhile does
 * so for both. Ratios are taken pair by pair, and the median of them is what counts.
 */
import { cpuSeconds, peakBytes, resetPeaks } from './usage.ts';

/** What one run achieved. */
export interface Work {
  readonly bytes: number;
  readonly objects: number;
  /** Of a program that `run` started, where it knows. */
  readonly peakBytes?: number;
}

export interface Contender {
  readonly name: string;
  /** Long-lived processes that do the work; programs that `run` starts and awaits count anyway. */
  readonly pids?: () => readonly number[];
  /** Not timed: an empty cache, a removed file. */
  readonly prepare?: () => Promise<void>;
  /** Timed; resolves when all is done and synced. */
  run(): Promise<Work>;
  /** Not timed; called once after each run, so that what is left does not burden the next. */
  readonly cleanUp?: () => Promise<void>;
}

export interface Sample extends Work {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Of the long-lived processes, or of the program that ran; 0 when there are none. */
  readonly peakBytes: number;
}

export interface PairsOptions {
  /** What is measured. */
  readonly subject: Contender;
  /** What it is measured against. */
  readonly yardstick: Contender;
  /** Run in each round as well, and shown. */
  readonly others?: readonly Contender[];
  /** What the machine can do at best, run once in each pair. */
  readonly limit?: Contender;
  /** 5 or more for figures that are quoted. */
  readonly pairs: number;
}

export interface Comparison {
  readonly samples: ReadonlyMap<Contender, readonly Sample[]>;
  /** Rate of the subject / rate of the yardstick. */
  readonly ratio: number;
  /** CPU per byte (per object, where there are no bytes) of the subject / of the yardstick. */
  readonly cpuRatio: number;
  /** Rate of the subject / rate of the limit. */
  readonly limitRatio: number | undefined;
}

export async function runPairs(options: PairsOptions): Promise<Comparison> {
  const { subject, yardstick, others = [], limit, pairs } = options;
  const contenders = [subject, yardstick, ...others, ...(limit ? [limit] : [])];
  const samples = new Map<Contender, Sample[]>(contenders.map((contender) => [contender, []]));
  for (let pair = 1; pair <= pairs; pair++) {
    for (const contender of contenders) {
      const sample = await measure(contender);
      samples.get(contender)?.push(sample);
      const rate = (rateOf(sample) / (sample.bytes > 0 ? 1e6 : 1)).toFixed(0);
      const unit = sample.bytes > 0 ? 'MB/s' : 'objects/s';
      console.error(`pair ${pair}/${pairs}: ${contender.name} ${rate} ${unit}`);
    }
  }
  const over = (other: Contender, figure: (sample: Sample) => number): number => {
    const theirs = samples.get(other) ?? [];
    const own = samples.get(subject) ?? [];
    return median(own.map((sample, index) => figure(sample) / figure(theirs[index] ?? sample)));
  };
  return {
    samples,
    ratio: over(yardstick, rateOf),
    cpuRatio: over(yardstick, cpuPerUnit),
    limitRatio: limit && over(limit, rateOf),
  };
}

async function measure(contender: Contender): Promise<Sample> {
  await contender.prepare?.();
  const pids = contender.pids?.() ?? [];
  await resetPeaks(pids);
  const cpuBefore = await cpuSeconds(pids);
  const startMs = performance.now();
  try {
    const work = await contender.run();
    const seconds = (performance.now() - startMs) / 1_000;
    const cpu = (await cpuSeconds(pids)) - cpuBefore;
    const peak = work.peakBytes ?? (await peakBytes(pids));
    return { ...work, seconds, cpuSeconds: cpu, peakBytes: peak };
  } finally {
    await contender.cleanUp?.();
  }
}

/** Bytes per second, or objects per second where there are no bytes. */
export function rateOf({ bytes, objects, seconds }: Sample): number {
  return (bytes > 0 ? bytes : objects) / seconds;
}

export function cpuPerUnit({ bytes, objects, cpuSeconds: cpu }: Sample): number {
  return cpu / (bytes > 0 ? bytes : objects);
}

/** NaN for an empty list. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[middle]];
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2;
}
