/**
 * CRC32C (Castagnoli) as the cache's core sees it: injected, because the fast one is native code.
 * `crc(b, crc(a))` is the checksum of `a` followed by `b`.
 */
export type Crc32c = (bytes: Uint8Array, initial?: number) => number;
