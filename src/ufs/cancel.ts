/** Aborts in this folder: how they are reported, combined and waited against. */
import type { Clock } from '../base/clock.ts';
import { RingloadError } from '../base/errors.ts';

/** The signal's reason when it is ours (a deadline, say), else `cancelled`. */
export function cancellation(signal: AbortSignal): RingloadError {
  const reason: unknown = signal.reason;
  if (reason instanceof RingloadError) return reason;
  return new RingloadError('cancelled', 'stopped waiting: the caller gave up');
}

/** @throws the {@link cancellation} of an aborted signal. */
export function throwIfCancelled(signal: AbortSignal): void {
  if (signal.aborted) throw cancellation(signal);
}

/**
 * One signal for one piece of work: aborted by any of its sources or by its own deadline. Whoever
 * makes a scope releases it, so that long-lived sources do not collect listeners.
 */
export class Scope {
  /** What is being done, for messages: `read s3://bucket/key`. */
  readonly action: string;
  readonly #controller = new AbortController();
  readonly #undo = new Set<() => void>();

  constructor(action: string, sources: readonly AbortSignal[]) {
    this.action = action;
    for (const source of sources) {
      const onAbort = (): void => {
        this.#controller.abort(source.reason);
      };
      if (source.aborted) onAbort();
      source.addEventListener('abort', onAbort, { once: true });
      this.#undo.add(() => {
        source.removeEventListener('abort', onAbort);
      });
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Aborts with `ufs_unavailable` after `timeoutMs`, unless the returned function is called. */
  limit(clock: Clock, timeoutMs: number): () => void {
    const timer = clock.setTimer(timeoutMs, () => {
      const message = `cannot ${this.action}: no answer within ${timeoutMs} ms`;
      this.#controller.abort(new RingloadError('ufs_unavailable', message));
    });
    const lift = (): void => {
      timer.cancel();
      this.#undo.delete(lift);
    };
    this.#undo.add(lift);
    return lift;
  }

  /**
   * The promise's outcome, or the {@link cancellation} if that comes first: for work that may
   * ignore the signal. What it brings later is given to `discard`, to be closed.
   */
  async race<T>(promise: Promise<T>, discard: (late: T) => void = () => undefined): Promise<T> {
    const { signal } = this;
    let stop = (): void => undefined;
    const aborted = new Promise<never>((_resolve, reject) => {
      const onAbort = (): void => {
        reject(cancellation(signal));
      };
      if (signal.aborted) onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      stop = () => {
        signal.removeEventListener('abort', onAbort);
      };
    });
    let isLate = true;
    try {
      const value = await Promise.race([aborted, promise]);
      isLate = false;
      return value;
    } catch (thrown) {
      throw signal.aborted ? cancellation(signal) : thrown;
    } finally {
      stop();
      if (isLate) promise.then(discard, () => undefined);
    }
  }

  release(): void {
    for (const undo of this.#undo) undo();
    this.#undo.clear();
  }
}
