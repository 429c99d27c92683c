/** A handful of peers in one process, over sockets or over memory, for tests of both. */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ManualClock } from '../../../src/base/clock.ts';
import type { Clock } from '../../../src/base/clock.ts';
import { clusterId, peerId } from '../../../src/base/ids.ts';
import type { ClusterId, PeerId } from '../../../src/base/ids.ts';
import { SeededRandom } from '../../../src/base/random.ts';
import { MemoryPeerHub } from '../../../src/peer/memory-peer-network.ts';
import type { MemoryPeerNetwork } from '../../../src/peer/memory-peer-network.ts';
import type { PeerLimits } from '../../../src/peer/limits.ts';
import { createPeerNetwork } from '../../../src/peer/ws-peer-network.ts';
import type { WsPeerNetwork } from '../../../src/peer/ws-peer-network.ts';

export const CLUSTER = clusterId('c0000000-0000-4000-8000-000000000001');
export const SECRET = 'a secret of the cluster, long enough';

export const realClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

export interface StartSpec {
  readonly name: string;
  readonly generation?: number;
  readonly clusterId?: ClusterId | null;
  /** Names of the members this peer knows; default: everybody. */
  readonly members?: readonly string[];
  readonly joinRequestTypes?: readonly string[];
  readonly secrets?: readonly string[];
  readonly limits?: Partial<PeerLimits>;
  /** Listens where an earlier peer did. */
  readonly address?: string;
}

export interface TestPeer {
  readonly id: PeerId;
  readonly address: string;
  readonly network: WsPeerNetwork | MemoryPeerNetwork;
  /** Ends the process's part in the world, sockets and all. */
  stop(): Promise<void>;
}

export interface PeerWorld {
  start(spec: StartSpec): Promise<TestPeer>;
  /** Waits, in the time of this world, for at most 20 s of it. */
  until(what: string, condition: () => boolean): Promise<void>;
  /** The outcome of `promise`, letting the time of this world pass. */
  settle<T>(promise: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export const idOf = (name: string): PeerId => peerId(`peer-${name}`);

/** Links each peer with all others. */
export function mesh(peers: readonly TestPeer[]): void {
  const addresses = peers.map(({ id, address }) => ({ id, address }));
  for (const peer of peers) peer.network.setPeers(addresses);
}

export function isLinked(peer: TestPeer, other: TestPeer): boolean {
  return peer.network.links().some((link) => link.peerId === other.id && link.connected);
}

export function allLinked(peers: readonly TestPeer[]): boolean {
  return peers.every((peer) => peers.every((other) => other === peer || isLinked(peer, other)));
}

function optionsOf(spec: StartSpec) {
  const members = spec.members?.map(idOf);
  return {
    identity: { id: idOf(spec.name), generation: spec.generation ?? 1 },
    clusterId: () => (spec.clusterId === null ? undefined : (spec.clusterId ?? CLUSTER)),
    isMember: (id: PeerId) => members?.includes(id) ?? true,
    joinRequestTypes: spec.joinRequestTypes ?? ['join'],
    ...(spec.limits ? { limits: spec.limits } : {}),
  };
}

export class SocketWorld implements PeerWorld {
  readonly #peers: TestPeer[] = [];
  readonly #defaults: Partial<StartSpec>;

  constructor(defaults: Partial<StartSpec> = {}) {
    this.#defaults = defaults;
  }

  async start(given: StartSpec): Promise<TestPeer & { readonly network: WsPeerNetwork }> {
    const spec = { ...this.#defaults, ...given };
    const network = createPeerNetwork({
      ...optionsOf(spec),
      ...(spec.secrets ? { secrets: spec.secrets } : {}),
      clock: realClock,
      random: new SeededRandom(this.#peers.length + 1),
    });
    const server = createServer((_request, response) => {
      response.statusCode = 404;
      response.end();
    });
    network.attach(server);
    await listen(server, Number(spec.address?.split(':')[1] ?? 0));
    const peer = {
      id: idOf(spec.name),
      address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
      network,
      async stop() {
        await network.close();
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    };
    this.#peers.push(peer);
    return peer;
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    await waitFor(what, condition);
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return promise;
  }

  async close(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer.stop()));
  }
}

export class MemoryWorld implements PeerWorld {
  readonly clock = new ManualClock();
  readonly hub: MemoryPeerHub;
  readonly #peers: TestPeer[] = [];
  readonly #defaults: Partial<StartSpec>;

  constructor(defaults: Partial<StartSpec> = {}, seed = 1) {
    this.#defaults = defaults;
    this.hub = new MemoryPeerHub({ clock: this.clock, random: new SeededRandom(seed) });
  }

  start(given: StartSpec): Promise<TestPeer & { readonly network: MemoryPeerNetwork }> {
    const spec = { ...this.#defaults, ...given };
    const address = spec.address ?? `${spec.name}:${this.#peers.length + 1}`;
    const network = this.hub.createNetwork({ ...optionsOf(spec), address });
    const peer = { id: idOf(spec.name), address, network, stop: () => network.close() };
    this.#peers.push(peer);
    return Promise.resolve(peer);
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    for (let passedMs = 0; passedMs < 20_000; passedMs += 5) {
      await drainMicrotasks();
      if (condition()) return;
      this.clock.advance(5);
    }
    throw new Error(`not within 20 s of virtual time: ${what}`);
  }

  async settle<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = (): void => {
      settled = true;
    };
    promise.then(done, done);
    await this.until('a promise to settle', () => settled);
    return promise;
  }

  async close(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer.stop()));
  }
}

export async function waitFor(
  what: string,
  condition: () => boolean,
  timeoutMs = 20_000,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
}

export function drainMicrotasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
