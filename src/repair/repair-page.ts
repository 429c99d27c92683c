/**
 * Repairs a page of the catalogue: records first, so that every home knows the files, then their
 * segments.
 *
 * Who is home to a file offers its record to the first reachable home, and that one to all others:
 * whichever of them is out of date learns it by the answer. Only the first home looks where the
 * segments are. Who is no home any more offers the record to all homes, and forgets it when all
 * have it.
 */
import { toRingloadError } from '../base/errors.ts';
import type { JobId, PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';
import { expectedCopies } from './expected-copies.ts';
import { bytesOf, planCopies, segmentCountOf } from './plan-copies.ts';
import type { RepairNetwork, RepairPlacement } from './repair-network.ts';
import type { RepairProgress } from './repair-progress.ts';
import type { JobOrder } from './record-order.ts';
import { takeOver } from './take-over.ts';

export interface PageOptions {
  readonly self: PeerId;
  readonly catalog: FileCatalog;
  readonly network: RepairNetwork;
  readonly placement: () => RepairPlacement;
  /** Whether the job that loaded a file still runs. */
  readonly isJobActive: (job: JobId) => boolean;
  readonly jobOrder: JobOrder;
  /** A free came after the record: nothing is made of it any more. */
  readonly isFreed: (record: FileRecord) => boolean;
  readonly logger: Logger;
}

export interface PageOutcome {
  /** Paths to look at again. */
  readonly unfinished: ReadonlySet<string>;
  /** Segments that nobody who answered holds. */
  readonly missingCount: number;
  readonly handedOverCount: number;
}

/** Segments of one file that are looked at together. */
const SEGMENTS_AT_ONCE = 256;
/** Files whose segments are looked at at a time: repair is to go on, not to be noticed. */
const FILES_AT_ONCE = 4;

/** One file of the page, and what this peer is to it. */
interface PagedFile {
  readonly record: FileRecord;
  readonly role: 'first' | 'home' | 'none';
  /** Who is to know the record, reachable or not. */
  readonly targets: readonly PeerId[];
}

/** @param signal ends it between two steps. */
export async function repairPage(
  records: readonly FileRecord[],
  options: PageOptions,
  progress: RepairProgress,
  signal: AbortSignal,
): Promise<PageOutcome> {
  return new PageRepair(options, progress, signal).run(records);
}

class PageRepair {
  readonly #options: PageOptions;
  readonly #progress: RepairProgress;
  readonly #signal: AbortSignal;
  readonly #ring: RepairPlacement;
  readonly #unfinished = new Set<string>();
  /** Files of which somebody has a newer record: what is known here says nothing. */
  readonly #outdated = new Set<string>();
  #missingCount = 0;
  #handedOverCount = 0;

  constructor(options: PageOptions, progress: RepairProgress, signal: AbortSignal) {
    this.#options = options;
    this.#progress = progress;
    this.#signal = signal;
    this.#ring = options.placement();
  }

  async run(records: readonly FileRecord[]): Promise<PageOutcome> {
    const { isJobActive, isFreed } = this.#options;
    const files = records
      .filter(({ loadedBy }) => loadedBy === undefined || !isJobActive(loadedBy))
      .filter((record) => !isFreed(record))
      .map((record) => this.#place(record));
    await this.#offerRecords(files);
    await this.#repairSegments(files.filter(({ role }) => role === 'first'));
    await this.#forget(files.filter(({ role }) => role === 'none'));
    return {
      unfinished: this.#unfinished,
      missingCount: this.#missingCount,
      handedOverCount: this.#handedOverCount,
    };
  }

  #place(record: FileRecord): PagedFile {
    const { path, replicaCount } = record;
    const homes = this.#ring.ownersOf({ path, index: 0, segmented: true }, replicaCount);
    const { self } = this.#options;
    if (!homes.includes(self)) {
      // A ring without members: the record stays where it is.
      if (homes.length === 0) this.#unfinished.add(path);
      return { record, role: 'none', targets: homes };
    }
    const first = homes.find((home) => home === self || this.#ring.isReachable(home)) ?? self;
    if (first !== self) return { record, role: 'home', targets: [first] };
    return { record, role: 'first', targets: homes.filter((home) => home !== self) };
  }

  /** One request to each peer for the whole page. */
  async #offerRecords(files: readonly PagedFile[]): Promise<void> {
    const offers = new Map<PeerId, FileRecord[]>();
    for (const { record, targets } of files) {
      for (const target of targets) {
        const offered = offers.get(target) ?? [];
        offered.push(record);
        offers.set(target, offered);
      }
    }
    await Promise.all([...offers].map(([peer, offered]) => this.#offer(peer, offered)));
  }

  async #offer(peer: PeerId, records: readonly FileRecord[]): Promise<void> {
    const { network, catalog, jobOrder, isFreed } = this.#options;
    try {
      if (!this.#ring.isReachable(peer)) {
        for (const { path } of records) this.#unfinished.add(path);
        return;
      }
      const newer = await network.handOver(peer, records);
      for (const { path } of newer) {
        this.#outdated.add(path);
        this.#unfinished.add(path);
      }
      await takeOver(catalog, newer, jobOrder, isFreed);
    } catch (thrown) {
      for (const record of records) this.#postpone(record, thrown);
    }
  }

  async #repairSegments(files: readonly PagedFile[]): Promise<void> {
    const waiting = files.values();
    const lane = async (): Promise<void> => {
      for (const { record } of waiting) {
        this.#signal.throwIfAborted();
        if (this.#outdated.has(record.path)) continue;
        try {
          if (!(await this.#repairFile(record))) this.#unfinished.add(record.path);
        } catch (thrown) {
          this.#postpone(record, thrown);
        }
      }
    };
    await Promise.all(Array.from({ length: FILES_AT_ONCE }, lane));
  }

  /** True when every owner has every segment that somebody holds. */
  async #repairFile(record: FileRecord): Promise<boolean> {
    const { network, logger, self } = this.#options;
    this.#progress.look(expectedCopies(record, this.#ring, self));
    let isComplete = true;
    const count = segmentCountOf(record);
    for (let start = 0; start < count; start += SEGMENTS_AT_ONCE) {
      if (!this.#isCurrent()) return false;
      const length = Math.min(SEGMENTS_AT_ONCE, count - start);
      const indexes = Array.from({ length }, (_unused, at) => start + at);
      const plan = await planCopies(record, indexes, this.#ring, network);
      this.#missingCount += plan.missingCount;
      isComplete &&= !plan.isWaiting;
      if (plan.isWaiting) logger.debug('file waits for a peer to answer', { path: record.path });
      for (const order of plan.orders) {
        this.#progress.find({ segments: order.indexes.length, bytes: bytesOf(order) });
      }
      for (const { to, ...order } of plan.orders) {
        this.#signal.throwIfAborted();
        const copiedCount = await network.copy(to, order);
        const share = copiedCount / order.indexes.length;
        this.#progress.move({ segments: copiedCount, bytes: Math.round(bytesOf(order) * share) });
        isComplete &&= copiedCount === order.indexes.length;
      }
    }
    return isComplete;
  }

  /** A record that stays behind would be found by readers when it is out of date. */
  async #forget(files: readonly PagedFile[]): Promise<void> {
    for (const { record } of files) {
      if (this.#unfinished.has(record.path)) continue;
      if (!this.#isCurrent()) return;
      await this.#options.catalog.delete(record.path);
      this.#handedOverCount += 1;
    }
  }

  #isCurrent(): boolean {
    return this.#options.placement().epoch === this.#ring.epoch;
  }

  #postpone({ path }: FileRecord, thrown: unknown): void {
    const { code, message } = toRingloadError(thrown);
    this.#options.logger.debug('file not repaired yet', { code, reason: message });
    this.#unfinished.add(path);
  }
}
