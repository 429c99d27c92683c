/** Frees that were submitted at this peer: those that run, and how the latest ended. */
import type { Clock } from '../base/clock.ts';
import { toRingloadError } from '../base/errors.ts';
import type { FreeEvent, FreeStatus } from '../residence/report.ts';

/** Paths that are remembered. */
const PATH_MAX_COUNT = 100;

interface Entry {
  status: FreeStatus;
  readonly stop: AbortController;
}

export class FreeBook {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  start(path: string, run: (signal: AbortSignal) => AsyncIterable<FreeEvent>): FreeStatus {
    const known = this.#entries.get(path);
    if (known?.status.state === 'RUNNING') return known.status;
    const startedAtMs = this.#clock.wallMs();
    const entry: Entry = {
      status: { path, state: 'RUNNING', startedAtMs },
      stop: new AbortController(),
    };
    this.#entries.delete(path);
    this.#entries.set(path, entry);
    this.#forgetOldest();
    void this.#follow(entry, run(entry.stop.signal));
    return entry.status;
  }

  statusOf(path: string): FreeStatus | undefined {
    return this.#entries.get(path)?.status;
  }

  stop(path: string): boolean {
    const entry = this.#entries.get(path);
    if (entry?.status.state !== 'RUNNING') return false;
    entry.status = { ...entry.status, state: 'STOPPED' };
    entry.stop.abort(new Error('the free was stopped'));
    return true;
  }

  close(): void {
    for (const { stop } of this.#entries.values()) stop.abort(new Error('this peer is stopping'));
  }

  async #follow(entry: Entry, events: AsyncIterable<FreeEvent>): Promise<void> {
    const change = (changes: Partial<FreeStatus>): void => {
      if (entry.status.state === 'RUNNING') entry.status = { ...entry.status, ...changes };
    };
    try {
      for await (const event of events) {
        if ('progress' in event) change(event);
        else
          change({ report: event.report, state: event.report.complete ? 'SUCCEEDED' : 'FAILED' });
      }
    } catch (thrown) {
      const { code, message } = toRingloadError(thrown);
      change({ state: 'FAILED', error: `${code}: ${message}` });
    }
  }

  #forgetOldest(): void {
    const over = this.#entries.size - PATH_MAX_COUNT;
    if (over <= 0) return;
    const ended = [...this.#entries].filter(([, { status }]) => status.state !== 'RUNNING');
    for (const [path] of ended.slice(0, over)) this.#entries.delete(path);
  }
}
