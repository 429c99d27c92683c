/** What the cache's tests share: folders, a real clock, bytes with their checksums. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { wallClock } from './wall-clock.ts';
import type { JobId } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { SeededRandom } from '../../../src/base/random.ts';
import { nativeCrc32c } from '../../../src/cache/io/native-crc32c.ts';
import {
  openFileSegmentStore,
  type FileSegmentStoreOptions,
} from '../../../src/cache/io/open-file-segment-store.ts';
import type { FileSegmentStore } from '../../../src/cache/io/file-segment-store.ts';
import {
  CHECKSUM_BLOCK_BYTES,
  type SegmentChecksums,
  type SegmentKey,
  type SegmentStore,
} from '../../../src/cache/segment-store.ts';
import type { ExtentWriter } from '../../../src/data/data-plane.ts';

export type TestStore = SegmentStore & ExtentWriter;

export const REGION_BYTES = 256 * 1024;

export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
}

export async function temporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), 'ringload-cache-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export function openSmallStore(
  path: string,
  options: Partial<FileSegmentStoreOptions> & { regionCount?: number } = {},
): Promise<FileSegmentStore> {
  const { regionCount = 4, ...rest } = options;
  return openFileSegmentStore({
    directories: [{ path, capacityBytes: regionCount * REGION_BYTES }],
    regionSizeBytes: REGION_BYTES,
    clock: wallClock,
    logger: silentLogger,
    roomWaitMs: 2_000,
    ...rest,
  });
}

export function keyOf(index: number, path = 's3://bucket/file', version = 'v1'): SegmentKey {
  return { path, version, segmentSizeBytes: 64 * 1024, index };
}

/** Bytes that differ for every seed, at every position. */
export function bytesOf(seed: number, length: number): Uint8Array {
  const random = new SeededRandom(seed * 2_654_435_761 + length);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (; at + 4 <= length; at += 4) view.setUint32(at, random.next() * 2 ** 32, true);
  for (; at < length; at++) bytes[at] = random.next() * 256;
  return bytes;
}

export function checksumsOf(bytes: Uint8Array): SegmentChecksums {
  const blockCrc32c = new Uint32Array(Math.ceil(bytes.length / CHECKSUM_BLOCK_BYTES));
  for (let block = 0; block < blockCrc32c.length; block++) {
    const start = block * CHECKSUM_BLOCK_BYTES;
    blockCrc32c[block] = nativeCrc32c(bytes.subarray(start, start + CHECKSUM_BLOCK_BYTES));
  }
  return { crc32c: nativeCrc32c(bytes), blockCrc32c };
}

export async function storeBytes(
  store: TestStore,
  key: SegmentKey,
  bytes: Uint8Array,
  loadedBy?: JobId,
): Promise<void> {
  const reservation = await store.reserve(key, bytes.length, loadedBy);
  await store.write(reservation.extent, 0, bytes);
  await reservation.commit(checksumsOf(bytes));
}

/** The whole segment, or undefined when it is not resident. */
export async function loadBytes(
  store: SegmentStore,
  key: SegmentKey,
): Promise<Uint8Array | undefined> {
  const reader = await store.open(key);
  if (!reader) return undefined;
  try {
    const chunks: Uint8Array[] = [];
    for await (const chunk of reader.read(0, reader.lengthBytes)) chunks.push(chunk);
    return new Uint8Array(Buffer.concat(chunks));
  } finally {
    reader.close();
  }
}

/** Waits until `condition` holds; fails after ten seconds. */
export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = wallClock.nowMs() + 10_000;
  while (!(await condition())) {
    if (wallClock.nowMs() > deadlineMs) throw new Error('the condition did not come true');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** The seed of a random test: from the environment variable SEED, else the given one. */
export function testSeed(fallback: number): number {
  return Number(process.env['SEED'] ?? fallback);
}
