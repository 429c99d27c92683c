/**
 * Restores placement after the ring changed: every file gets its homes, every resident segment its
 * R owners, copied from peer to peer. The under store is never read for it.
 *
 * Each peer walks its own catalogue. A file that it is no longer home to is handed over to those
 * who are; of a file whose first reachable home it is, it looks where the segments are and asks
 * owners that lack one to copy it. One round at a time, a bounded number of copies under way, and
 * a ring that changes meanwhile starts the round anew. Files of running jobs are left to the job:
 * its next pass restores them and counts what it did.
 */
import { sleep, type Clock } from '../base/clock.ts';
import { toRingloadError } from '../base/errors.ts';
import type { Epoch, JobId, PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';
import { planCopies, segmentCountOf } from './plan-copies.ts';
import type { CopyOrder, RepairNetwork, RepairPlacement } from './repair-network.ts';

export interface RepairerOptions {
  readonly self: PeerId;
  readonly catalog: FileCatalog;
  readonly network: RepairNetwork;
  readonly placement: () => RepairPlacement;
  /** Whether the job that loaded a file still runs. */
  readonly isJobActive: (job: JobId) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Quiet time after a change of the ring before a round begins. */
  readonly settleDelayMs: number;
}

export interface RepairStatus {
  /** Epoch that the last complete round was for; undefined before the first. */
  readonly epoch: Epoch | undefined;
  readonly idle: boolean;
  readonly copiedSegmentCount: number;
  /** Segments that no reachable peer held in the last round: read-through will bring them back. */
  readonly missingSegmentCount: number;
  readonly handedOverFileCount: number;
}

const PAGE_LIMIT = 256;
/** Segments of one file that are looked at together. */
const SEGMENTS_AT_ONCE = 256;
const RETRY_DELAY_MS = 2000;

export class Repairer {
  readonly #options: RepairerOptions;
  readonly #stop = new AbortController();
  #wanted = false;
  #running = false;
  #roundEpoch: Epoch | undefined;
  #doneEpoch: Epoch | undefined;
  #copiedSegmentCount = 0;
  #missingSegmentCount = 0;
  #handedOverFileCount = 0;

  constructor(options: RepairerOptions) {
    this.#options = options;
  }

  get status(): RepairStatus {
    return {
      epoch: this.#doneEpoch,
      idle: !this.#running && !this.#wanted,
      copiedSegmentCount: this.#copiedSegmentCount,
      missingSegmentCount: this.#missingSegmentCount,
      handedOverFileCount: this.#handedOverFileCount,
    };
  }

  /** The ring changed, files were handed over to this peer, or a job ended. */
  request(): void {
    this.#wanted = true;
    if (!this.#running) void this.#run();
  }

  close(): void {
    this.#stop.abort(new Error('this peer is shutting down'));
  }

  async #run(): Promise<void> {
    const { clock, settleDelayMs, logger } = this.#options;
    this.#running = true;
    try {
      while (this.#wanted) {
        this.#wanted = false;
        await sleep(clock, settleDelayMs, this.#stop.signal);
        if (!(await this.#round())) {
          this.#wanted = true;
          await sleep(clock, RETRY_DELAY_MS, this.#stop.signal);
        }
      }
    } catch (thrown) {
      const { code, message } = toRingloadError(thrown);
      if (!this.#stop.signal.aborted) logger.warn('repair stopped', { code, reason: message });
    } finally {
      this.#running = false;
    }
  }

  /** True when the whole catalogue was seen under one ring and nothing failed. */
  async #round(): Promise<boolean> {
    const { catalog, placement, logger } = this.#options;
    this.#roundEpoch = placement().epoch;
    this.#missingSegmentCount = 0;
    let complete = true;
    let after: string | undefined;
    for (;;) {
      const page = await catalog.scan({
        root: '',
        limit: PAGE_LIMIT,
        ...(after !== undefined && { after }),
      });
      for (const record of page) {
        this.#stop.signal.throwIfAborted();
        if (placement().epoch !== this.#roundEpoch) return false;
        complete = (await this.#repairFile(record)) && complete;
      }
      after = page.at(-1)?.path;
      if (page.length < PAGE_LIMIT) break;
    }
    if (!complete) return false;
    this.#doneEpoch = this.#roundEpoch;
    logger.debug('placement is in order', {
      epoch: this.#roundEpoch,
      copied: this.#copiedSegmentCount,
      missing: this.#missingSegmentCount,
    });
    return true;
  }

  async #repairFile(record: FileRecord): Promise<boolean> {
    const { self, placement, isJobActive, logger } = this.#options;
    if (record.loadedBy !== undefined && isJobActive(record.loadedBy)) return true;
    const ring = placement();
    const homes = ring.ownersOf(
      { path: record.path, index: 0, segmented: true },
      record.replicaCount,
    );
    try {
      const others = homes.filter((home) => home !== self && ring.isReachable(home));
      if (!homes.includes(self)) return await this.#moveAway(record, homes, others);
      const first = homes.find((home) => home === self || ring.isReachable(home));
      if (first !== self) return true;
      for (const home of others) await this.#options.network.handOver(home, [record]);
      return await this.#repairSegments(record);
    } catch (thrown) {
      const { code, message } = toRingloadError(thrown);
      logger.debug('file not repaired yet', { code, reason: message });
      return false;
    }
  }

  /** A record that stays behind would be found by readers when it is out of date. */
  async #moveAway(
    record: FileRecord,
    homes: readonly PeerId[],
    reachable: readonly PeerId[],
  ): Promise<boolean> {
    for (const home of reachable) await this.#options.network.handOver(home, [record]);
    if (reachable.length < homes.length || homes.length === 0) return false;
    await this.#options.catalog.delete(record.path);
    this.#handedOverFileCount += 1;
    return true;
  }

  async #repairSegments(record: FileRecord): Promise<boolean> {
    let complete = true;
    const count = segmentCountOf(record);
    for (let start = 0; start < count; start += SEGMENTS_AT_ONCE) {
      if (this.#options.placement().epoch !== this.#roundEpoch) return false;
      const indexes = Array.from(
        { length: Math.min(SEGMENTS_AT_ONCE, count - start) },
        (_unused, at) => start + at,
      );
      const { network, placement } = this.#options;
      const plan = await planCopies(record, indexes, placement(), network);
      this.#missingSegmentCount += plan.missingCount;
      complete = (await this.#copy(plan.orders)) && complete;
    }
    return complete;
  }

  async #copy(orders: readonly (CopyOrder & { readonly to: PeerId })[]): Promise<boolean> {
    let complete = true;
    for (const { to, ...order } of orders) {
      const copied = await this.#options.network.copy(to, order);
      this.#copiedSegmentCount += copied;
      complete &&= copied === order.indexes.length;
    }
    return complete;
  }
}
