/**
 * One abort signal for each piece of work, aborted by its number or all together. Why not one
 * signal for all: hundreds of tasks would listen to it, which Node takes for a leak.
 */
export class TaskSignals {
  readonly #running = new Set<{
    readonly id: number | undefined;
    readonly controller: AbortController;
  }>();
  #reason: Error | undefined;

  get isAborted(): boolean {
    return this.#reason !== undefined;
  }

  /**
   * Runs `work` with a signal of its own, which is aborted from the start after `abort`.
   * @param id for {@link abortOne}.
   */
  async run<T>(work: (signal: AbortSignal) => Promise<T>, id?: number): Promise<T> {
    const controller = new AbortController();
    if (this.#reason) controller.abort(this.#reason);
    const running = { id, controller };
    this.#running.add(running);
    try {
      return await work(controller.signal);
    } finally {
      this.#running.delete(running);
    }
  }

  abortOne(id: number, reason: Error): void {
    for (const running of this.#running) if (running.id === id) running.controller.abort(reason);
  }

  /** Only the first call has an effect. */
  abort(reason: Error): void {
    if (this.#reason) return;
    this.#reason = reason;
    for (const { controller } of this.#running) controller.abort(reason);
  }
}
