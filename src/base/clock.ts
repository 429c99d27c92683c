/**
 * Time as the core sees it. The real clock lives in `src/node`; `ManualClock` drives tests and
 * the simulator.
 */

import { RingloadError } from './errors.ts';

/** A pending timer. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds since an arbitrary origin: for timeouts, rates and back-off. */
  nowMs(): number;
  /** Milliseconds since 1970 by the wall clock: for display and records only, never for safety. */
  wallMs(): number;
  /** Calls `callback` once, `delayMs` (>= 0) from now. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** Resolves after `delayMs`; rejects at once with the signal's reason when aborted. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason as Error);
    };
    const timer = clock.setTimer(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** What `work` comes to; its signal aborts with `deadline_exceeded` after `timeoutMs`. */
export async function withTimeout<T>(
  clock: Clock,
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const timer = clock.setTimer(timeoutMs, () => {
    const message = `not done within ${String(timeoutMs)} ms`;
    controller.abort(new RingloadError('deadline_exceeded', message));
  });
  try {
    return await work(controller.signal);
  } finally {
    timer.cancel();
  }
}

interface ManualTimer extends Timer {
  readonly dueMs: number;
  readonly sequence: number;
  readonly callback: () => void;
  cancelled: boolean;
}

/** A clock that moves only when told to. Timers of the same instant fire in order of creation. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #sequence = 0;
  #timers: ManualTimer[] = [];
  readonly #wallOriginMs: number;

  constructor(wallOriginMs = 1_700_000_000_000) {
    this.#wallOriginMs = wallOriginMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallOriginMs + this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer: ManualTimer = {
      dueMs: this.#nowMs + Math.max(0, delayMs),
      sequence: this.#sequence++,
      callback,
      cancelled: false,
      cancel: () => {
        timer.cancelled = true;
      },
    };
    this.#timers.push(timer);
    return timer;
  }

  /** Fires, in order, every timer due within the next `deltaMs`, also those set meanwhile. */
  advance(deltaMs: number): void {
    const untilMs = this.#nowMs + deltaMs;
    for (let next = this.#takeDue(untilMs); next; next = this.#takeDue(untilMs)) {
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.callback();
    }
    this.#nowMs = untilMs;
  }

  #takeDue(untilMs: number): ManualTimer | undefined {
    this.#timers = this.#timers.filter((timer) => !timer.cancelled);
    let first: ManualTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs > untilMs) continue;
      if (
        !first ||
        timer.dueMs < first.dueMs ||
        (timer.dueMs === first.dueMs && timer.sequence < first.sequence)
      ) {
        first = timer;
      }
    }
    if (first) this.#timers.splice(this.#timers.indexOf(first), 1);
    return first;
  }
}
