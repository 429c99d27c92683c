/** Arithmetic on job counters, and sums modulo 2^64 of inventories. */
import type { PeerId } from '../base/ids.ts';
import type { ExpectedInventory, PeerTally, TallyCounts } from '../cluster/job-record.ts';
import { DigestSum } from '../cache/digest-sum.ts';
import { ZERO_COUNTERS, type JobCounters } from './job-status.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
export type MutableCounters = Mutable<JobCounters>;

export const COUNTER_NAMES = Object.keys(ZERO_COUNTERS) as (keyof JobCounters)[];

export function zeroCounters(): MutableCounters {
  return { ...ZERO_COUNTERS };
}

/** Counters from a checkpoint: what a record lacks is 0, what it has too much is ignored. */
export function countersFrom(record: Readonly<Record<string, number>>): MutableCounters {
  const counters = zeroCounters();
  for (const name of COUNTER_NAMES) counters[name] = record[name] ?? 0;
  return counters;
}

export function addCounters(target: MutableCounters, delta: JobCounters): void {
  for (const name of COUNTER_NAMES) target[name] += delta[name];
}

/** Counters of work done, which every pass adds to; the others are counted anew by each pass. */
const WORK_NAMES = [
  'checkedFiles',
  'uncheckedFiles',
  'taskCount',
  'failedTaskCount',
  'retriedTaskCount',
  'movedTaskCount',
  'relayedBytes',
] as const;

/** Zero, but for the work that `counters` tells of. */
export function workOf(counters: JobCounters): MutableCounters {
  return withWorkOf(zeroCounters(), counters);
}

/** `counters` with the work that `worked` tells of. */
export function withWorkOf(counters: JobCounters, worked: JobCounters): MutableCounters {
  const result = { ...counters };
  for (const name of WORK_NAMES) result[name] = worked[name];
  return result;
}

/** What one peer is expected to hold; adding is commutative, so order never matters. */
export class InventorySum {
  #segmentCount: number;
  #bytes: number;
  readonly #digest: DigestSum;
  #recordCount: number;
  readonly #recordDigest: DigestSum;

  constructor(from?: ExpectedInventory) {
    this.#segmentCount = from?.segmentCount ?? 0;
    this.#bytes = from?.bytes ?? 0;
    this.#digest = new DigestSum(from?.digest);
    this.#recordCount = from?.recordCount ?? 0;
    this.#recordDigest = new DigestSum(from?.recordDigest);
  }

  add(lengthBytes: number, digest: string): void {
    this.#segmentCount += 1;
    this.#bytes += lengthBytes;
    this.#digest.add(digest);
  }

  addRecord(digest: string): void {
    this.#recordCount += 1;
    this.#recordDigest.add(digest);
  }

  /** A file has one record: the one of another version takes its place. */
  forgetRecords(): void {
    this.#recordCount = 0;
    this.#recordDigest.clear();
  }

  addAll(other: InventorySum): void {
    this.#segmentCount += other.#segmentCount;
    this.#bytes += other.#bytes;
    this.#digest.addAll(other.#digest);
    this.#recordCount += other.#recordCount;
    this.#recordDigest.addAll(other.#recordDigest);
  }

  toJSON(): Required<ExpectedInventory> {
    return {
      segmentCount: this.#segmentCount,
      bytes: this.#bytes,
      digest: this.#digest.toString(),
      recordCount: this.#recordCount,
      recordDigest: this.#recordDigest.toString(),
    };
  }
}

/** The sum for `peer`, created on first use. */
export function sumOf(sums: Map<PeerId, InventorySum>, peer: PeerId): InventorySum {
  let sum = sums.get(peer);
  if (!sum) sums.set(peer, (sum = new InventorySum()));
  return sum;
}

export const ZERO_TALLY: TallyCounts = {
  segmentCount: 0,
  storedBytes: 0,
  ufsBytes: 0,
  copiedBytes: 0,
};

export function addTally(a: TallyCounts, b: TallyCounts): TallyCounts {
  return {
    segmentCount: a.segmentCount + b.segmentCount,
    storedBytes: a.storedBytes + b.storedBytes,
    ufsBytes: a.ufsBytes + b.ufsBytes,
    copiedBytes: a.copiedBytes + b.copiedBytes,
  };
}

/**
 * Takes in what a peer reports. Reports are cumulative within a start generation, so a lost or
 * repeated frame changes nothing; a restart begins a new sum.
 */
export function updateTally(
  before: PeerTally | undefined,
  generation: number,
  reported: TallyCounts,
): PeerTally {
  if (!before) return { generation, previous: ZERO_TALLY, current: reported };
  if (generation < before.generation) return before;
  if (generation > before.generation) {
    return { generation, previous: addTally(before.previous, before.current), current: reported };
  }
  const current: TallyCounts = {
    segmentCount: Math.max(before.current.segmentCount, reported.segmentCount),
    storedBytes: Math.max(before.current.storedBytes, reported.storedBytes),
    ufsBytes: Math.max(before.current.ufsBytes, reported.ufsBytes),
    copiedBytes: Math.max(before.current.copiedBytes, reported.copiedBytes),
  };
  return { generation, previous: before.previous, current };
}
