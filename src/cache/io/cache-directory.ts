/**
 * One cache directory in service: its regions and files, who uses which region, and how many
 * errors it may still make before it is taken out of service, for good until the next start.
 *
 * Invariant: a region is reset only when nobody has pinned it.
 */
import { randomInt } from 'node:crypto';

import type { Clock } from '../../base/clock.ts';
import { RingloadError } from '../../base/errors.ts';
import { failpoint } from '../../base/failpoint.ts';
import { invariant } from '../../base/invariant.ts';
import type { Logger } from '../../base/logger.ts';
import type { Region } from '../region.ts';
import type { RegionSet } from '../region-set.ts';
import type { SegmentTable } from '../segment-table.ts';
import { cacheIoError, isDiskFull, isShortOfFiles } from './cache-io-error.ts';
import { GroupCommit, type CommitRest, type CommitTarget } from './group-commit.ts';
import type { RegionFiles } from './region-files.ts';

/** Errors within this time count together. */
const ERROR_WINDOW_MS = 60_000;

export interface CacheDirectoryParts {
  readonly index: number;
  readonly set: RegionSet;
  readonly files: RegionFiles;
  readonly table: SegmentTable;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly errorMaxCount: number;
  /** Fills that readers wait for: what is loaded ahead lets them go first. */
  readonly demands?: CommitRest['demands'] | undefined;
  /** Called when room may have appeared. */
  readonly onChange: () => void;
}

export class CacheDirectory implements CommitTarget {
  readonly index: number;
  readonly set: RegionSet;
  readonly files: RegionFiles;
  readonly table: SegmentTable;
  readonly commits: GroupCommit;
  readonly logger: Logger;
  state: 'ok' | 'failed' | 'closed' = 'ok';
  /** Bytes handed out so far: directories are filled in proportion to their capacity. */
  reservedBytes = 0;
  readonly #parts: CacheDirectoryParts;
  #errorTimesMs: number[] = [];
  readonly #resets = new Set<Promise<void>>();

  constructor(parts: CacheDirectoryParts) {
    this.#parts = parts;
    this.index = parts.index;
    this.set = parts.set;
    this.files = parts.files;
    this.table = parts.table;
    this.logger = parts.logger;
    const { clock, demands } = parts;
    this.commits = new GroupCommit(this, demands && { clock, demands });
  }

  /** What can be kept: one region stays empty to compact into. */
  get capacityBytes(): number {
    const { regions, abandonedCount } = this.set;
    return Math.max(0, regions.length - abandonedCount - 1) * (regions[0]?.sizeBytes ?? 0);
  }

  /** Runs a file operation, translates its error and counts it. @throws cache_io */
  async attempt<T>(action: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.noteFailure(action, error);
    }
  }

  /** Counts a failed file operation. @returns it as `cache_io`. */
  noteFailure(action: string, error: unknown): RingloadError {
    const translated = cacheIoError(`${action} of ${this.files.directoryPath}`, error);
    this.#countError(translated);
    return translated;
  }

  /** @throws cache_io when the directory is out of service. */
  checkServing(): void {
    if (this.state !== 'ok') {
      throw new RingloadError('cache_io', `use ${this.files.directoryPath}: it is ${this.state}`);
    }
  }

  pin(region: Region): void {
    region.pinCount++;
  }

  /** The last one to go resets a drained region. */
  unpin(region: Region): void {
    invariant(region.pinCount > 0, `region ${region.id} is pinned`);
    region.pinCount--;
    if (region.pinCount > 0) return;
    if (region.state === 'draining' && this.state === 'ok') {
      const reset = this.#reset(region).finally(() => this.#resets.delete(reset));
      this.#resets.add(reset);
    }
    this.#parts.onChange();
  }

  /**
   * Opens the next free region, sealing the one that was open; on a disk that is too small for it
   * there may be no open region afterwards. @throws cache_io
   */
  async openNextRegion(): Promise<void> {
    const region = this.set.openNext();
    region.sequence = this.set.nextSequence();
    region.salt = randomInt(2 ** 32);
    // Why the pin: nobody may choose a region whose files are being made.
    this.pin(region);
    try {
      await this.attempt(`open region ${region.id}`, async () => {
        await this.files.create(region);
        failpoint('cache.region.opened');
        await this.files.writeHeader(region);
        failpoint('cache.region.sealed');
      });
    } catch (error) {
      const isFull = error instanceof RingloadError && isDiskFull(error);
      if ((isFull && region.isAllocated) || isShortOfFiles(error)) {
        // What is missing are a few bytes, or a descriptor, that others will free again.
        this.set.takeBack(region);
        throw error;
      }
      this.abandon(region);
      if (!isFull) throw error;
      // The disk is smaller than the capacity: go on with the regions that have their files.
      for (const free of this.set.free) if (!free.isAllocated) this.abandon(free);
    } finally {
      this.unpin(region);
    }
  }

  /** Takes an emptied region out of use; it is free again once nobody reads it. */
  async retire(region: Region): Promise<void> {
    this.set.drain(region);
    failpoint('cache.region.emptied');
    if (region.pinCount === 0) await this.#reset(region);
  }

  /** Gives a region up until the next start, after a sync failed: what it holds is still read. */
  abandon(region: Region): void {
    if (region.state === 'abandoned') return;
    this.set.abandon(region);
    this.logger.warn('gave up a cache region', { region: region.id });
    this.#parts.onChange();
  }

  /** Takes the directory out of service and forgets what it holds. */
  fail(reason: string): void {
    if (this.state !== 'ok') return;
    this.state = 'failed';
    let lostCount = 0;
    for (const region of this.set.regions) lostCount += this.table.purgeRegion(region.slot);
    this.logger.error('took a cache directory out of service', { reason, lostCount });
    this.#parts.onChange();
  }

  /** Lets what is under way finish, then refuses everything. */
  async close(): Promise<void> {
    await this.commits.idle();
    if (this.state === 'ok') this.state = 'closed';
    await this.commits.idle();
    await Promise.all(this.#resets);
  }

  async #reset(region: Region): Promise<void> {
    try {
      await this.attempt(`reset region ${region.id}`, () => this.files.invalidate(region));
    } catch {
      this.abandon(region);
      return;
    }
    region.clear();
    this.set.release(region);
    this.#parts.onChange();
  }

  #countError(error: RingloadError): void {
    this.logger.warn('cache directory error', { reason: error.message });
    if (isDiskFull(error) || isShortOfFiles(error)) return;
    const nowMs = this.#parts.clock.nowMs();
    this.#errorTimesMs = this.#errorTimesMs.filter((atMs) => nowMs - atMs < ERROR_WINDOW_MS);
    this.#errorTimesMs.push(nowMs);
    if (this.#errorTimesMs.length >= this.#parts.errorMaxCount) this.fail(error.message);
  }
}
