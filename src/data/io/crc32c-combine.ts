/**
 * CRC32C of two pieces joined, from the checksums of the pieces: the second is not read again, and
 * the first is carried over the second's length as a linear map over GF(2), as in zlib's
 * crc32_combine.
 */

/** Castagnoli, reflected. */
const POLYNOMIAL = 0x82f63b78;
const BITS = 32;

/** Row k: what 2^k zero bytes do to a CRC, as the images of its 32 single bits. */
const zeroBytes = powersOfZeroByte(BITS);

/** @param lengthBytes of the second piece, below 2^32. */
export function combineCrc32c(first: number, second: number, lengthBytes: number): number {
  let carried = first;
  for (let power = 0, rest = lengthBytes; rest > 0; power++, rest = Math.floor(rest / 2)) {
    const map = zeroBytes[power];
    if (rest % 2 === 1 && map) carried = apply(map, carried);
  }
  return (carried ^ second) >>> 0;
}

function apply(map: Uint32Array, vector: number): number {
  let sum = 0;
  for (let bit = 0, rest = vector; rest !== 0; bit++, rest >>>= 1) {
    if (rest & 1) sum ^= map[bit] ?? 0;
  }
  return sum >>> 0;
}

function powersOfZeroByte(count: number): Uint32Array[] {
  const zeroBit = new Uint32Array(BITS);
  zeroBit[0] = POLYNOMIAL;
  for (let bit = 1; bit < BITS; bit++) zeroBit[bit] = 2 ** (bit - 1);
  let map: Uint32Array = zeroBit;
  for (let doubling = 0; doubling < 3; doubling++) map = square(map);
  const powers: Uint32Array[] = [map];
  while (powers.length < count) powers.push((map = square(map)));
  return powers;
}

function square(map: Uint32Array): Uint32Array {
  return map.map((image) => apply(map, image));
}
