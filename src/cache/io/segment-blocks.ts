/** Reads blocks of a stored segment and checks each of them: the only way out for cached bytes. */
import type { ChunkPool } from '../chunk-pool.ts';
import type { Crc32c } from '../crc32c.ts';
import type { Region } from '../region.ts';
import { CHECKSUM_BLOCK_BYTES } from '../segment-store.ts';
import type { CacheDirectory } from './cache-directory.ts';

export interface StoredSegment {
  readonly directory: CacheDirectory;
  readonly region: Region;
  /** Where the segment starts in the region. */
  readonly offset: number;
  readonly lengthBytes: number;
  readonly blockCrc32c: Uint32Array;
}

/**
 * The blocks that cover `[start, start + READ_CHUNK_BYTES)` or less, `start` being a multiple of
 * the block size; undefined when one of them is damaged. @throws cache_io
 */
export async function readBlocks(
  segment: StoredSegment,
  start: number,
  end: number,
  { crc32c, chunks }: { readonly crc32c: Crc32c; readonly chunks: ChunkPool },
): Promise<Uint8Array | undefined> {
  const blocksEnd = Math.ceil(end / CHECKSUM_BLOCK_BYTES) * CHECKSUM_BLOCK_BYTES;
  const length = Math.min(blocksEnd, segment.lengthBytes) - start;
  const bytes = chunks.take(length);
  const { directory, region } = segment;
  const isWhole = await directory.attempt(`read region ${region.id}`, () =>
    directory.files.readData(region, bytes, segment.offset + start),
  );
  if (!isWhole) return undefined;
  const firstBlock = start / CHECKSUM_BLOCK_BYTES;
  for (let at = 0; at < length; at += CHECKSUM_BLOCK_BYTES) {
    const expected = segment.blockCrc32c[firstBlock + at / CHECKSUM_BLOCK_BYTES];
    if (crc32c(bytes.subarray(at, at + CHECKSUM_BLOCK_BYTES)) !== expected) return undefined;
  }
  return bytes;
}
