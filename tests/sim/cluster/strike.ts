/** Makes planned faults happen, and undoes those that end. */
import { Chance } from '../raft/chance.ts';
import { USUAL_SYNC_MS } from './cache-disk.ts';
import type { Fault, Victim } from './plan.ts';
import type { SimPeer } from './sim-peer.ts';
import { USUAL_LATENCY_MS } from './sim-weather.ts';
import type { World } from './world.ts';

export interface Cluster {
  readonly world: World;
  readonly peers: SimPeer[];
  leader(): SimPeer | undefined;
  addPeer(): void;
  pathOf(root: number, file: number): string;
  contentOf(sizeBytes: number): Uint8Array;
}

export class Striker {
  readonly #cluster: Cluster;
  readonly #chance: Chance;
  /** What ends the faults that go on. */
  readonly #undo = new Set<() => void>();
  #isOver = false;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#chance = new Chance(cluster.world.seed, 7);
  }

  schedule(faults: readonly Fault[]): void {
    const { world } = this.#cluster;
    for (const fault of faults) {
      world.time.after(fault.atMs - world.time.nowMs, () => {
        if (this.#isOver) return;
        world.say(`FAULT ${JSON.stringify(fault)}`);
        world.count(`fault.${fault.kind}`);
        this.#strike(fault);
      });
    }
  }

  /** Everything is mended and everybody is back. */
  stop(): void {
    this.#isOver = true;
    for (const undo of [...this.#undo]) undo();
    for (const peer of this.#cluster.peers) {
      peer.running?.life.resume();
      peer.running?.life.lightFuse(Infinity);
      peer.start();
    }
  }

  #strike(fault: Fault): void {
    const { world, peers } = this.#cluster;
    switch (fault.kind) {
      case 'kill':
      case 'powerCut':
        this.#kill(fault.victim, fault.kind === 'powerCut', fault.forMs);
        return;
      case 'wipeCache':
        this.#victim(fault.victim)?.wipeCache();
        this.#later(fault.forMs, () => {
          for (const peer of peers) if (peer.isWiped) peer.start();
        });
        return;
      case 'fuse':
        this.#lightFuse(fault.victim, fault.operations, fault.forMs);
        return;
      case 'killAll':
        for (const peer of peers) peer.crash(fault.isPowerCut);
        this.#later(fault.forMs, () => {
          for (const peer of peers) peer.start();
        });
        return;
      case 'pause':
        this.#pause(fault.victim, fault.forMs);
        return;
      case 'wallJump': {
        const peer = this.#victim(fault.victim);
        if (peer) peer.wallOffsetMs += Math.round(fault.byMs);
        return;
      }
      case 'isolate': {
        const peer = this.#victim(fault.victim);
        if (peer) this.#cut(bothWays(pairsAcross([peer], peers)), fault.forMs);
        return;
      }
      case 'split':
        this.#cut(
          bothWays(
            pairsAcross(
              fault.group.flatMap((at) => peers[at] ?? []),
              peers,
            ),
          ),
          fault.forMs,
        );
        return;
      case 'oneWay':
      case 'mesh':
        this.#cut(
          fault.directions.flatMap(([a, b]) => {
            const [from, to] = [peers[a], peers[b]];
            return from && to ? [[from, to] as const] : [];
          }),
          fault.forMs,
        );
        return;
      case 'slowLink':
        this.#slow(fault.victim, fault.byMs, fault.forMs);
        return;
      case 'badNetwork': {
        const { network } = world;
        network.latencyMaxMs = fault.latencyMs;
        network.resent = fault.resent;
        this.#until(fault.forMs, () => {
          network.latencyMaxMs = USUAL_LATENCY_MS;
          network.resent = 0;
        });
        return;
      }
      case 'hostileNetwork': {
        const { network } = world;
        network.lost = fault.lost;
        network.doubled = fault.doubled;
        network.reordered = fault.reordered;
        this.#until(fault.forMs, () => {
          network.lost = 0;
          network.doubled = 0;
          network.reordered = 0;
        });
        return;
      }
      case 'rot': {
        const peer = this.#victim(fault.victim);
        for (let count = 0; peer && count < fault.count; count++) {
          if (peer.cacheDisk.rot(this.#chance)) world.count('disk.rottenBits');
        }
        return;
      }
      case 'slowDisk': {
        const disk = this.#victim(fault.victim)?.cacheDisk;
        if (!disk) return;
        disk.weather.syncMaxMs = fault.syncMs;
        this.#until(fault.forMs, () => {
          disk.weather.syncMaxMs = USUAL_SYNC_MS;
        });
        return;
      }
      case 'fullDisk': {
        const peer = this.#victim(fault.victim);
        if (!peer) return;
        peer.cacheDisk.weather.isFull = true;
        this.#until(fault.forMs, () => {
          peer.cacheDisk.weather.isFull = false;
          // As its operator does: a region that found no space is given up until the next start.
          peer.crash(false);
          peer.start();
        });
        return;
      }
      case 'badUfs':
        world.ufs.weather = { ...world.ufs.weather, ...fault.weather };
        this.#until(fault.forMs, () => {
          world.ufs.weather = world.ufs.fairWeather();
        });
        return;
      case 'deadUfs':
        world.ufs.isDead = true;
        this.#until(fault.forMs, () => {
          world.ufs.isDead = false;
        });
        return;
      case 'change':
      case 'create':
        world.ufs.put(
          this.#cluster.pathOf(fault.root, fault.file),
          this.#cluster.contentOf(fault.sizeBytes),
        );
        return;
      case 'remove':
        world.ufs.delete(this.#cluster.pathOf(fault.root, fault.file));
        return;
      case 'transfer':
        this.#transfer(fault.to);
        return;
      case 'drain':
        this.#drain(fault.victim);
        return;
      case 'addPeer':
        this.#cluster.addPeer();
        return;
    }
  }

  #kill(victim: Victim, isPowerCut: boolean, forMs: number): void {
    const peer = this.#victim(victim);
    if (!peer) return;
    peer.crash(isPowerCut);
    this.#later(forMs, () => {
      peer.start();
    });
  }

  #lightFuse(victim: Victim, operations: number, forMs: number): void {
    const peer = this.#victim(victim);
    if (!peer?.running) return;
    peer.running.life.lightFuse(operations);
    // Long enough for the fuse to burn down on a busy peer.
    this.#later(500 + forMs, () => {
      peer.running?.life.lightFuse(Infinity);
      peer.start();
    });
  }

  #pause(victim: Victim, forMs: number): void {
    const life = this.#victim(victim)?.running?.life;
    if (!life) return;
    life.pause();
    this.#later(forMs, () => {
      life.resume();
    });
  }

  #cut(directions: readonly (readonly [SimPeer, SimPeer])[], forMs: number): void {
    const { network } = this.#cluster.world;
    for (const [from, to] of directions) network.cut(from.address, to.address);
    this.#until(forMs, () => {
      for (const [from, to] of directions) network.mend(from.address, to.address);
    });
  }

  #slow(victim: Victim, byMs: number, forMs: number): void {
    const peer = this.#victim(victim);
    if (!peer) return;
    const { world, peers } = this.#cluster;
    const pairs = bothWays(pairsAcross([peer], peers));
    for (const [from, to] of pairs) world.network.slow(from.address, to.address, byMs);
    this.#until(forMs, () => {
      for (const [from, to] of pairs) world.network.slow(from.address, to.address, -byMs);
    });
  }

  #transfer(to: number): void {
    const target = this.#cluster.peers[to];
    const admin = this.#cluster.leader()?.services?.admin;
    if (target) admin?.transferLeadership(target.id).catch(() => undefined);
  }

  #drain(victim: Victim): void {
    const peer = this.#victim(victim);
    const { peers } = this.#cluster;
    const admin = peers.find((each) => each.services && each !== peer)?.services?.admin;
    if (peer) admin?.remove(peer.id, { force: false }).catch(() => undefined);
  }

  #victim(victim: Victim): SimPeer | undefined {
    const { peers } = this.#cluster;
    return victim === 'leader' ? this.#cluster.leader() : peers[victim % peers.length];
  }

  #later(delayMs: number, action: () => void): void {
    this.#cluster.world.time.after(delayMs, () => {
      if (!this.#isOver) action();
    });
  }

  /** Once: after that time, or when all faults end. */
  #until(delayMs: number, undo: () => void): void {
    const once = (): void => {
      if (this.#undo.delete(once)) undo();
    };
    this.#undo.add(once);
    this.#cluster.world.time.after(delayMs, once);
  }
}

function pairsAcross(
  group: readonly SimPeer[],
  peers: readonly SimPeer[],
): (readonly [SimPeer, SimPeer])[] {
  const others = peers.filter((peer) => !group.includes(peer));
  return group.flatMap((a) => others.map((b) => [a, b] as const));
}

function bothWays(
  pairs: readonly (readonly [SimPeer, SimPeer])[],
): (readonly [SimPeer, SimPeer])[] {
  return pairs.flatMap(([a, b]) => [[a, b] as const, [b, a] as const]);
}
