/** S6: after a stop that was acknowledged, the under store is left alone. */
import { isAtOrBelow } from '../../../src/ufs/path.ts';
import type { Stopped } from './clients.ts';
import type { SimPeer } from './sim-peer.ts';
import type { World } from './world.ts';

/** From the moment a peer is seen to know of the end of a run to its last GET. */
const KNOWN_MAX_MS = 50;

export class StopWatch {
  readonly #world: World;
  readonly #stops: readonly Stopped[];
  readonly #peers: readonly SimPeer[];
  #seenCount = 0;
  /** Since when each life has known a path to be idle. */
  readonly #idleSince = new Map<object, Map<string, number>>();

  constructor(world: World, stops: readonly Stopped[], peers: readonly SimPeer[]) {
    this.#world = world;
    this.#stops = stops;
    this.#peers = peers;
  }

  look(): void {
    this.#noteIdle();
    const { gets } = this.#world.ufs;
    for (; this.#seenCount < gets.length; this.#seenCount++) {
      const get = gets[this.#seenCount];
      const peer = this.#peers.find(({ id }) => id === get?.peer);
      if (!get || !peer?.running || get.isForReader) continue;
      const known = this.#idleSince.get(peer.running.life);
      for (const [path, sinceMs] of known ?? []) {
        if (!isAtOrBelow(path, get.range.path)) continue;
        // Why: a peer may be given tasks of the next run before it hears of that run.
        if (this.#world.history.wasActive(path, get.atMs)) continue;
        this.#world.check('S6', get.atMs <= sinceMs + KNOWN_MAX_MS, () => {
          return `${peer.address} read ${get.range.path} at ${Math.round(get.atMs)} ms, stopped at ${Math.round(sinceMs)}`;
        });
      }
    }
  }

  #noteIdle(): void {
    const { nowMs } = this.#world.time;
    for (const { path } of this.#stops) {
      for (const { running } of this.#peers) {
        if (!running?.services) continue;
        const known = this.#idleSince.get(running.life) ?? new Map<string, number>();
        this.#idleSince.set(running.life, known);
        const { jobs } = running.services.cluster.state.current;
        const isIdle = [...jobs.values()].every(
          (job) =>
            job.spec.path !== path || !['WAITING', 'RUNNING', 'VERIFYING'].includes(job.state),
        );
        if (!isIdle) known.delete(path);
        else if (!known.has(path)) known.set(path, nowMs);
      }
    }
  }
}
