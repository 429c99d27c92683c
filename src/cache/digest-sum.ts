/**
 * A sum of digests modulo 2^64, each given as 16 hex digits. Why two halves in place of a big
 * integer: a leader adds up hundreds of thousands of digests a second, an inventory millions, and
 * every big integer is an object to be made and collected.
 */
const TWO_32 = 2 ** 32;
const HALF_LENGTH = 8;

export class DigestSum {
  /** Whole numbers below 2^32. */
  #high: number;
  #low: number;

  /** @param digest 16 hex digits, which the sum begins with. */
  constructor(digest = '0000000000000000') {
    this.#high = halfOf(digest, 0);
    this.#low = halfOf(digest, HALF_LENGTH);
  }

  /** @param digest 16 hex digits. */
  add(digest: string): void {
    this.addHalves(halfOf(digest, 0), halfOf(digest, HALF_LENGTH));
  }

  addAll(other: DigestSum): void {
    this.addHalves(other.#high, other.#low);
  }

  clear(): void {
    this.#high = 0;
    this.#low = 0;
  }

  /** 16 lower-case hex digits. */
  toString(): string {
    return hexOf(this.#high) + hexOf(this.#low);
  }

  /** The same as two whole numbers below 2^32. */
  addHalves(high: number, low: number): void {
    const sum = this.#low + low;
    const carry = sum >= TWO_32 ? 1 : 0;
    this.#low = sum % TWO_32;
    this.#high = (this.#high + high + carry) % TWO_32;
  }
}

function halfOf(digest: string, start: number): number {
  return Number.parseInt(digest.slice(start, start + HALF_LENGTH), 16);
}

function hexOf(half: number): string {
  return half.toString(16).padStart(HALF_LENGTH, '0');
}
