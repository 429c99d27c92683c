/**
 * Compares a file of several segments with the checksum that the under store has of all of it,
 * without reading anything a second time: the sums of the segments, as they were computed while
 * they streamed in, are carried to their places and added.
 *
 * Pure. Adding is by XOR and does not depend on order; each segment is to be added once.
 */
import { carrySum, type CombinableSum } from '../base/crc-combine.ts';
import type { ObjectChecksum } from '../ufs/under-store.ts';

export class OriginCheck {
  readonly #expected: bigint;
  readonly #sizeBytes: number;
  readonly algorithm: CombinableSum;
  #sum = 0n;
  #bytes = 0;

  constructor(expected: ObjectChecksum, sizeBytes: number) {
    this.algorithm = expected.algorithm;
    this.#expected = BigInt(`0x${expected.value}`);
    this.#sizeBytes = sizeBytes;
  }

  /** @param sum of the segment, in hex digits. */
  add(offset: number, lengthBytes: number, sum: string): void {
    const bytesAfter = this.#sizeBytes - offset - lengthBytes;
    this.#sum ^= carrySum(this.algorithm, BigInt(`0x${sum}`), bytesAfter);
    this.#bytes += lengthBytes;
  }

  /** `unknown` while the sum of a segment is missing: nobody knows that of a resident one. */
  verdict(): 'match' | 'mismatch' | 'unknown' {
    if (this.#bytes !== this.#sizeBytes) return 'unknown';
    return this.#sum === this.#expected ? 'match' : 'mismatch';
  }

  /** Everything is fetched anew. */
  reset(): void {
    this.#sum = 0n;
    this.#bytes = 0;
  }
}
