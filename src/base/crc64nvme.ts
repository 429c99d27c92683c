/**
 * CRC-64/NVME, eight bytes a step over eight tables, in pairs of 32-bit words: JavaScript has no
 * fast 64-bit integers, and no native code for this sum is at hand.
 */

/** Reflected polynomial, low and high word. */
const POLYNOMIAL_LOW = 0xac4bc9b5;
const POLYNOMIAL_HIGH = 0x9a6c9329;
const TABLE_COUNT = 8;
const TABLE_SIZE = 256;

const { low: LOW, high: HIGH } = makeTables();

export class Crc64Nvme {
  #low = 0xffff_ffff;
  #high = 0xffff_ffff;

  update(bytes: Uint8Array): void {
    let low = this.#low;
    let high = this.#high;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const wholeEnd = bytes.length - (bytes.length % 8);
    for (let at = 0; at < wholeEnd; at += 8) {
      low ^= view.getUint32(at, true);
      high ^= view.getUint32(at + 4, true);
      const a = 1792 + (low & 255);
      const b = 1536 + ((low >>> 8) & 255);
      const c = 1280 + ((low >>> 16) & 255);
      const d = 1024 + (low >>> 24);
      const e = 768 + (high & 255);
      const f = 512 + ((high >>> 8) & 255);
      const g = 256 + ((high >>> 16) & 255);
      const h = high >>> 24;
      // The casts stand for look-ups that cannot miss: a default would cost a test for each.
      low = xorOf(LOW, a, b, c, d) ^ xorOf(LOW, e, f, g, h);
      high = xorOf(HIGH, a, b, c, d) ^ xorOf(HIGH, e, f, g, h);
    }
    for (let at = wholeEnd; at < bytes.length; at++) {
      const index = (low ^ view.getUint8(at)) & 255;
      low = (((low >>> 8) | (high << 24)) ^ (LOW[index] as number)) >>> 0;
      high = ((high >>> 8) ^ (HIGH[index] as number)) >>> 0;
    }
    this.#low = low >>> 0;
    this.#high = high >>> 0;
  }

  value(): bigint {
    const low = BigInt((this.#low ^ 0xffff_ffff) >>> 0);
    const high = BigInt((this.#high ^ 0xffff_ffff) >>> 0);
    return (high << 32n) | low;
  }
}

function xorOf(table: Int32Array, a: number, b: number, c: number, d: number): number {
  return (table[a] as number) ^ (table[b] as number) ^ (table[c] as number) ^ (table[d] as number);
}

/** Table k holds what a byte does to the sum when k more bytes follow it. */
function makeTables(): { readonly low: Int32Array; readonly high: Int32Array } {
  const low = new Int32Array(TABLE_COUNT * TABLE_SIZE);
  const high = new Int32Array(TABLE_COUNT * TABLE_SIZE);
  for (let byte = 0; byte < TABLE_SIZE; byte++) {
    let l = byte;
    let h = 0;
    for (let bit = 0; bit < 8; bit++) {
      const isOdd = (l & 1) === 1;
      l = (l >>> 1) | (h << 31);
      h >>>= 1;
      if (isOdd) {
        l ^= POLYNOMIAL_LOW;
        h ^= POLYNOMIAL_HIGH;
      }
    }
    low[byte] = l;
    high[byte] = h;
  }
  for (let at = TABLE_SIZE; at < low.length; at++) {
    const l = low[at - TABLE_SIZE] ?? 0;
    const h = high[at - TABLE_SIZE] ?? 0;
    const index = l & 255;
    low[at] = ((l >>> 8) | (h << 24)) ^ (low[index] ?? 0);
    high[at] = (h >>> 8) ^ (high[index] ?? 0);
  }
  return { low, high };
}
