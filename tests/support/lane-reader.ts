/**
 * Ranges read the way of lanes: real threads receive them into a file, and the file is read. What
 * lanes do not do is read as a stream, as the data plane does it.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';
import { RingloadError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { CHECKSUM_BLOCK_BYTES } from '../../src/cache/segment-store.ts';
import { BandwidthBuckets } from '../../src/data/bandwidth-buckets.ts';
import { DemandCount } from '../../src/data/demand-count.ts';
import { ExtentMover } from '../../src/data/io/lanes/extent-mover.ts';
import { LaneThreads } from '../../src/data/io/lanes/lane-threads.ts';
import type { RangeRequest, UnderStore } from '../../src/ufs/under-store.ts';
import { tempFolder } from './temp-folder.ts';

const DIRECT_MIN_BYTES = 64 * 1024;

/**
 * By their lanes for each endpoint. They outlive the reader, since a thread takes as long to start
 * as a hundred reads, and an idle one keeps no process alive.
 */
const shared = new Map<number, LaneThreads>();

function threadsOf(laneMaxCount: number): LaneThreads {
  const threads =
    shared.get(laneMaxCount) ??
    new LaneThreads({
      threadCount: 1,
      directIo: 'auto',
      laneMaxCount,
      socketMaxCount: { readers: 64, loads: 64 },
      openFileMaxCount: 64,
      bandwidth: new BandwidthBuckets().memory,
      demands: new DemandCount().memory,
      logger: silentLogger,
    });
  shared.set(laneMaxCount, threads);
  return threads;
}

export class LaneReader implements AsyncDisposable {
  /** Ranges that lanes could not receive. */
  fallbackCount = 0;
  receivedBytes = 0;
  readonly #threads: LaneThreads;
  readonly #folder: Awaited<ReturnType<typeof tempFolder>>;
  #fileCount = 0;

  private constructor(folder: Awaited<ReturnType<typeof tempFolder>>, threads: LaneThreads) {
    this.#folder = folder;
    this.#threads = threads;
  }

  static async open(laneMaxCount = 2): Promise<LaneReader> {
    return new LaneReader(await tempFolder('lanes'), threadsOf(laneMaxCount));
  }

  async read(store: UnderStore, request: RangeRequest, signal: AbortSignal): Promise<Buffer> {
    const path = join(this.#folder.path, `file-${++this.#fileCount}`);
    const offset = 3 * DIRECT_MIN_BYTES;
    const { length } = request;
    const isLarge = length >= DIRECT_MIN_BYTES;
    const file = await open(path, 'w+');
    await using _closing = { [Symbol.asyncDispose]: () => file.close() };
    const mover = new ExtentMover({
      target: { path, offset, length, ownsPages: isLarge, isDirect: isLarge },
      run: (order, until) => this.#threads.run(order, until),
      writeFailed: (code, message) => new RingloadError('cache_io', `${code}: ${message}`),
    });
    const isMoved = await store.moveRange?.(request, mover, signal);
    this.receivedBytes += mover.receivedBytes;
    if (isMoved !== true) return await this.#stream(store, request, signal);
    const bytes = Buffer.alloc(length);
    await file.read(bytes, 0, length, offset);
    checkBlocks(bytes, mover);
    return bytes;
  }

  async #stream(store: UnderStore, request: RangeRequest, signal: AbortSignal): Promise<Buffer> {
    this.fallbackCount += 1;
    const chunks: Uint8Array[] = [];
    for await (const chunk of store.readRange(request, signal)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }
}

function checkBlocks(bytes: Buffer, mover: ExtentMover): void {
  const { crc32c: whole, blockCrc32c } = mover.checksums();
  if (crc32c(bytes) !== whole) throw new Error('the checksum of the whole is wrong');
  for (const [index, block] of blockCrc32c.entries()) {
    const start = index * CHECKSUM_BLOCK_BYTES;
    if (crc32c(bytes.subarray(start, start + CHECKSUM_BLOCK_BYTES)) !== block) {
      throw new Error(`the checksum of block ${index} is wrong`);
    }
  }
}
