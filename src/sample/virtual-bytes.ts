/**
 * Contents that need no storage: byte i of (key, version) is a function of the three.
 *
 * An object is a row of 256 KiB blocks, each a window into one shared pseudo-random pattern; where
 * the window starts follows from key, version and block number. Serving is handing out views of
 * the pattern, so it costs no work per byte, and any range of a 50 TB object can be computed
 * alone. Two given blocks are equal with a probability of one in four million.
 */
const BLOCK_BYTES = 256 * 1024;
const START_COUNT = 4 * 1024 * 1024;

let sharedPattern: Uint8Array | undefined;

/** Yields the bytes in pieces of at most 256 KiB: views of shared memory, never to be written to. */
export function* virtualBytes(
  key: string,
  version: number,
  offset: number,
  length: number,
): Generator<Uint8Array> {
  const pattern = (sharedPattern ??= createPattern());
  const seed = hashText(key, Math.imul(version, 0x9e3779b1));
  const end = offset + length;
  for (let position = offset; position < end;) {
    // Division and not a shift: positions go far beyond 32 bits.
    const block = Math.floor(position / BLOCK_BYTES);
    const blockStart = block * BLOCK_BYTES;
    const windowStart = startOfWindow(seed, block);
    const from = position - blockStart;
    const to = Math.min(BLOCK_BYTES, end - blockStart);
    yield pattern.subarray(windowStart + from, windowStart + to);
    position = blockStart + to;
  }
}

function startOfWindow(seed: number, block: number): number {
  const high = Math.floor(block / 0x1_0000_0000);
  return mix(mix(seed ^ (block >>> 0)) ^ Math.imul(high + 1, 0x85ebca6b)) % START_COUNT;
}

/** xorshift32 words; quick, and without visible repetition over a few megabytes. */
function createPattern(): Uint8Array {
  const words = new Uint32Array((START_COUNT + BLOCK_BYTES) / 4);
  let state = 0x2545f491;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer);
}

/** FNV-1a over UTF-16 units. */
function hashText(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** Finalizer of MurmurHash3 (Austin Appleby, public domain). */
function mix(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
