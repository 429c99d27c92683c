/**
 * One abort signal for each piece of work, and one call that aborts them all. Why not one signal
 * for all: hundreds of tasks would listen to it, which Node takes for a leak.
 */
export class TaskSignals {
  readonly #running = new Set<AbortController>();
  #reason: Error | undefined;

  get isAborted(): boolean {
    return this.#reason !== undefined;
  }

  /** Runs `work` with a signal of its own, which is aborted from the start after `abort`. */
  async run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    if (this.#reason) controller.abort(this.#reason);
    this.#running.add(controller);
    try {
      return await work(controller.signal);
    } finally {
      this.#running.delete(controller);
    }
  }

  /** Only the first call has an effect. */
  abort(reason: Error): void {
    if (this.#reason) return;
    this.#reason = reason;
    for (const controller of this.#running) controller.abort(reason);
  }
}
