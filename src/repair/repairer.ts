/**
 * Restores placement after the ring changed: every file gets its homes, every resident segment its
 * R owners, copied from peer to peer. The under store is never read for it.
 *
 * Each peer walks its own catalogue, a page at a time (see `repair-page.ts`); files that could not
 * be finished, and those that others handed over, are looked at alone. A ring that changes
 * meanwhile starts the walk anew. Files of running jobs are left to the job: its next pass
 * restores them and counts what it did.
 */
import { sleep, type Clock } from '../base/clock.ts';
import { toRingloadError } from '../base/errors.ts';
import type { Epoch } from '../base/ids.ts';
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';
import { expectedCopies } from './expected-copies.ts';
import { repairPage, type PageOptions } from './repair-page.ts';
import { RepairProgress, type RepairWork } from './repair-progress.ts';

export interface RepairerOptions extends PageOptions {
  readonly clock: Clock;
  /** Quiet time after a change of the ring before a round begins. */
  readonly settleDelayMs: number;
}

export interface RepairStatus extends RepairWork {
  /** Epoch that the last walk was for; undefined before the first. */
  readonly epoch: Epoch | undefined;
  /** Nothing runs, waits or is to be tried again: placement was in order when last looked at. */
  readonly idle: boolean;
  /** Grows whenever there is something to do: equal twice and idle twice means idle between. */
  readonly requestCount: number;
  /** Segments that nobody held in the last walk: read-through will bring them back. */
  readonly missingSegmentCount: number;
  readonly handedOverFileCount: number;
}

const PAGE_LIMIT = 256;
/** Files to look at that are remembered one by one; more than that need a walk. */
const PATHS_MAX_COUNT = 10_000;
/** Between two attempts at what could not be finished; doubled each time. */
const RETRY_DELAY_MIN_MS = 1000;
const RETRY_DELAY_MAX_MS = 15_000;

export class Repairer {
  readonly #options: RepairerOptions;
  readonly #stop = new AbortController();
  /** The whole catalogue is to be walked. */
  #isWalkWanted = false;
  /** Files to look at, when no walk is wanted. */
  readonly #paths = new Set<string>();
  #pause: AbortController | undefined;
  #running = false;
  #requestCount = 0;
  #walkedEpoch: Epoch | undefined;
  readonly #progress = new RepairProgress();
  #missingSegmentCount = 0;
  #handedOverFileCount = 0;

  constructor(options: RepairerOptions) {
    this.#options = options;
  }

  get status(): RepairStatus {
    return {
      epoch: this.#walkedEpoch,
      idle: !this.#running && !this.#isWanted(),
      requestCount: this.#requestCount,
      ...this.#progress.work(this.#options.clock.nowMs()),
      missingSegmentCount: this.#missingSegmentCount,
      handedOverFileCount: this.#handedOverFileCount,
    };
  }

  /**
   * Something is to be looked at again.
   * @param paths files that were handed over to this peer; absent after a change of the ring or
   *   the end of a job: everything.
   */
  request(paths?: Iterable<string>): void {
    this.#requestCount += 1;
    if (paths === undefined) this.#isWalkWanted = true;
    else for (const path of paths) this.#remember(path);
    this.#pause?.abort();
    if (!this.#running && !this.#stop.signal.aborted) void this.#run();
  }

  close(): void {
    this.#stop.abort(new Error('this peer is shutting down'));
  }

  #isWanted(): boolean {
    return this.#isWalkWanted || this.#paths.size > 0;
  }

  #remember(path: string): void {
    this.#paths.add(path);
    if (this.#paths.size <= PATHS_MAX_COUNT) return;
    this.#paths.clear();
    this.#isWalkWanted = true;
  }

  async #run(): Promise<void> {
    const { clock, settleDelayMs, logger } = this.#options;
    const { signal } = this.#stop;
    this.#running = true;
    this.#progress.begin(clock.nowMs());
    let retryDelayMs = RETRY_DELAY_MIN_MS;
    try {
      while (this.#isWanted()) {
        await sleep(clock, settleDelayMs, signal);
        if (await this.#tryRound()) {
          retryDelayMs = RETRY_DELAY_MIN_MS;
        } else {
          await this.#rest(retryDelayMs);
          retryDelayMs = Math.min(RETRY_DELAY_MAX_MS, 2 * retryDelayMs);
        }
      }
      this.#progress.end(clock.nowMs());
      logger.debug('placement is in order', {
        epoch: this.#walkedEpoch,
        copied: this.#progress.work(clock.nowMs()).movedSegments,
        missing: this.#missingSegmentCount,
      });
    } catch (thrown) {
      if (!signal.aborted)
        logger.error('repair ended', { reason: toRingloadError(thrown).message });
    } finally {
      this.#running = false;
    }
  }

  /** Ends early when there is something new to do. */
  async #rest(delayMs: number): Promise<void> {
    const { signal } = this.#stop;
    this.#pause = new AbortController();
    try {
      await sleep(this.#options.clock, delayMs, AbortSignal.any([signal, this.#pause.signal]));
    } catch {
      signal.throwIfAborted();
    } finally {
      this.#pause = undefined;
    }
  }

  /** False when something has to be tried again after a while. */
  async #tryRound(): Promise<boolean> {
    const { placement, logger } = this.#options;
    const { epoch } = placement();
    const isWalk = this.#isWalkWanted || this.#walkedEpoch !== epoch;
    const paths = [...this.#paths];
    this.#paths.clear();
    this.#isWalkWanted = false;
    try {
      const unfinished = isWalk ? await this.#walk(epoch) : await this.#look(paths, epoch);
      for (const path of unfinished) this.#remember(path);
      if (unfinished.length === 0) return true;
      logger.debug('placement is not in order yet', { epoch, files: unfinished.length });
      return false;
    } catch (thrown) {
      this.#stop.signal.throwIfAborted();
      const { code, message } = toRingloadError(thrown);
      logger.warn('repair round not finished', { code, reason: message });
      this.#isWalkWanted = true;
      return false;
    }
  }

  /** The whole catalogue. */
  async #walk(epoch: Epoch): Promise<string[]> {
    const { catalog } = this.#options;
    const unfinished: string[] = [];
    this.#missingSegmentCount = 0;
    this.#progress.startRound(await catalog.count());
    // Why not else: what the last change of the ring moved has moved, or there was none.
    if (this.#walkedEpoch !== undefined && this.#walkedEpoch !== epoch) this.#forecast(epoch);
    for await (const page of pagesOf(catalog)) {
      if (!(await this.#repair(page, epoch, unfinished))) return [];
    }
    this.#walkedEpoch = epoch;
    return unfinished;
  }

  /** A few files. */
  async #look(paths: readonly string[], epoch: Epoch): Promise<string[]> {
    const { catalog } = this.#options;
    const unfinished: string[] = [];
    this.#progress.startRound(paths.length);
    for (let at = 0; at < paths.length; at += PAGE_LIMIT) {
      const part = paths.slice(at, at + PAGE_LIMIT);
      const found = await Promise.all(part.map((path) => catalog.get(path)));
      const page = found.filter((record) => record !== undefined);
      if (!(await this.#repair(page, epoch, unfinished))) return [];
    }
    return unfinished;
  }

  /** False when the ring is another one by now: everything has to be walked again. */
  async #repair(page: readonly FileRecord[], epoch: Epoch, unfinished: string[]): Promise<boolean> {
    const { signal } = this.#stop;
    signal.throwIfAborted();
    const outcome = await repairPage(page, this.#options, this.#progress, signal);
    this.#progress.pass(page.length);
    this.#missingSegmentCount += outcome.missingCount;
    this.#handedOverFileCount += outcome.handedOverCount;
    // Why not one by one beyond that: so many take a walk anyway.
    if (unfinished.length <= PATHS_MAX_COUNT) unfinished.push(...outcome.unfinished);
    if (this.#options.placement().epoch === epoch) return true;
    this.#isWalkWanted = true;
    return false;
  }

  /** Beside the walk, which does not wait for it: what the ring says that has to be moved. */
  #forecast(epoch: Epoch): void {
    const { catalog, placement, self, clock, logger } = this.#options;
    const { signal } = this.#stop;
    const survey = async (): Promise<void> => {
      for await (const page of pagesOf(catalog)) {
        if (placement().epoch !== epoch) return;
        for (const record of page) {
          this.#progress.expect(expectedCopies(record, placement(), self));
        }
        // Why: a survey of a large catalogue is computing alone, and others want their turn.
        await sleep(clock, 0, signal);
      }
    };
    survey().catch((thrown: unknown) => {
      if (signal.aborted) return;
      logger.debug('no forecast of repair', { reason: toRingloadError(thrown).message });
    });
  }
}

async function* pagesOf(catalog: FileCatalog): AsyncGenerator<readonly FileRecord[]> {
  for (let after: string | undefined; ;) {
    const request = { root: '', limit: PAGE_LIMIT, ...(after !== undefined && { after }) };
    const page = await catalog.scan(request);
    if (page.length > 0) yield page;
    if (page.length < PAGE_LIMIT) return;
    after = page.at(-1)?.path;
  }
}
