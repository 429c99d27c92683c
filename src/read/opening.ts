/**
 * Opens one of several ways to the same bytes: the first that is open wins, the others are closed.
 *
 * The next way is tried when one fails, when one says nothing for longer than its patience, and,
 * where two of them are alike, after the time in which nearly all answer. A way that was silent
 * stays in the race: if nobody else has the bytes, it is waited for after all.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { RingloadError, toRingloadError } from '../base/errors.ts';

/** This process stood still for so long. */
const LATE_MS = 250;

export interface Way<Opened extends Closable> {
  /** `onAsked` tells that the question went out: from then on an answer is waited for. */
  open(signal: AbortSignal, onAsked: () => void): Promise<Opened>;
  /** How long an answer may take before others are tried; absent: it has deadlines of its own. */
  readonly patienceMs?: number;
  /** Nothing came for so long. @returns true to go on waiting: it is slow, and not silent */
  onSilent?(): boolean;
  /** May be asked beside another one that is alike. */
  readonly isAlike?: boolean;
}

export interface Closable {
  close(): void;
}

/** Ways in their order, each worked out when its turn comes. */
export class WayQueue<Opened extends Closable> {
  readonly #ways: Iterator<Way<Opened>>;
  #next: IteratorResult<Way<Opened>> | undefined;

  constructor(ways: Iterator<Way<Opened>>) {
    this.#ways = ways;
  }

  peek(): Way<Opened> | undefined {
    this.#next ??= this.#ways.next();
    return this.#next.done === true ? undefined : this.#next.value;
  }

  take(): Way<Opened> | undefined {
    const way = this.peek();
    this.#next = undefined;
    return way;
  }
}

export interface OpeningOptions<Opened extends Closable> {
  readonly clock: Clock;
  readonly ways: WayQueue<Opened>;
  readonly signal: AbortSignal;
  /** After how long a way that is alike is asked as well. */
  readonly hedgeAfterMs: number;
  /** Whether it may be, now. */
  readonly takeHedge: () => boolean;
  /** @returns true when no other way can do better. */
  readonly onFailed: (error: RingloadError) => boolean;
  /** What it fails with when there is no way. */
  readonly failure: RingloadError;
}

interface Try {
  readonly controller: AbortController;
  readonly timers: Timer[];
  isSilent: boolean;
}

export class Opening<Opened extends Closable> {
  readonly #options: OpeningOptions<Opened>;
  readonly #tries = new Set<Try>();
  #failure: RingloadError;
  #isHopeless = false;
  #isOver = false;
  #resolve!: (opened: Opened) => void;
  #reject!: (error: Error) => void;

  constructor(options: OpeningOptions<Opened>) {
    this.#options = options;
    this.#failure = options.failure;
  }

  /** @throws what the last way failed with; the signal's reason. */
  first(): Promise<Opened> {
    const { signal } = this.#options;
    return new Promise<Opened>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (signal.aborted) {
        this.#end(() => {
          reject(signal.reason as Error);
        });
        return;
      }
      signal.addEventListener('abort', this.#onAbort, { once: true });
      this.#tryNext();
    });
  }

  readonly #onAbort = (): void => {
    this.#end(() => {
      this.#reject(this.#options.signal.reason as Error);
    });
  };

  #tryNext(): void {
    const { signal, ways } = this.#options;
    const way = this.#isHopeless ? undefined : ways.take();
    if (!way) {
      if (this.#tries.size === 0) this.#giveUp();
      return;
    }
    const attempt: Try = { controller: new AbortController(), timers: [], isSilent: false };
    this.#tries.add(attempt);
    if (way.isAlike === true) this.#hedge(attempt);
    const onAsked = (): void => {
      this.#watch(way, attempt);
    };
    way.open(AbortSignal.any([signal, attempt.controller.signal]), onAsked).then(
      (opened) => {
        this.#opened(attempt, opened);
      },
      (thrown: unknown) => {
        this.#failed(attempt, toRingloadError(thrown));
      },
    );
  }

  #watch(way: Way<Opened>, attempt: Try): void {
    const { patienceMs } = way;
    if (patienceMs === undefined || this.#isOver || !this.#tries.has(attempt)) return;
    const { clock } = this.#options;
    const dueMs = clock.nowMs() + patienceMs;
    const timer = clock.setTimer(patienceMs, () => {
      // Whoever looks late himself may have the answer at hand.
      const isLate = clock.nowMs() - dueMs > LATE_MS;
      if (isLate || way.onSilent?.() === true) this.#watch(way, attempt);
      else {
        attempt.isSilent = true;
        this.#goOn();
      }
    });
    attempt.timers.push(timer);
  }

  #hedge(attempt: Try): void {
    const { clock, hedgeAfterMs, takeHedge, ways } = this.#options;
    const timer = clock.setTimer(hedgeAfterMs, () => {
      if (this.#tries.size > 1) return;
      if (ways.peek()?.isAlike === true && takeHedge()) this.#tryNext();
    });
    attempt.timers.push(timer);
  }

  #opened(attempt: Try, opened: Opened): void {
    if (this.#isOver) {
      opened.close();
      return;
    }
    this.#leave(attempt);
    this.#end(() => {
      this.#resolve(opened);
    });
  }

  #failed(attempt: Try, error: RingloadError): void {
    if (this.#isOver) return;
    this.#leave(attempt);
    this.#failure = error;
    this.#isHopeless ||= this.#options.onFailed(error);
    this.#goOn();
  }

  /** Not while another one may answer in its time. */
  #goOn(): void {
    if ([...this.#tries].every(({ isSilent }) => isSilent)) this.#tryNext();
  }

  #giveUp(): void {
    this.#end(() => {
      this.#reject(this.#failure);
    });
  }

  #leave(attempt: Try): void {
    this.#tries.delete(attempt);
    for (const timer of attempt.timers) timer.cancel();
  }

  #end(conclude: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    for (const attempt of [...this.#tries]) {
      this.#leave(attempt);
      attempt.controller.abort(new RingloadError('cancelled', 'another source was faster'));
    }
    conclude();
  }
}
