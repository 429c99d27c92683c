/**
 * Sums that can be put together: the CRC of pieces joined, from the CRCs of the pieces. The first
 * is carried over the second's length as a linear map over GF(2), as in zlib's crc32_combine.
 *
 * A map is made of as many columns as the sum has bits; carrying over n bytes applies one map for
 * each bit of n, so the length of the piece hardly matters.
 */

/** Checksums of whole objects that under stores keep and that combine. */
export const COMBINABLE_SUMS = ['crc32c', 'crc32', 'crc64nvme'] as const;
export type CombinableSum = (typeof COMBINABLE_SUMS)[number];

const SHAPES: Readonly<Record<CombinableSum, { bits: number; polynomial: bigint }>> = {
  crc32c: { bits: 32, polynomial: 0x82f6_3b78n },
  crc32: { bits: 32, polynomial: 0xedb8_8320n },
  crc64nvme: { bits: 64, polynomial: 0x9a6c_9329_ac4b_c9b5n },
};

/** Lengths stay below 2^53. */
const LENGTH_BITS = 53;

type LinearMap = readonly bigint[];
const powers = new Map<CombinableSum, readonly LinearMap[]>();

/** What `sum` becomes when `lengthBytes` bytes follow whose own sum is to be added by XOR. */
export function carrySum(algorithm: CombinableSum, sum: bigint, lengthBytes: number): bigint {
  const maps = powersOf(algorithm);
  let carried = sum;
  for (let power = 0, rest = lengthBytes; rest > 0; power++, rest = Math.floor(rest / 2)) {
    const map = maps[power];
    if (rest % 2 === 1 && map) carried = apply(map, carried);
  }
  return carried;
}

export function formatSum(algorithm: CombinableSum, sum: bigint): string {
  return sum.toString(16).padStart(SHAPES[algorithm].bits / 4, '0');
}

/** Map k: what 2^k zero bytes do. Made when an algorithm is first met. */
function powersOf(algorithm: CombinableSum): readonly LinearMap[] {
  const known = powers.get(algorithm);
  if (known) return known;
  const { bits, polynomial } = SHAPES[algorithm];
  let map: LinearMap = Array.from({ length: bits }, (_unused, bit) =>
    bit === 0 ? polynomial : 1n << BigInt(bit - 1),
  );
  for (let doubling = 0; doubling < 3; doubling++) map = square(map);
  const made = [map];
  while (made.length < LENGTH_BITS) made.push((map = square(map)));
  powers.set(algorithm, made);
  return made;
}

function apply(map: LinearMap, vector: bigint): bigint {
  let sum = 0n;
  for (let bit = 0, rest = vector; rest !== 0n; bit++, rest >>= 1n) {
    if (rest & 1n) sum ^= map[bit] ?? 0n;
  }
  return sum;
}

function square(map: LinearMap): LinearMap {
  return map.map((image) => apply(map, image));
}
