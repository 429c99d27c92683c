/**
 * Connections to other peers for readers. There are fewer of them than there may be clients, and a
 * client that takes its time would keep one for hours: so whoever waits for a connection gets that
 * of the reader who has rested longest, and that one asks again from the byte it has reached.
 *
 * Invariant: at most `maxCount` are open, at most half of them to one peer, so that a peer that
 * answers nobody does not keep those away who want another one.
 */
import { RingloadError } from '../../base/errors.ts';

/** Between two steps of a reader: less than that is no rest. */
const REST_MIN_MS = 50;
const LOOK_MS = 50;

export interface Lease {
  /** Until {@link resume} it may be called back: `onCalledBack` then closes the connection. */
  rest(onCalledBack: () => void): void;
  /** False when it was called back; it is over then. */
  resume(): boolean;
  /** False when nobody rests. */
  callBack(): boolean;
  end(): void;
}

interface Waiter {
  readonly endpoint: string;
  readonly grant: () => void;
}

export class ConnectionShare {
  readonly #maxCount: number;
  readonly #waitMaxMs: number;
  #openCount = 0;
  readonly #openTo = new Map<string, number>();
  readonly #waiters = new Set<Waiter>();
  /** The longest rest first. */
  readonly #resting = new Set<LeaseOfOne>();
  #looking: NodeJS.Timeout | undefined;

  constructor(options: { readonly maxCount: number; readonly waitMaxMs: number }) {
    this.#maxCount = options.maxCount;
    this.#waitMaxMs = options.waitMaxMs;
  }

  /** @throws overloaded when none is to be had, and what `signal` says. */
  async lease(endpoint: string, signal: AbortSignal): Promise<Lease> {
    signal.throwIfAborted();
    const free = this.leaseNow(endpoint);
    if (free) return free;
    await this.#wait(endpoint, signal);
    return this.#leaseOf(endpoint);
  }

  /** Undefined: others would have to wait for it, too. */
  leaseNow(endpoint: string): Lease | undefined {
    if (!this.#isFree(endpoint)) return undefined;
    this.#count(endpoint, 1);
    return this.#leaseOf(endpoint);
  }

  #leaseOf(endpoint: string): Lease {
    return new LeaseOfOne(endpoint, this.#resting, () => {
      this.#count(endpoint, -1);
      this.#grant();
    });
  }

  #isFree(endpoint: string): boolean {
    return this.#openCount < this.#maxCount && !this.#isCrowded(endpoint);
  }

  #isCrowded(endpoint: string): boolean {
    return (this.#openTo.get(endpoint) ?? 0) >= Math.ceil(this.#maxCount / 2);
  }

  #count(endpoint: string, by: 1 | -1): void {
    this.#openCount += by;
    const count = (this.#openTo.get(endpoint) ?? 0) + by;
    if (count === 0) this.#openTo.delete(endpoint);
    else this.#openTo.set(endpoint, count);
  }

  #wait(endpoint: string, signal: AbortSignal): Promise<void> {
    this.#looking ??= setInterval(() => {
      this.#look();
    }, LOOK_MS);
    return new Promise<void>((resolve, reject) => {
      const end = (): void => {
        this.#waiters.delete(waiter);
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      };
      const onAbort = (): void => {
        end();
        reject(signal.reason as Error);
      };
      const timer = setTimeout(() => {
        end();
        const reason = `every connection to peers was in use for ${String(this.#waitMaxMs)} ms`;
        reject(new RingloadError('overloaded', reason));
      }, this.#waitMaxMs);
      const waiter: Waiter = {
        endpoint,
        grant: () => {
          end();
          resolve();
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  /** Counts for each waiter before it wakes: nobody comes between. */
  #grant(): void {
    for (const waiter of [...this.#waiters]) {
      if (!this.#isFree(waiter.endpoint)) continue;
      this.#count(waiter.endpoint, 1);
      waiter.grant();
    }
  }

  /** Calls one connection back for each waiter, where somebody rests. */
  #look(): void {
    if (this.#waiters.size === 0) {
      clearInterval(this.#looking);
      this.#looking = undefined;
      return;
    }
    const restedSinceMs = performance.now() - REST_MIN_MS;
    for (const { endpoint } of [...this.#waiters]) {
      for (const lease of this.#resting) {
        if (lease.restsSinceMs > restedSinceMs) return;
        if (this.#isCrowded(endpoint) && lease.endpoint !== endpoint) continue;
        lease.callBack();
        break;
      }
    }
  }
}

class LeaseOfOne implements Lease {
  readonly endpoint: string;
  restsSinceMs = 0;
  readonly #resting: Set<LeaseOfOne>;
  readonly #onEnd: () => void;
  #onCalledBack: () => void = () => undefined;
  #isOver = false;

  constructor(endpoint: string, resting: Set<LeaseOfOne>, onEnd: () => void) {
    this.endpoint = endpoint;
    this.#resting = resting;
    this.#onEnd = onEnd;
  }

  rest(onCalledBack: () => void): void {
    if (this.#isOver) return;
    this.#onCalledBack = onCalledBack;
    this.restsSinceMs = performance.now();
    this.#resting.add(this);
  }

  resume(): boolean {
    this.#resting.delete(this);
    return !this.#isOver;
  }

  callBack(): boolean {
    if (!this.#resting.has(this)) return false;
    this.#onCalledBack();
    this.end();
    return true;
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#resting.delete(this);
    this.#onEnd();
  }
}
