/** A segment as it lies in a region file, behind bytes of others. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';
import { tempFolder } from '../../support/temp-folder.ts';

/** Of a checksum. */
export const BLOCK = 64 * 1024;
/** Where the segment lies in its file. */
export const OFFSET = 3 * BLOCK;

export interface SegmentFile extends AsyncDisposable {
  readonly path: string;
  readonly bytes: Buffer;
  readonly blockCrc32c: Uint32Array;
}

/** No two blocks are alike. */
export async function segmentFile(name: string, lengthBytes: number): Promise<SegmentFile> {
  const folder = await tempFolder(name);
  const path = join(folder.path, 'region');
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at++) bytes[at] = (at * 31 + (at >> 11) * 7) & 255;
  await writeFile(path, Buffer.concat([Buffer.alloc(OFFSET), bytes]));
  const blockCrc32c = Uint32Array.from({ length: Math.ceil(lengthBytes / BLOCK) }, (_, block) =>
    crc32c(bytes.subarray(block * BLOCK, (block + 1) * BLOCK)),
  );
  return { path, bytes, blockCrc32c, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}
