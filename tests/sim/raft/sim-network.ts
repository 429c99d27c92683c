/**
 * A network that loses, delays, duplicates and so reorders messages, and that can be cut one way
 * between any two members.
 */
import type { RaftId } from '../../../src/base/ids.ts';
import type { Chance } from './chance.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface NetworkWeather {
  readonly loss: number;
  readonly duplication: number;
  /** Of most messages, at most. */
  readonly latencyMs: number;
  /** Share of messages that take long. */
  readonly delays: number;
}

export const CALM: NetworkWeather = { loss: 0, duplication: 0, latencyMs: 3, delays: 0 };

export interface Endpoint {
  receive(message: string): void;
  /** The sender learns that a message did not get through. */
  unreachable(to: RaftId): void;
}

export interface NetworkCounts {
  sent: number;
  lost: number;
  cut: number;
  duplicated: number;
  delayed: number;
  snapshots: number;
}

export class SimNetwork {
  weather: NetworkWeather = CALM;
  readonly counts: NetworkCounts = {
    sent: 0,
    lost: 0,
    cut: 0,
    duplicated: 0,
    delayed: 0,
    snapshots: 0,
  };
  readonly #time: VirtualTime;
  readonly #chance: Chance;
  readonly #endpoints = new Map<RaftId, Endpoint>();
  readonly #cuts = new Set<string>();

  constructor(time: VirtualTime, chance: Chance) {
    this.#time = time;
    this.#chance = chance;
  }

  attach(id: RaftId, endpoint: Endpoint): void {
    this.#endpoints.set(id, endpoint);
  }

  cut(from: RaftId, to: RaftId): void {
    this.#cuts.add(`${from}>${to}`);
  }

  heal(): void {
    this.#cuts.clear();
  }

  send(
    from: RaftId,
    to: RaftId,
    message: string,
    onSnapshotOutcome?: (delivered: boolean) => void,
  ): void {
    const chance = this.#chance;
    this.counts.sent++;
    if (onSnapshotOutcome) this.counts.snapshots++;
    const isCut = this.#cuts.has(`${from}>${to}`);
    const isLost = chance.hit(this.weather.loss);
    if (isCut || isLost) {
      if (isCut) this.counts.cut++;
      else this.counts.lost++;
      if (chance.hit(0.5)) this.#time.after(this.#latencyMs(), () => onSnapshotOutcome?.(false));
      if (chance.hit(0.3)) this.#endpoints.get(from)?.unreachable(to);
      return;
    }
    const copies = chance.hit(this.weather.duplication) ? 2 : 1;
    if (copies > 1) this.counts.duplicated++;
    for (let copy = 0; copy < copies; copy++) {
      this.#time.after(this.#latencyMs(), () => this.#endpoints.get(to)?.receive(message));
    }
    // A transport that forgets to answer is a fault too: the driver has a deadline for it.
    if (onSnapshotOutcome && !chance.hit(this.weather.loss)) {
      this.#time.after(this.#latencyMs(), () => {
        onSnapshotOutcome(true);
      });
    }
  }

  #latencyMs(): number {
    if (!this.#chance.hit(this.weather.delays))
      return this.#chance.between(0.2, this.weather.latencyMs);
    this.counts.delayed++;
    return this.#chance.between(3, 400);
  }
}
