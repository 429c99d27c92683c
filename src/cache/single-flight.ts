/**
 * One piece of work per key at a time, shared by everyone who asks for it meanwhile. Who loses
 * interest leaves alone; the work is cancelled only when nobody waits for it any more.
 *
 * Invariant: a key is in the map exactly while its work runs and somebody waits for it.
 */
interface Flight<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  waiterCount: number;
}

export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();

  /** Keys whose work runs. */
  get size(): number {
    return this.#flights.size;
  }

  has(key: string): boolean {
    return this.#flights.has(key);
  }

  /**
   * The result of `work`, or of the work that already runs for `key`. `signal` ends this caller's
   * wait with its reason; the signal given to `work` fires when the last waiter has gone.
   */
  async run(
    key: string,
    work: (signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    signal?.throwIfAborted();
    const flight = this.#flights.get(key) ?? this.#start(key, work);
    flight.waiterCount++;
    try {
      return await (signal ? waitFor(flight.result, signal) : flight.result);
    } finally {
      flight.waiterCount--;
      if (flight.waiterCount === 0 && this.#flights.get(key) === flight) {
        this.#flights.delete(key);
        flight.controller.abort(signal?.reason);
      }
    }
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController();
    // Why: starting in a microtask makes a throwing `work` a rejection like any other.
    const result = Promise.resolve().then(() => work(controller.signal));
    const flight: Flight<T> = { result, controller, waiterCount: 0 };
    this.#flights.set(key, flight);
    const end = (): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    result.then(end, end);
    return flight;
  }
}

/** The promise's outcome, or the signal's reason if that comes first. */
function waitFor<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', leave, { once: true });
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', leave);
    });
  });
}
