/**
 * S6: after a stop that was acknowledged, the under store is left alone. A stop is acknowledged
 * when it is committed, and owners hear of it with the commit index. So there are two promises: who
 * knows of the stop begins nothing more, at once; and in a cluster that works everybody knows soon.
 */
import { isAtOrBelow } from '../../../src/ufs/path.ts';
import type { Stopped } from './clients.ts';
import { USUAL_SYNC_MS } from './cache-disk.ts';
import { loads } from './job-roots.ts';
import type { SimPeer } from './sim-peer.ts';
import type { Get } from './sim-ufs.ts';
import type { World } from './world.ts';

/** From a stop, or the end of the last fault, to the last GET of any peer. */
const STOP_MAX_MS = 2000;
/** From the moment a peer is seen to know of the end of a run to its last GET. */
const KNOWN_MAX_MS = 50;

export class StopWatch {
  readonly #world: World;
  readonly #stops: readonly Stopped[];
  readonly #peers: readonly SimPeer[];
  #seenCount = 0;
  /** Since when each life has known a path to be idle. */
  readonly #idleSince = new Map<object, Map<string, number>>();
  /** Since when nothing keeps peers from hearing of a stop. */
  #calmSinceMs = Infinity;

  constructor(world: World, stops: readonly Stopped[], peers: readonly SimPeer[]) {
    this.#world = world;
    this.#stops = stops;
    this.#peers = peers;
  }

  /** @param hasLeader somebody leads now. */
  look(hasLeader: boolean): void {
    this.#noteIdle();
    const { nowMs } = this.#world.time;
    if (!hasLeader || !this.#isCalm()) this.#calmSinceMs = Infinity;
    else if (this.#calmSinceMs === Infinity) this.#calmSinceMs = nowMs;
    const { gets } = this.#world.ufs;
    for (; this.#seenCount < gets.length; this.#seenCount++) {
      const get = gets[this.#seenCount];
      const peer = this.#peers.find(({ id }) => id === get?.peer);
      if (!get || !peer?.running || get.isForReader) continue;
      this.#checkSoon(peer, get);
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

  /** Everybody runs and hears. Slow disks delay what a peer applies, and so what it knows. */
  #isCalm(): boolean {
    const areFit = this.#peers.every(
      ({ isRetired, isPaused, services, cacheDisk }) =>
        isRetired || (services && !isPaused && cacheDisk.weather.syncMaxMs <= USUAL_SYNC_MS),
    );
    return areFit && this.#world.network.isFair;
  }

  #checkSoon(peer: SimPeer, { range, atMs }: Get): void {
    for (const stop of this.#stops) {
      if (!isAtOrBelow(stop.path, range.path) || atMs < stop.atMs) continue;
      if (this.#world.history.wasActiveSince(stop.path, stop.atMs)) continue;
      const limitMs = Math.max(stop.atMs, this.#calmSinceMs) + STOP_MAX_MS;
      this.#world.check('S6', atMs <= limitMs, () => {
        return `${peer.address} read ${range.path} at ${Math.round(atMs)} ms, long after the stop at ${Math.round(stop.atMs)}`;
      });
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
            !loads(job.spec, path, this.#world.roots) ||
            !['WAITING', 'RUNNING', 'VERIFYING'].includes(job.state),
        );
        if (!isIdle) known.delete(path);
        else if (!known.has(path)) known.set(path, nowMs);
      }
    }
  }
}
