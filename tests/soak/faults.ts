/**
 * The catalogue that a soak draws from: what is done to processes, network, under store, disks and
 * membership, and how each is undone. Which fault comes when, to whom and for how long is decided
 * by the seed; what it meets is up to the processes.
 */
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { randomInt, type Random } from '../../src/base/random.ts';
import type { Stage } from '../fault/stage.ts';
import type { FaultRule } from '../support/faulty-origin.ts';
import type { Peer } from '../support/peer-process.ts';
import type { Faults } from '../support/tcp-proxy.ts';
import type { Ledger } from './ledger.ts';
import type { SoakModel } from './model.ts';

export interface FaultContext {
  readonly stage: Stage;
  readonly model: SoakModel;
  readonly random: Random;
  readonly ledger: Ledger;
  readonly peerCount: number;
}

type End = () => Promise<void> | void;
/** Undefined: not possible at the moment. */
type Begin = (faults: SoakFaults) => End | undefined | Promise<End | undefined>;

const PAUSE_MIN_MS = 500;
const PAUSE_MAX_MS = 4_000;
const LENGTH_MIN_MS = 500;
const LENGTH_MAX_MS = 9_000;

export class SoakFaults {
  readonly context: FaultContext;
  /** Peers to which something is done, by their process or their membership. */
  readonly busy = new Set<Peer>();
  /** Told to leave: they end by themselves. */
  readonly leaving = new Set<Peer>();
  /** Joins under way. */
  readonly joining = new Set<Promise<void>>();
  readonly #rules = new Set<FaultRule>();
  readonly #ends = new Map<End, Promise<void>>();
  #running = false;
  #loop: Promise<void> | undefined;

  constructor(context: FaultContext) {
    this.context = context;
  }

  start(): void {
    this.#running = true;
    this.#loop = this.#run();
  }

  /** Ends every fault: processes run, the network carries, the under store behaves. */
  async stop(): Promise<void> {
    this.#running = false;
    await this.#loop;
    await Promise.all(this.#ends.values());
    await Promise.all(this.joining);
    this.context.stage.cluster.heal();
    this.#rules.clear();
    this.context.stage.calm();
  }

  /** One of those that nothing is done to. */
  idlePeer(): Peer | undefined {
    const { stage, random } = this.context;
    const peers = stage.cluster.runningPeers.filter(
      (peer) => !this.busy.has(peer) && !this.leaving.has(peer) && peer.serves,
    );
    return peers[randomInt(random, Math.max(1, peers.length))];
  }

  addRule(rule: FaultRule): End {
    this.#rules.add(rule);
    this.context.stage.script(...this.#rules);
    return () => {
      this.#rules.delete(rule);
      this.context.stage.script(...this.#rules);
    };
  }

  async #run(): Promise<void> {
    const { random, ledger } = this.context;
    const kinds = Object.keys(CATALOGUE);
    while (this.#running) {
      const kind = kinds[randomInt(random, kinds.length)] ?? '';
      const lengthMs = LENGTH_MIN_MS + randomInt(random, LENGTH_MAX_MS - LENGTH_MIN_MS);
      const end = await CATALOGUE[kind]?.(this);
      if (end !== undefined) {
        ledger.count('faults', kind);
        ledger.say(`${kind}, ${lengthMs} ms`);
        this.#endLater(end, lengthMs);
      }
      await this.#rest(PAUSE_MIN_MS + randomInt(random, PAUSE_MAX_MS - PAUSE_MIN_MS));
    }
  }

  #endLater(end: End, lengthMs: number): void {
    const ended = this.#rest(lengthMs)
      .then(end)
      .catch((error: unknown) => {
        this.context.ledger.fail(`a fault could not be undone: ${String(error)}`);
      })
      .finally(() => this.#ends.delete(end));
    this.#ends.set(end, ended);
  }

  /** Shorter when the faults are to stop. */
  async #rest(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0 && this.#running; leftMs -= 100)
      await delay(Math.min(100, leftMs));
  }
}

/** Takes an idle peer for as long as something is done to its process. */
async function toPeer(
  faults: SoakFaults,
  begin: (peer: Peer) => Promise<void> | void,
  end: (peer: Peer) => Promise<void> | void,
): Promise<End | undefined> {
  const peer = faults.idlePeer();
  if (peer === undefined) return undefined;
  faults.busy.add(peer);
  await begin(peer);
  return async () => {
    await end(peer);
    faults.busy.delete(peer);
  };
}

/** Spoils what flows from one peer to another, or both ways. */
function toLink(faults: SoakFaults, spoil: Faults, bothWays: boolean): End | undefined {
  const { stage, random } = faults.context;
  const peers = stage.cluster.runningPeers;
  const from = peers[randomInt(random, Math.max(1, peers.length))];
  const to = peers[randomInt(random, Math.max(1, peers.length))];
  if (from === undefined || to === undefined || from === to) return undefined;
  const set = (how: Faults): void => {
    stage.cluster.spoil(from, to, how);
    if (bothWays) stage.cluster.spoil(to, from, how);
  };
  set(spoil);
  return () => {
    set({});
  };
}

/** One peer alone on its side. */
function partition(faults: SoakFaults): End | undefined {
  const { cluster } = faults.context.stage;
  const alone = faults.idlePeer();
  if (alone === undefined) return undefined;
  const others = cluster.peers.filter((peer) => peer !== alone);
  const set = (how: Faults): void => {
    for (const other of others) {
      cluster.spoil(alone, other, how);
      cluster.spoil(other, alone, how);
    }
  };
  set({ silent: true });
  return () => {
    set({});
  };
}

/** One bit of one region file of a running peer. */
async function flipBit(faults: SoakFaults): Promise<End | undefined> {
  const { random } = faults.context;
  const peer = faults.idlePeer();
  if (peer === undefined) return undefined;
  const folder = join(peer.dataDir, 'cache');
  const regions = (await readdir(folder)).filter((name) => name.endsWith('.dat'));
  const region = regions[randomInt(random, Math.max(1, regions.length))];
  if (region === undefined) return undefined;
  const file = await open(join(folder, region), 'r+');
  try {
    const { size } = await file.stat();
    const byte = Buffer.alloc(1);
    // Zeros are most likely where nothing was written yet.
    for (let attempt = 0; attempt < 50; attempt++) {
      const at = randomInt(random, Math.max(1, size));
      const { bytesRead } = await file.read(byte, 0, 1, at);
      if (bytesRead === 0 || byte[0] === 0) continue;
      byte[0] = (byte[0] ?? 0) ^ (1 << randomInt(random, 8));
      await file.write(byte, 0, 1, at);
      return () => undefined;
    }
  } finally {
    await file.close();
  }
  return undefined;
}

/** More than fits beside the rest. */
async function pressure(faults: SoakFaults): Promise<End | undefined> {
  const { stage, random } = faults.context;
  const prefix = `pressure-${randomInt(random, 1000)}`;
  for (let number = 0; number < 12; number++) {
    stage.origin.objects.put(`${prefix}/f${number}`, 2 * 1024 * 1024);
  }
  const peer = faults.idlePeer();
  const path = `s3://origin/${prefix}`;
  const accepted = await peer?.api.submit({ path, replicas: 2 }).catch(() => undefined);
  return accepted && (() => undefined);
}

function join_(faults: SoakFaults): End | undefined {
  const { stage, peerCount, ledger } = faults.context;
  const { cluster } = stage;
  if (cluster.peers.length > peerCount || faults.joining.size > 0) return undefined;
  const joined: Promise<void> = cluster.addPeer().then(
    () => undefined,
    // It goes on trying, and has to be in when all is calm.
    () => {
      ledger.count('joins', 'late');
    },
  );
  faults.joining.add(joined);
  void joined.finally(() => faults.joining.delete(joined));
  return () => undefined;
}

async function leave(faults: SoakFaults): Promise<End | undefined> {
  const { stage, peerCount } = faults.context;
  if (stage.cluster.peers.length <= peerCount - 1 || faults.leaving.size > 0) return undefined;
  const leaver = faults.idlePeer();
  const asked = stage.cluster.runningPeers.find((peer) => peer !== leaver);
  if (leaver === undefined || asked === undefined) return undefined;
  try {
    const { id } = await leaver.api.self();
    faults.leaving.add(leaver);
    await asked.api.removeMember(id);
    return () => undefined;
  } catch {
    // Whether it was taken is not known: it is told again when all is calm.
    return () => undefined;
  }
}

function change(faults: SoakFaults): End {
  faults.context.model.change();
  return () => undefined;
}

const CATALOGUE: Readonly<Record<string, Begin>> = {
  'kill -9': (faults) =>
    toPeer(
      faults,
      (peer) => peer.kill(),
      (peer) => peer.start().then(() => peer.waitReady(60_000).catch(() => undefined)),
    ),
  pause: (faults) =>
    toPeer(
      faults,
      (peer) => {
        peer.pause();
      },
      (peer) => {
        peer.resume();
      },
    ),
  restart: (faults) =>
    toPeer(
      faults,
      async (peer) => {
        const exit = await peer.stop(20_000);
        if (exit?.code === 0) return;
        faults.context.ledger.fail(
          `peer ${peer.index} ended with ${JSON.stringify(exit)} at SIGTERM`,
        );
      },
      (peer) => peer.start().then(() => peer.waitReady(60_000).catch(() => undefined)),
    ),
  'cut one way': (faults) => toLink(faults, { silent: true }, false),
  'cut both ways': (faults) => toLink(faults, { silent: true }, true),
  partition,
  'slow link': (faults) =>
    toLink(faults, { bandwidthBytesPerSecond: 128 * 1024, latencyMs: 20 }, true),
  'late link': (faults) => toLink(faults, { latencyMs: 150, jitterMs: 100 }, true),
  'links reset': (faults) => {
    faults.context.stage.cluster.resetLinks();
    return () => undefined;
  },
  'origin 503': (faults) =>
    faults.addRule({ probability: 0.6, action: { kind: 'status', status: 503, code: 'SlowDown' } }),
  'origin reset': (faults) =>
    faults.addRule({ operation: 'get', probability: 0.3, action: { kind: 'reset', at: 1000 } }),
  'origin short': (faults) =>
    faults.addRule({
      operation: 'get',
      probability: 0.3,
      action: { kind: 'resize', byBytes: -100 },
    }),
  'origin slow': (faults) =>
    faults.addRule({ operation: 'get', action: { kind: 'delay', delayMs: 300 } }),
  'object changed': change,
  'object changed again': change,
  'object deleted': (faults) => faults.context.model.delete(),
  'bit flipped': flipBit,
  'cache pressure': pressure,
  join: join_,
  leave,
};
