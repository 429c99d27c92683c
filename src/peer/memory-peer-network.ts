/**
 * Peer networks that meet in memory: the same links, handshake rules and codec as in production,
 * on the time and randomness of the caller. For simulators: packets may be late, lost, repeated
 * or reordered, and any direction between two peers may be cut.
 *
 * Not modelled: secrets, and TCP sending again what was lost; a lost frame stays lost.
 */
import type { Clock } from '../base/clock.ts';
import { RingloadError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { silentLogger } from '../base/logger.ts';
import { createPeerCounters } from './counters.ts';
import type { PeerCounters } from './counters.ts';
import { resolvePeerLimits } from './limits.ts';
import type { PeerLimits } from './limits.ts';
import { createWirePair } from './memory-wire.ts';
import type { Carrier } from './memory-wire.ts';
import { PeerLinks } from './peer-links.ts';
import type { PeerLinksOptions } from './peer-links.ts';
import { refusedError } from './refusal.ts';
import type { Dial, DialListener, DialRequest, RemotePeer, Wire } from './wire.ts';
import type { PeerNetworkOptions } from './ws-peer-network.ts';

export interface NetworkFaults {
  /** Each packet takes a time drawn from this range. */
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  /** Share of packets that never arrive, 0 to 1. */
  readonly lossRate: number;
  /** Share of packets that arrive twice, 0 to 1. */
  readonly duplicateRate: number;
  /** Whether a packet may overtake an earlier one of the same wire. */
  readonly reorder: boolean;
}

export const NO_FAULTS: NetworkFaults = {
  delayMinMs: 0,
  delayMaxMs: 0,
  lossRate: 0,
  duplicateRate: 0,
  reorder: false,
};

/** What becomes of one packet. */
export interface PacketFate {
  /** 0: it is lost. */
  readonly copies: number;
  readonly delayMs: number;
  /** Whether it may overtake earlier packets of its wire. Default: no. */
  readonly mayOvertake?: boolean;
}

export type MemoryPeerNetworkOptions = Omit<PeerNetworkOptions, 'secrets' | 'clock' | 'random'> & {
  readonly address: string;
  /** The peer's own time; default the hub's. */
  readonly clock?: Clock;
  /** Runs what arrives at this peer; a process that was stopped takes it later. Default: at once. */
  readonly deliver?: (arrive: () => void) => void;
};

interface Endpoint {
  readonly address: string;
  readonly self: RemotePeer;
  readonly links: MemoryPeerNetwork;
  readonly counters: PeerCounters;
  readonly limits: PeerLimits;
  readonly clock: Clock;
  readonly deliver: (arrive: () => void) => void;
}

export class MemoryPeerNetwork extends PeerLinks {
  readonly counters: Readonly<PeerCounters>;
  readonly #leave: () => void;

  constructor(options: PeerLinksOptions, leave: () => void) {
    super(options);
    this.counters = options.counters;
    this.#leave = leave;
  }

  override async close(): Promise<void> {
    await super.close();
    this.#leave();
  }
}

export class MemoryPeerHub {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #drawFate: ((from: string, to: string) => PacketFate) | undefined;
  readonly #endpoints = new Map<string, Endpoint>();
  /** Directions that carry nothing, as `from → to`. */
  readonly #cuts = new Set<string>();
  #faults: NetworkFaults = NO_FAULTS;
  #startCount = 0;

  /** @param options.fate decides about each packet in place of the faults that are set. */
  constructor(options: {
    readonly clock: Clock;
    readonly random: Random;
    readonly fate?: (from: string, to: string) => PacketFate;
  }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#drawFate = options.fate;
  }

  /** A peer that starts at `address`. */
  createNetwork(options: MemoryPeerNetworkOptions): MemoryPeerNetwork {
    const { address } = options;
    if (this.#endpoints.has(address)) {
      throw new RingloadError('address_in_use', `start a peer at ${address}: one runs there`);
    }
    const limits = resolvePeerLimits(options.limits);
    const counters = createPeerCounters();
    const { clock = this.#clock, deliver = atOnce } = options;
    const instance = `start-${++this.#startCount}`;
    const links = new MemoryPeerNetwork(
      {
        ...options,
        instance,
        joinRequestTypes: options.joinRequestTypes ?? [],
        clock,
        random: this.#random,
        logger: options.logger ?? silentLogger,
        limits,
        counters,
        dialler: { dial: (request, listener) => this.#dial(endpoint, request, listener) },
      },
      () => {
        if (this.#isUp(endpoint)) this.#endpoints.delete(address);
      },
    );
    const self = { ...options.identity, instance };
    const endpoint: Endpoint = { address, self, links, counters, limits, clock, deliver };
    this.#endpoints.set(address, endpoint);
    return links;
  }

  /** Applies to what is sent from now on. */
  setFaults(faults: Partial<NetworkFaults>): void {
    this.#faults = { ...this.#faults, ...faults };
  }

  /** Nothing passes from one address to the other; the way back stays open. */
  cutOneWay(from: string, to: string): void {
    this.#cuts.add(direction(from, to));
  }

  /** Addresses of different groups cannot reach each other; those of no group are not touched. */
  partition(...groups: readonly (readonly string[])[]): void {
    for (const group of groups) {
      const others = groups.filter((other) => other !== group).flat();
      for (const from of group) for (const to of others) this.cutOneWay(from, to);
    }
  }

  /** Removes every cut; the faults stay. */
  heal(): void {
    this.#cuts.clear();
  }

  /** The peer is gone without a word: others find out by its silence. */
  powerCut(address: string): void {
    const endpoint = this.#endpoints.get(address);
    if (!endpoint) return;
    // Why: its last words must not leave; the address is free for the next start at once.
    this.#endpoints.delete(address);
    void endpoint.links.close();
  }

  #dial(caller: Endpoint, request: DialRequest, listener: DialListener): Dial {
    const { dialTimeoutMs } = caller.limits;
    let settled = false;
    const settle = (): boolean => {
      if (settled) return false;
      settled = true;
      timer.cancel();
      return true;
    };
    const fail = (error: RingloadError): void => {
      if (settle()) listener.onFailure(error);
    };
    const timer = caller.clock.setTimer(dialTimeoutMs, () => {
      fail(unreachable(request.address, `no answer within ${dialTimeoutMs} ms`));
    });
    const there = new Lane(caller.address, request.address);
    const back = new Lane(request.address, caller.address);
    this.#carryOnce(there, caller, () => {
      const called = this.#endpoints.get(request.address);
      const deliver = called?.deliver ?? atOnce;
      deliver(() => {
        const answer = this.#answer(caller, called, request, { there, back });
        this.#carryOnce(back, called, () => {
          caller.deliver(() => {
            if (answer instanceof RingloadError) fail(answer);
            else if (settle()) listener.onOpen(answer.remote, answer.wire);
            else answer.wire.close('closed');
          });
        });
      });
    });
    return { abort: () => void settle() };
  }

  /** What the called address decides; it has let the caller in when this is not an error. */
  #answer(
    caller: Endpoint,
    called: Endpoint | undefined,
    { address, hello }: DialRequest,
    lanes: { readonly there: Lane; readonly back: Lane },
  ): RingloadError | { readonly remote: RemotePeer; readonly wire: Wire } {
    if (!called) return unreachable(address, 'nobody listens');
    const refusal = called.links.screen(hello) ?? called.links.admit(hello);
    if (refusal !== undefined) {
      called.links.refused(hello, refusal);
      return refusedError(refusal, address);
    }
    const [near, far] = createWirePair(
      { ...caller, carrier: this.#carrier(lanes.there, caller, called) },
      { ...called, carrier: this.#carrier(lanes.back, called, caller) },
    );
    called.links.accept(hello, far);
    return { remote: called.self, wire: near };
  }

  #carrier(lane: Lane, from: Endpoint, to: Endpoint): Carrier {
    return (parcel) => {
      const { copies, delayMs } = this.#fate(lane, from);
      this.#clock.setTimer(delayMs, () => {
        parcel.leave();
        if (!this.#isUp(to)) return;
        for (let copy = 0; copy < copies; copy++) {
          to.deliver(() => {
            parcel.arrive();
          });
        }
      });
    };
  }

  /** Packets of a handshake may be lost, but what TCP delivers then comes once. */
  #carryOnce(lane: Lane, from: Endpoint | undefined, arrive: () => void): void {
    const { copies, delayMs } = this.#fate(lane, from);
    this.#clock.setTimer(delayMs, () => {
      if (copies > 0) arrive();
    });
  }

  /** Draws the same number of random values whatever happens, so that runs stay comparable. */
  #fate(lane: Lane, from: Endpoint | undefined): { copies: number; delayMs: number } {
    const isGone = from !== undefined && !this.#isUp(from);
    if (this.#drawFate) {
      const { copies, delayMs, mayOvertake } = this.#drawFate(lane.from, lane.to);
      return {
        copies: isGone ? 0 : copies,
        delayMs: mayOvertake ? delayMs : lane.inOrder(this.#clock.nowMs(), delayMs),
      };
    }
    const { delayMinMs, delayMaxMs, lossRate, duplicateRate, reorder } = this.#faults;
    const isLost = this.#random.next() < lossRate;
    const isDouble = this.#random.next() < duplicateRate;
    const delayMs = delayMinMs + this.#random.next() * (delayMaxMs - delayMinMs);
    const isCut = this.#cuts.has(direction(lane.from, lane.to));
    return {
      copies: isLost || isCut || isGone ? 0 : isDouble ? 2 : 1,
      delayMs: reorder ? delayMs : lane.inOrder(this.#clock.nowMs(), delayMs),
    };
  }

  #isUp(endpoint: Endpoint): boolean {
    return this.#endpoints.get(endpoint.address) === endpoint;
  }
}

/** One direction of one connection; remembers how late its last packet is. */
class Lane {
  readonly from: string;
  readonly to: string;
  #lastArrivalMs = 0;

  constructor(from: string, to: string) {
    this.from = from;
    this.to = to;
  }

  /** The delay of a packet that overtakes none of this direction. */
  inOrder(nowMs: number, delayMs: number): number {
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, nowMs + delayMs);
    return this.#lastArrivalMs - nowMs;
  }
}

function atOnce(arrive: () => void): void {
  arrive();
}

function direction(from: string, to: string): string {
  return `${from} → ${to}`;
}

function unreachable(address: string, why: string): RingloadError {
  return new RingloadError('peer_unreachable', `reach ${address}: ${why}`, {
    details: { address },
  });
}
