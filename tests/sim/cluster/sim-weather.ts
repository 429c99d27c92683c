/**
 * The network between simulated peers: what becomes of one packet from one address to another.
 * Links keep their order, as TCP does; what TCP would send again comes late. Frames that are lost
 * or doubled one by one, or overtake others, are worse than TCP: only hostile runs have them.
 */
import type { PacketFate } from '../../../src/peer/memory-peer-network.ts';
import type { Chance } from '../raft/chance.ts';
import type { World } from './world.ts';

export const USUAL_LATENCY_MS = 3;
/** How much later than others a packet is that these may overtake. */
const OVERTAKEN_MS = 60;

export class SimWeather {
  /** Longest usual latency. */
  latencyMaxMs = USUAL_LATENCY_MS;
  /** Share of packets that have to be sent again, and how long that takes at most. */
  resent = 0;
  resentMaxMs = 800;
  lost = 0;
  doubled = 0;
  reordered = 0;
  readonly #cuts = new Map<string, number>();
  readonly #slow = new Map<string, number>();
  readonly #world: World;
  readonly #chance: Chance;

  constructor(world: World, chance: Chance) {
    this.#world = world;
    this.#chance = chance;
  }

  cut(from: string, to: string): void {
    this.#add(this.#cuts, from, to, 1);
  }

  mend(from: string, to: string): void {
    this.#add(this.#cuts, from, to, -1);
  }

  /** Adds that much to the latency of a direction. */
  slow(from: string, to: string, byMs: number): void {
    this.#add(this.#slow, from, to, byMs);
  }

  /** Nothing is cut, slow, or worse than usual. */
  get isFair(): boolean {
    const isDirected = [...this.#cuts.values(), ...this.#slow.values()].some((by) => by > 0);
    const shares = this.resent + this.lost + this.doubled + this.reordered;
    return !isDirected && shares === 0 && this.latencyMaxMs <= USUAL_LATENCY_MS;
  }

  isCut(from: string, to: string): boolean {
    return (this.#cuts.get(direction(from, to)) ?? 0) > 0;
  }

  fate(from: string, to: string): PacketFate {
    const chance = this.#chance;
    const isLost = chance.hit(this.lost);
    const isDoubled = chance.hit(this.doubled);
    const isResent = chance.hit(this.resent);
    const mayOvertake = this.reordered > 0;
    let delayMs = chance.between(0.1, this.latencyMaxMs);
    if (isResent) delayMs += chance.between(this.resentMaxMs / 4, this.resentMaxMs);
    delayMs += this.#slow.get(direction(from, to)) ?? 0;
    if (mayOvertake && chance.hit(this.reordered)) {
      delayMs += chance.between(0, OVERTAKEN_MS);
      this.#world.count('net.overtaken');
    }
    const isCut = this.isCut(from, to);
    if (isCut) this.#world.count('net.cut');
    else if (isLost) this.#world.count('net.lost');
    else if (isDoubled) this.#world.count('net.doubled');
    if (isResent) this.#world.count('net.resent');
    this.#world.note(from, to.charCodeAt(to.length - 1));
    return { copies: isCut || isLost ? 0 : isDoubled ? 2 : 1, delayMs, mayOvertake };
  }

  #add(map: Map<string, number>, from: string, to: string, by: number): void {
    const key = direction(from, to);
    map.set(key, (map.get(key) ?? 0) + by);
  }
}

function direction(from: string, to: string): string {
  return `${from}>${to}`;
}
