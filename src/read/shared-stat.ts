/**
 * One look-up of a path at a time for all who want it. Each gets an answer to a question that was
 * asked after it came: whoever comes while a look-up runs shares the next one, so that nobody hears
 * of a version that was replaced before he asked.
 */
interface Line<T> {
  readonly running: Promise<T>;
  following: Promise<T> | undefined;
}

export class SharedStat<T> {
  readonly #lines = new Map<string, Line<T>>();

  /** What `stat` tells, asked by whoever is first. */
  run(path: string, stat: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(path);
    if (!line) return this.#start(path, stat);
    const begin = (): Promise<T> => this.#start(path, stat);
    line.following ??= line.running.then(begin, begin);
    return line.following;
  }

  #start(path: string, stat: () => Promise<T>): Promise<T> {
    const running = stat();
    const line: Line<T> = { running, following: undefined };
    this.#lines.set(path, line);
    const end = (): void => {
      if (this.#lines.get(path) === line) this.#lines.delete(path);
    };
    running.then(end, end);
    return running;
  }
}
