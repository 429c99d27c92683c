/** What a verification has found so far: exact counts, sums, and the first differences by name. */
import type { FileRecord } from '../cache/file-catalog.ts';
import { addDigests, formatDigest, recordDigest, segmentDigest } from '../cache/digest.ts';
import type { SegmentKey } from '../cache/segment-store.ts';
import { DIFFERENCE_KINDS, type CopySums, type Difference, type DifferenceKind } from './report.ts';

/** Differences that are named: a report is one answer, of bounded size. */
export const NAMED_MAX_COUNT = 1000;

export class Findings {
  readonly counts: Record<DifferenceKind, number>;
  readonly differences: Difference[] = [];
  readonly repaired = { fromPeer: 0, fromUfs: 0, failed: 0 };
  #segmentCount = 0;
  #bytes = 0;
  #digest = 0n;
  #recordCount = 0;
  #recordDigest = 0n;

  constructor() {
    const zeros = DIFFERENCE_KINDS.map((kind) => [kind, 0] as const);
    this.counts = Object.fromEntries(zeros) as Record<DifferenceKind, number>;
  }

  get differenceCount(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  /** A sound copy of a segment. */
  addSegment(key: SegmentKey, lengthBytes: number, crc32c: number): void {
    this.#segmentCount += 1;
    this.#bytes += lengthBytes;
    this.#digest = addDigests(this.#digest, segmentDigest(key, lengthBytes, crc32c));
  }

  addRecord(record: FileRecord): void {
    this.#recordCount += 1;
    this.#recordDigest = addDigests(this.#recordDigest, recordDigest(record));
  }

  differ(difference: Difference): void {
    this.counts[difference.kind] += 1;
    if (difference.repaired === 'from-peer') this.repaired.fromPeer += 1;
    else if (difference.repaired === 'from-ufs') this.repaired.fromUfs += 1;
    else if (difference.repaired === 'no') this.repaired.failed += 1;
    if (this.differences.length < NAMED_MAX_COUNT) this.differences.push(difference);
  }

  /** Takes in what another one found. */
  addAll(other: Findings): void {
    for (const kind of DIFFERENCE_KINDS) this.counts[kind] += other.counts[kind];
    for (const name of ['fromPeer', 'fromUfs', 'failed'] as const) {
      this.repaired[name] += other.repaired[name];
    }
    const room = NAMED_MAX_COUNT - this.differences.length;
    this.differences.push(...other.differences.slice(0, Math.max(0, room)));
    this.#segmentCount += other.#segmentCount;
    this.#bytes += other.#bytes;
    this.#digest = addDigests(this.#digest, other.#digest);
    this.#recordCount += other.#recordCount;
    this.#recordDigest = addDigests(this.#recordDigest, other.#recordDigest);
  }

  sums(): CopySums {
    return {
      segmentCount: this.#segmentCount,
      bytes: this.#bytes,
      digest: formatDigest(this.#digest),
      recordCount: this.#recordCount,
      recordDigest: formatDigest(this.#recordDigest),
    };
  }
}

export function isSameSums(a: CopySums, b: CopySums): boolean {
  return (
    a.segmentCount === b.segmentCount &&
    a.digest === b.digest &&
    a.recordCount === b.recordCount &&
    a.recordDigest === b.recordDigest
  );
}
