/** Moves one range into one reserved extent, over as many answers as it takes. */
import type { CombinableSum } from '../../../base/crc-combine.ts';
import { RingloadError } from '../../../base/errors.ts';
import { CHECKSUM_BLOCK_BYTES, type SegmentChecksums } from '../../../cache/segment-store.ts';
import type {
  AnswerWatch,
  DirectRequest,
  MoveOutcome,
  RangeMover,
} from '../../../ufs/under-store.ts';
import type { BucketShare } from '../../bandwidth-buckets.ts';
import { combineCrc32c } from '../crc32c-combine.ts';
import type { BlockRun, LaneReport, LaneTarget, UnnumberedOrder } from './lane-orders.ts';

export interface MoverParts {
  readonly target: LaneTarget;
  readonly buckets?: BucketShare;
  /** A second checksum wanted of the range. */
  readonly sum?: CombinableSum;
  readonly run: (order: UnnumberedOrder, signal: AbortSignal) => Promise<LaneReport>;
  /** What a failed write means for the cache directory, as an error. */
  readonly writeFailed: (systemCode: string, message: string) => RingloadError;
}

export class ExtentMover implements RangeMover {
  readonly #parts: MoverParts;
  readonly #blocks: Uint32Array;
  #receivedBytes = 0;
  #sum: string | undefined;

  constructor(parts: MoverParts) {
    this.#parts = parts;
    this.#blocks = new Uint32Array(Math.ceil(parts.target.length / CHECKSUM_BLOCK_BYTES));
  }

  /** Of all answers, kept or not: what amplification counts. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  async move(
    request: DirectRequest,
    start: number,
    watch: AnswerWatch,
    signal: AbortSignal,
  ): Promise<MoveOutcome> {
    const { target, buckets, sum, run } = this.#parts;
    const order = {
      ...{ request, start, watch, target },
      ...(buckets && { buckets }),
      ...(sum && { sum }),
    };
    const report = await run(order, signal);
    this.#receivedBytes += report.receivedBytes;
    switch (report.kind) {
      case 'cancelled':
        throw signal.reason instanceof RingloadError
          ? signal.reason
          : new RingloadError('cancelled', 'the fill was given up');
      case 'unwritten':
        throw this.#parts.writeFailed(report.systemCode, report.message);
      case 'moved':
        this.#keep(report.blocks);
        if (report.sum?.algorithm === sum) this.#sum = report.sum?.value;
        return report;
      case 'broken':
        this.#keep(report.blocks);
        return report;
      case 'answered':
      case 'unfit':
        return report;
    }
  }

  /** The second checksum that was wanted, in hex digits. */
  get sum(): string | undefined {
    return this.#sum;
  }

  crc32c(): number {
    return this.checksums().crc32c;
  }

  checksums(): SegmentChecksums {
    const { length } = this.#parts.target;
    let whole = 0;
    for (const [index, block] of this.#blocks.entries()) {
      const rest = length - index * CHECKSUM_BLOCK_BYTES;
      whole = combineCrc32c(whole, block, Math.min(CHECKSUM_BLOCK_BYTES, rest));
    }
    return { crc32c: whole, blockCrc32c: this.#blocks };
  }

  #keep({ first, crc32c }: BlockRun): void {
    this.#blocks.set(crc32c, first);
  }
}
