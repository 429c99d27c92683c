/** Bad weather: draws one fault after the other until it is told to stop. */
import type { RaftId } from '../../../src/base/ids.ts';
import type { Chance } from './chance.ts';
import { CALM } from './sim-network.ts';
import type { SimNode, SimWorld } from './sim-node.ts';

export interface FaultPace {
  /** Longest time between two faults. */
  readonly pauseMs: number;
  /** Of most messages, at most. */
  readonly latencyMs: number;
}

export class Faults {
  readonly #world: SimWorld;
  readonly #chance: Chance;
  readonly #nodes: ReadonlyMap<number, SimNode>;
  readonly #pace: FaultPace;
  #isOver = false;

  constructor(
    world: SimWorld,
    chance: Chance,
    nodes: ReadonlyMap<number, SimNode>,
    pace: FaultPace,
  ) {
    this.#pace = pace;
    this.#world = world;
    this.#chance = chance;
    this.#nodes = nodes;
  }

  run(): void {
    if (this.#isOver) return;
    this.#strike();
    this.#later(this.#chance.between(10, this.#pace.pauseMs), () => {
      this.run();
    });
  }

  /** Ends all faults; members that are down stay down. */
  stop(): void {
    this.#isOver = true;
    const { network, disk } = this.#world;
    network.heal();
    network.weather = CALM;
    disk.syncMaxMs = 3;
    disk.failSyncs = 0;
    for (const node of this.#nodes.values()) node.resume();
  }

  #strike(): void {
    const chance = this.#chance;
    const fate = chance.random.next();
    if (fate < 0.3) this.#crash();
    else if (fate < 0.45) this.#pause();
    else if (fate < 0.75) this.#partition();
    else if (fate < 0.87) this.#changeNetwork();
    else if (fate < 0.97) this.#changeDisk();
    else this.#crashAll();
  }

  #crash(): void {
    const node = this.#pickUp();
    if (!node) return;
    node.crash(this.#chance.hit(0.6) ? this.#chance.whole(1, 25) : 0);
    this.#restartLater(node);
  }

  #crashAll(): void {
    this.#count('wholeClusterCrashes');
    for (const node of this.#nodes.values()) {
      if (!node.isUp) continue;
      node.crash();
      this.#restartLater(node);
    }
  }

  #restartLater(node: SimNode): void {
    this.#later(this.#chance.between(5, 600), () => {
      restart(node, this.#world);
    });
  }

  #pause(): void {
    const node = this.#pickUp();
    if (!node) return;
    this.#count('pauses');
    node.pause();
    this.#later(this.#chance.between(20, this.#chance.hit(0.2) ? 2_000 : 300), () => {
      node.resume();
    });
  }

  #partition(): void {
    const chance = this.#chance;
    const { network } = this.#world;
    network.heal();
    const ids = chance.shuffled([...this.#nodes.values()].map((node) => node.id));
    const kind = chance.pick(['isolate', 'split', 'oneWay', 'mesh', 'heal'] as const) ?? 'heal';
    this.#count(`partition.${kind}`);
    const cutBoth = (a: RaftId, b: RaftId): void => {
      network.cut(a, b);
      network.cut(b, a);
    };
    const size = kind === 'isolate' ? 1 : chance.whole(1, Math.max(1, ids.length - 1));
    for (const [at, a] of ids.entries()) {
      for (const [other, b] of ids.entries()) {
        if (at >= other) continue;
        const isAcross = at < size && other >= size;
        if ((kind === 'isolate' || kind === 'split') && isAcross) cutBoth(a, b);
        if (kind === 'mesh' && chance.hit(0.4)) cutBoth(a, b);
        if (kind === 'oneWay' && chance.hit(0.4))
          network.cut(...(chance.hit(0.5) ? ([a, b] as const) : ([b, a] as const)));
      }
    }
    if (chance.hit(0.6)) {
      this.#later(chance.between(20, 800), () => {
        network.heal();
      });
    }
  }

  #changeNetwork(): void {
    this.#count('networkWeather');
    const chance = this.#chance;
    const isBad = chance.hit(0.5);
    this.#world.network.weather = {
      loss: isBad ? chance.between(0, 0.4) : chance.between(0, 0.03),
      duplication: chance.between(0, 0.2),
      latencyMs: this.#pace.latencyMs,
      delays: isBad ? chance.between(0, 0.3) : chance.between(0, 0.02),
    };
  }

  #changeDisk(): void {
    this.#count('diskWeather');
    this.#world.disk.syncMaxMs = this.#chance.hit(0.5) ? this.#chance.between(3, 400) : 3;
    this.#world.disk.failSyncs = this.#chance.hit(0.3) ? 0.01 : 0;
  }

  #pickUp(): SimNode | undefined {
    return this.#chance.pick([...this.#nodes.values()].filter((node) => node.isUp));
  }

  #later(delayMs: number, action: () => void): void {
    this.#world.time.after(delayMs, () => {
      if (!this.#isOver) action();
    });
  }

  #count(what: string): void {
    this.#world.counts[what] = (this.#world.counts[what] ?? 0) + 1;
  }
}

/** Starts a member that is down again, as far as its disk and the cluster allow. */
export function restart(node: SimNode, world: SimWorld): void {
  if (node.isUp || node.isRetired) return;
  const hasLog = world.history.durableOf(node.id) !== undefined;
  node.start(hasLog ? { kind: 'restart' } : node.firstStart);
}
