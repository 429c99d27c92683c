/**
 * Has the segment cache keep to the rules of paths: whenever a rule changes, or this peer's share
 * of the quotas does; and looks now and then for what has been cached for too long.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { toRingloadError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { SegmentStore } from '../cache/segment-store.ts';
import type { RuleBook } from '../cluster/rule-book.ts';
import type { ReplicatedState } from './replicated-state.ts';
import { retentionOf } from './retention-of.ts';

export interface RetentionOptions {
  readonly store: Pick<SegmentStore, 'setRetention' | 'expire'>;
  readonly state: Pick<ReplicatedState, 'current' | 'onChange'>;
  /** The same value until a rule changes. */
  readonly book: () => RuleBook;
  /** This peer's share of the ring. */
  readonly share: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Between two looks for what has expired: a tenth of the shortest time, within these bounds. */
const SWEEP_MIN_MS = 1000;
const SWEEP_MAX_MS = 60_000;

export class RetentionKeeper {
  readonly #options: RetentionOptions;
  readonly #unsubscribe: () => void;
  #seen: { readonly book: RuleBook; readonly share: number } | undefined;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#unsubscribe = options.state.onChange(() => {
      this.#follow();
    });
    this.#follow();
  }

  close(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    this.#timer?.cancel();
  }

  #follow(): void {
    const { state, store, book: currentBook, share: currentShare, logger } = this.#options;
    // Why: before that, the log of this peer has not been read, and rules that it has not seen hold.
    if (state.current.clusterId === undefined || this.#isClosed) return;
    const [book, share] = [currentBook(), currentShare()];
    if (this.#seen?.book === book && this.#seen.share === share) return;
    this.#seen = { book, share };
    store.setRetention(retentionOf(book, share)).catch((thrown: unknown) => {
      const { code, message } = toRingloadError(thrown);
      logger.warn('rules of paths are not in force for all that is cached', {
        code,
        reason: message,
      });
    });
    this.#scheduleSweep();
  }

  #scheduleSweep(): void {
    const { clock, store, logger } = this.#options;
    this.#timer?.cancel();
    const times = (this.#seen?.book.rules ?? []).flatMap(({ ttlMs }) => ttlMs ?? []);
    if (times.length === 0 || this.#isClosed) return;
    const delayMs = Math.min(SWEEP_MAX_MS, Math.max(SWEEP_MIN_MS, Math.min(...times) / 10));
    this.#timer = clock.setTimer(delayMs, () => {
      store
        .expire()
        .then((count) => {
          if (count > 0) logger.info('segments have expired', { count });
        })
        .catch((thrown: unknown) => {
          logger.warn('no look for expired segments', { reason: toRingloadError(thrown).message });
        })
        .finally(() => {
          this.#scheduleSweep();
        });
    });
  }
}
