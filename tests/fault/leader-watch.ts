/**
 * Watches who leads, as every peer sees it, while the network does what it likes: never two
 * leaders of one term, and terms that do not race.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../support/cluster.ts';

const POLL_MS = 100;

export class LeaderWatch {
  readonly #cluster: Cluster;
  readonly #leaders = new Map<number, Set<string>>();
  readonly #done: Promise<void>;
  #first = Infinity;
  #last = 0;
  #sampleCount = 0;
  #stopped = false;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#done = this.#watch();
  }

  /** Terms that ended since the watch began. */
  get termGrowth(): number {
    return this.#last - this.#first;
  }

  get sampleCount(): number {
    return this.#sampleCount;
  }

  /** Terms for which more than one leader was named, with their leaders. */
  get split(): readonly string[] {
    return [...this.#leaders]
      .filter(([, leaders]) => leaders.size > 1)
      .map(([term, leaders]) => `term ${term}: ${[...leaders].join(', ')}`);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #watch(): Promise<void> {
    while (!this.#stopped) {
      await Promise.all(
        this.#cluster.runningPeers.map(async ({ api }) => {
          const view = await api.cluster().catch(() => undefined);
          if (view === undefined) return;
          const { term, leaderId } = view;
          this.#sampleCount++;
          this.#first = Math.min(this.#first, term);
          this.#last = Math.max(this.#last, term);
          if (leaderId === undefined) return;
          const leaders = this.#leaders.get(term) ?? new Set();
          this.#leaders.set(term, leaders.add(leaderId));
        }),
      );
      await delay(POLL_MS);
    }
  }
}
