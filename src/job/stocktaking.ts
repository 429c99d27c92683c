/**
 * Counts that take long and are asked for again and again: one at a time for each name. Who asks
 * while one is under way shares the one after it, so that all that happened before the question is
 * in the answer.
 */
export class Stocktaking<T> {
  readonly #running = new Map<string, Promise<unknown>>();
  readonly #next = new Map<string, Promise<T>>();

  take(name: string, count: () => Promise<T>): Promise<T> {
    const waiting = this.#next.get(name);
    if (waiting) return waiting;
    const running = this.#running.get(name);
    if (!running) return this.#run(name, count);
    const next = running.then(() => {
      this.#next.delete(name);
      return this.#run(name, count);
    });
    this.#next.set(name, next);
    return next;
  }

  #run(name: string, count: () => Promise<T>): Promise<T> {
    const counted = count();
    const end = (): void => {
      if (this.#running.get(name) === ended) this.#running.delete(name);
    };
    const ended: Promise<void> = counted.then(end, end);
    this.#running.set(name, ended);
    return counted;
  }
}
