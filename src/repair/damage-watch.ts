/**
 * Has copies that were dropped for damage made anew at once: the first home of their file is asked
 * to look at it, as after a change of the ring, so its repair copies them from the other owners.
 *
 * What could not be asked, or is still missing after a while, is asked again a few times; then the
 * next change of the ring, job or read has to bring it back.
 */
import { sleep, type Clock } from '../base/clock.ts';
import { toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import { segmentName, type SegmentKey } from '../cache/segment-store.ts';
import type { RepairPlacement } from './repair-network.ts';

export interface DamageWatchOptions {
  readonly placement: () => RepairPlacement;
  /** Has a peer look at files that it is the first home of. */
  readonly lookAt: (home: PeerId, paths: readonly string[]) => Promise<void>;
  readonly isHere: (key: SegmentKey) => Promise<boolean>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Segments that are remembered; a disk that loses more at once is not mended one by one. */
const KEYS_MAX_COUNT = 1000;
/** More homes than any file has. */
const HOMES_MAX_COUNT = 64;
const ATTEMPT_MAX_COUNT = 6;
const DELAY_MIN_MS = 500;
const DELAY_MAX_MS = 15_000;

export class DamageWatch {
  readonly #options: DamageWatchOptions;
  readonly #stop = new AbortController();
  /** Attempts by segment. */
  readonly #lost = new Map<string, { readonly key: SegmentKey; attemptCount: number }>();
  #running = false;

  constructor(options: DamageWatchOptions) {
    this.#options = options;
  }

  dropped(key: SegmentKey): void {
    if (this.#lost.size >= KEYS_MAX_COUNT || this.#stop.signal.aborted) return;
    this.#lost.set(segmentName(key), { key, attemptCount: 0 });
    if (!this.#running) void this.#run();
  }

  close(): void {
    this.#stop.abort(new Error('this peer is shutting down'));
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#options;
    this.#running = true;
    try {
      for (let delayMs = DELAY_MIN_MS; this.#lost.size > 0;) {
        await this.#ask();
        await sleep(clock, delayMs, this.#stop.signal);
        delayMs = Math.min(DELAY_MAX_MS, 2 * delayMs);
        await this.#forget();
      }
    } catch (thrown) {
      if (this.#stop.signal.aborted) return;
      logger.warn('damaged segments are not looked after', {
        reason: toRingloadError(thrown).message,
      });
    } finally {
      this.#running = false;
    }
  }

  /** What lies here again, belongs to others by now, or was tried often enough. */
  async #forget(): Promise<void> {
    const { isHere, logger } = this.#options;
    for (const [name, { key, attemptCount }] of [...this.#lost]) {
      const isBack = await isHere(key);
      if (!isBack && attemptCount < ATTEMPT_MAX_COUNT) continue;
      this.#lost.delete(name);
      const message = isBack ? 'a damaged segment is back' : 'a damaged segment did not come back';
      logger.info(message, { path: key.path, segment: key.index });
    }
  }

  async #ask(): Promise<void> {
    const placement = this.#options.placement();
    const byHome = new Map<PeerId, Set<string>>();
    for (const lost of this.#lost.values()) {
      lost.attemptCount += 1;
      const { path } = lost.key;
      const homes = placement.ownersOf({ path, index: 0, segmented: true }, HOMES_MAX_COUNT);
      const home = homes.find((peer) => placement.isReachable(peer));
      if (home === undefined) continue;
      byHome.set(home, (byHome.get(home) ?? new Set()).add(path));
    }
    for (const [home, paths] of byHome) {
      await this.#options.lookAt(home, [...paths]).catch((thrown: unknown) => {
        const { code } = toRingloadError(thrown);
        this.#options.logger.debug('home not told of damage', { home, code });
      });
    }
  }
}
