/** Damages what a peer has on its disk, as a disk, or a hand, might. */
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Peer } from '../support/peer-process.ts';
import { SEGMENT_BYTES, type Stage } from './stage.ts';

/** The origin's contents are windows into one pattern: only at a block's edge is it the segment. */
const BLOCK_BYTES = 4_096;
const FLIPPED_AT = 1_000;

/** Flips one bit in every copy of the first segment that this peer's disk has; how many it was. */
export async function flipBit(stage: Stage, peer: Peer, key: string): Promise<number> {
  const searched = stage.origin.expectedBytes(key, 0, SEGMENT_BYTES);
  return flipBelow(peer, '.dat', searched, FLIPPED_AT, (at) => at % BLOCK_BYTES === 0);
}

/**
 * Flips one bit in what describes the file's segments in the indexes of the peer's regions; of a
 * stopped peer that takes the segments away.
 */
export async function flipRecords(peer: Peer, key: string): Promise<number> {
  return flipBelow(peer, '.idx', Buffer.from(`s3://origin/${key}`), 0, () => true);
}

async function flipBelow(
  peer: Peer,
  suffix: string,
  searched: Buffer,
  offset: number,
  isMeant: (at: number) => boolean,
): Promise<number> {
  const folder = join(peer.dataDir, 'cache');
  let flippedCount = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith(suffix)) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = await readFile(path);
    for (let at = bytes.indexOf(searched); at >= 0; at = bytes.indexOf(searched, at + 1)) {
      if (!isMeant(at)) continue;
      const position = at + offset;
      const file = await open(path, 'r+');
      await file.write(Buffer.of((bytes[position] ?? 0) ^ 1), 0, 1, position);
      await file.close();
      flippedCount += 1;
    }
  }
  return flippedCount;
}
