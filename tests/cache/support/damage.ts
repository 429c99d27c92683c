/** Damages cache files behind the store's back, as a disk might. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { SegmentKey, SegmentStore } from '../../../src/cache/segment-store.ts';
import { loadBytes } from './fixtures.ts';

/** Flips one bit of a byte of a resident segment in its region file. */
export async function flipStoredByte(target: {
  store: SegmentStore;
  folder: string;
  key: SegmentKey;
  position: number;
}): Promise<void> {
  const bytes = await loadBytes(target.store, target.key);
  if (!bytes) throw new Error('the segment to damage is resident');
  for (const name of await readdir(target.folder)) {
    if (!name.endsWith('.dat')) continue;
    const path = join(target.folder, name);
    const content = await readFile(path);
    const at = content.indexOf(bytes);
    if (at < 0) continue;
    await flipByte(path, at + target.position);
    return;
  }
  throw new Error('the segment to damage lies in a region file');
}

export async function flipByte(path: string, position: number): Promise<void> {
  const content = await readFile(path);
  content[position] = (content[position] ?? 0) ^ 0x10;
  await writeFile(path, content);
}
