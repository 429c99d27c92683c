/**
 * Partitions by the kernel: five peers in network namespaces, packets dropped between them while
 * they load, then healed. Under each cut: at most one leader a term, terms that do not race, a
 * leader within ten election time-outs after healing, and a job that ends truthfully.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { KIB, MIB } from '../../src/base/units.ts';
import { expectLoaded, pathOf } from '../fault/expect.ts';
import { LeaderWatch } from '../fault/leader-watch.ts';
import type { Load } from '../fault/load.ts';
import { type FileSet, PARALLEL_FETCHES, SEGMENT_BYTES, Stage } from '../fault/stage.ts';
import { sha256 } from '../support/faulty-origin.ts';
import type { Peer } from '../support/peer-process.ts';
import { requires } from '../support/requires.ts';
import { waitFor } from '../support/wait-for.ts';
import { Namespaces } from './support/namespaces.ts';

/** Ten of the longest: ten ticks of 50 ms, doubled by chance at most. */
const TEN_ELECTIONS_MS = 10 * 1_000;
/** Long enough for silence to be seen, elections held and members judged down. */
const CUT_MS = 4_000;

/** For the story of the slow owner, by hosts that are busy with other things. */
const ALL_IN_DEADLINE_MS = 90_000;
/** How often an owner may be found slow in one story: it is given work again after 30 s. */
const RECALLS_MAX_COUNT = 3;
/** Heartbeats, orders and questions of the story itself. */
const CONTROL_MAX_BYTES = 2 * MIB;

/** Idle connections that a peer may keep more than at the beginning, when it had few. */
const SPARE_SOCKETS = 60;

interface Scene {
  readonly stage: Stage;
  readonly net: Namespaces;
  readonly leader: Peer;
  readonly others: readonly [Peer, Peer, Peer, Peer];
}

interface Story {
  /** What holds until healing; what it must not touch is checked by everybody. */
  readonly act: (t: ExecutionContext, scene: Scene, load: Load) => Promise<void>;
  /** Of the load that runs meanwhile. Default 24. */
  readonly fileCount?: number;
  /** Terms that may pass. */
  readonly termsMaxCount: number;
  /** False: nothing is dropped. Default true. */
  readonly drops?: boolean;
}

const missing = await Namespaces.missing();
const inNamespaces = requires(missing);
let net: Namespaces | undefined;
let stage: Stage | undefined;
/** Loaded before any cut: small files, each one segment on two of five peers. */
let cached: FileSet | undefined;
/** Of each peer before the first story. */
let sockets: ReadonlyMap<number, number> | undefined;

test.before(async () => {
  if (missing !== undefined) return;
  net = await Namespaces.create(5);
  stage = await Stage.open({
    peers: 5,
    places: net.places,
    originHost: net.originHost,
    env: {
      RINGLOAD_CLUSTER_SECRET: 'a-secret-of-the-namespaces',
      RINGLOAD_LOAD_SLOW_AFTER_MS: 1_000,
      // As a cluster has it by default: a slow line delays a heartbeat for a second or two.
      RINGLOAD_LIVENESS_SUSPECT_AFTER_MS: 3_000,
      RINGLOAD_LIVENESS_DOWN_AFTER_MS: 6_000,
    },
  });
  cached = stage.addFiles({ count: 30, sizeBytes: 20 * KIB });
  await (await stage.load(cached, { replicas: 2 })).succeeds();
});

test.after.always(async () => {
  await stage?.[Symbol.asyncDispose]();
  await net?.[Symbol.asyncDispose]();
});

function story(title: string, { act, termsMaxCount, drops = true, fileCount = 24 }: Story): void {
  inNamespaces(`namespaces: ${title}`, async (t) => {
    const scene = await openScene();
    sockets ??= socketCounts(scene.stage);
    const watch = new LeaderWatch(scene.stage.cluster);
    try {
      const load = await begin(scene, fileCount);
      await act(t, scene, load);
      if (drops) t.true((await scene.net.droppedCount()) > 0, 'nothing was cut');
      const healedMs = await heal(scene);
      await scene.stage.cluster.waitForLeader({ deadlineMs: TEN_ELECTIONS_MS });
      t.log(`a leader ${Math.round(performance.now() - healedMs)} ms after healing`);
      await load.succeeds(90_000);
      t.log(`the job ended ${Math.round(performance.now() - healedMs)} ms after healing`);
      await scene.stage.restore();
      await expectTrueEnd(t, scene, load);
    } finally {
      await watch.stop();
      await heal(scene);
      await scene.stage.restore();
    }
    t.deepEqual(watch.split, []);
    t.true(watch.sampleCount > 0);
    t.log(`${watch.termGrowth} terms passed`);
    t.true(watch.termGrowth <= termsMaxCount, `${watch.termGrowth} terms passed`);
    await expectSocketsBack(t, scene.stage, sockets);
  });
}

story('the leader alone', {
  act: async (t, { net, leader, others, stage }) => {
    net.partition([leader], others);
    await net.apply();
    const next = await stage.cluster.waitForLeader({ other: leader });
    t.not(next, leader);
    await expectCachedReads(t, stage, leader);
    t.true((await leader.api.cluster()).stale);
  },
  termsMaxCount: 5,
});

story('a minority with the leader', {
  act: async (t, { net, leader, others, stage }) => {
    net.partition([leader, others[0]], others.slice(1));
    await net.apply();
    const next = await stage.cluster.waitForLeader({ other: leader });
    t.false([leader, others[0]].includes(next));
    for (const peer of [leader, others[0]]) await expectCachedReads(t, stage, peer);
  },
  termsMaxCount: 5,
});

story('the leader can send and not receive', {
  act: async (_t, { net, leader, others, stage }) => {
    for (const other of others) net.cut(other, leader);
    await net.apply();
    await stage.cluster.waitForLeader({ other: leader });
    await delay(CUT_MS);
  },
  termsMaxCount: 6,
});

story('the leader can receive and not send', {
  act: async (_t, { net, leader, others, stage }) => {
    for (const other of others) net.cut(leader, other);
    await net.apply();
    await stage.cluster.waitForLeader({ other: leader });
    await delay(CUT_MS);
  },
  termsMaxCount: 6,
});

story('not transitive: the leader and one follower reach all but each other', {
  act: async (t, { net, leader, others, stage }) => {
    net.partition([leader], [others[0]]);
    await net.apply();
    await delay(CUT_MS);
    t.truthy(await stage.cluster.leader());
  },
  termsMaxCount: 6,
});

story('not transitive: two pairs of followers that cannot reach each other', {
  act: async (t, { net, others, stage }) => {
    net.partition([others[0], others[1]], [others[2], others[3]]);
    await net.apply();
    await delay(CUT_MS);
    t.truthy(await stage.cluster.leader());
  },
  termsMaxCount: 6,
});

story('the leader is cut off and back every 100 ms', {
  act: async (t, { net, leader }) => {
    const untilMs = performance.now() + CUT_MS;
    let flapCount = 0;
    for (; performance.now() < untilMs; flapCount++) {
      if (flapCount % 2 === 0) net.isolate(leader);
      else net.heal();
      await net.apply();
      await delay(100);
    }
    t.log(`${flapCount} changes`);
    net.isolate(leader);
    await net.apply();
    await delay(100);
  },
  termsMaxCount: 10,
});

story('links are up and data ports are closed', {
  act: async (_t, { net, leader, others }) => {
    for (const from of [leader, ...others]) {
      for (const to of [leader, ...others]) {
        if (from !== to) net.cut(from, to, { toPort: to.dataPort });
      }
    }
    await net.apply();
    await delay(CUT_MS);
  },
  termsMaxCount: 1,
});

story('data ports are open and links of one owner are down', {
  act: async (_t, { net, leader, others }) => {
    const [owner] = others;
    for (const other of [leader, ...others.slice(1)]) {
      net.cut(other, owner, { toPort: owner.restPort });
      net.cut(owner, other, { toPort: other.restPort });
    }
    await net.apply();
    await delay(CUT_MS);
  },
  termsMaxCount: 5,
});

for (const { percent, termsMaxCount } of [
  // Links live through what TCP repairs in time.
  { percent: 5, termsMaxCount: 3 },
  { percent: 30, termsMaxCount: 20 },
  { percent: 50, termsMaxCount: 20 },
]) {
  story(`${percent} % of all packets are lost`, {
    act: async (_t, { net }) => {
      net.lose(percent);
      await net.apply();
      await delay(CUT_MS);
    },
    termsMaxCount,
  });
}

story('an owner behind 1 Mbit/s: what it is slow at is done by others', {
  fileCount: 70,
  act: async (t, { net, others, stage }, load) => {
    const [slow] = others;
    await net.slowDown(slow, '1mbit');
    const before = await net.receivedBytes(slow);
    const wholeBytes = sum(load.files.keys.map((key) => sizeOf(stage, key)));
    const { counters } = await stage.cluster.waitFor(
      async () => {
        const status = await load.status();
        return status.counters.loadedBytes === wholeBytes ? status : undefined;
      },
      'all to be in the cluster',
      ALL_IN_DEADLINE_MS,
    );
    const received = (await net.receivedBytes(slow)) - before;
    await net.slowDown(slow, undefined);
    const { counters: last } = await load.succeeds(90_000);
    const ownBytes = await ownBytesOf(stage, slow, load.files);
    t.log(
      `all ${mebibytes(wholeBytes)} were in the cluster when the slow owner of ${mebibytes(ownBytes)}` +
        ` had received ${mebibytes(received)}; ${counters.movedTaskCount} fetches were moved`,
    );
    t.true(counters.movedTaskCount > 0);
    t.true(received < ownBytes, 'the slow owner set the pace');
    const requestCount = stage.origin.getsBelow(load.files.prefix).length;
    const sentBytes = sum(load.files.keys.map((key) => stage.origin.sentBytesOf(key)));
    t.log(
      `amplification ${(last.ufsBytes / last.loadedBytes).toFixed(3)} by the job,` +
        ` ${(sentBytes / wholeBytes).toFixed(3)} at the origin, ${requestCount} requests`,
    );
    // What it was fetching when it was found slow, each time that it was.
    const recalledMaxBytes = RECALLS_MAX_COUNT * PARALLEL_FETCHES * SEGMENT_BYTES;
    t.true(sentBytes <= wholeBytes + recalledMaxBytes);
    t.true(last.ufsBytes <= wholeBytes + recalledMaxBytes);
    // Its own copies come to it once, whoever fetched them.
    const inAll = (await net.receivedBytes(slow)) - before;
    t.log(`${mebibytes(inAll)} came over the slow line in all`);
    t.true(inAll <= 1.15 * ownBytes + recalledMaxBytes + CONTROL_MAX_BYTES);
  },
  termsMaxCount: 2,
  drops: false,
});

story('a power cut: connections stay half open, nobody says goodbye', {
  act: async (t, { net, leader, others }) => {
    const [victim] = others;
    net.partition([victim], [leader, ...others.slice(1)]);
    await net.apply();
    await victim.kill();
    await waitFor(
      async () => {
        const { members } = await leader.api.cluster();
        return members.some(({ address, state }) => {
          return address === victim.advertisedAddress && state === 'down';
        });
      },
      { what: 'the silent peer to be down', deadlineMs: 30_000 },
    );
    t.pass();
  },
  termsMaxCount: 2,
});

async function openScene(): Promise<Scene> {
  if (!stage || !net) throw new Error('the stage did not open');
  const leader = await stage.cluster.waitForLeader();
  const others = stage.cluster.peers.filter((peer) => peer !== leader);
  return { stage, net, leader, others: others as unknown as Scene['others'] };
}

/** The origin is quick again, too: what is left of the load needs no time. @returns when it was. */
async function heal({ net, stage }: Scene): Promise<number> {
  stage.calm();
  net.heal();
  await net.apply();
  return performance.now();
}

/** A load that has much before it. */
async function begin({ stage }: Scene, fileCount: number): Promise<Load> {
  const files = stage.addFiles({ count: fileCount });
  stage.slowReads(250);
  const load = await stage.load(files, { replicas: 2 });
  await load.isUnderWay();
  return load;
}

/** What a job that says SUCCEEDED promises, by a further pass if placement changed meanwhile. */
async function expectTrueEnd(t: ExecutionContext, scene: Scene, load: Load): Promise<void> {
  const { stage } = scene;
  const again = await stage.load(load.files, { replicas: 2 });
  await again.succeeds();
  await expectLoaded(t, again);
}

/** What this peer holds is read from it while no quorum is in reach, and the origin is not asked. */
async function expectCachedReads(t: ExecutionContext, stage: Stage, peer: Peer): Promise<void> {
  const { id } = await peer.api.self();
  const held: string[] = [];
  for (const key of cached?.keys ?? []) {
    const { segments } = await peer.api.placement(pathOf(key));
    if (segments.length > 0 && segments.every(({ residentOn }) => residentOn.includes(id))) {
      held.push(key);
    }
  }
  t.true(held.length > 0, 'the peer holds nothing: the story shows nothing');
  const before = held.map((key) => stage.origin.countOf('get', key));
  for (const key of held) {
    t.is(sha256(await peer.api.readFile(pathOf(key))), stage.origin.expectedSha256(key));
  }
  t.deepEqual(
    held.map((key) => stage.origin.countOf('get', key)),
    before,
  );
}

/** Bytes of the files that the ring wants on that peer. */
async function ownBytesOf(stage: Stage, peer: Peer, files: FileSet): Promise<number> {
  const { id } = await peer.api.self();
  let bytes = 0;
  for (const key of files.keys) {
    const { segments } = await peer.api.placement(pathOf(key));
    for (const { index, owners } of segments) {
      if (!owners.includes(id)) continue;
      bytes += Math.min(SEGMENT_BYTES, sizeOf(stage, key) - index * SEGMENT_BYTES);
    }
  }
  return bytes;
}

function sizeOf(stage: Stage, key: string): number {
  return stage.origin.objects.find(key)?.sizeBytes ?? 0;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mebibytes(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

function socketCounts(stage: Stage): ReadonlyMap<number, number> {
  return new Map(stage.cluster.runningPeers.map(({ index, pid }) => [index, socketCountOf(pid)]));
}

function socketCountOf(pid: number): number {
  const folder = `/proc/${String(pid)}/fd`;
  return readdirSync(folder).filter((name) => {
    try {
      return readlinkSync(`${folder}/${name}`).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;
}

/** Idle connections kept for the next request come and go; what leaks only grows. */
async function expectSocketsBack(
  t: ExecutionContext,
  stage: Stage,
  before: ReadonlyMap<number, number>,
): Promise<void> {
  const tooMany = (): string[] =>
    [...socketCounts(stage)]
      .filter(([index, count]) => count > (before.get(index) ?? 0) + SPARE_SOCKETS)
      .map(([index, count]) => `peer ${index}: ${count}, before ${before.get(index) ?? 0}`);
  await waitFor(() => tooMany().length === 0, {
    what: 'sockets to go back',
    deadlineMs: 30_000,
    context: () => tooMany().join('; '),
  });
  t.log(
    `sockets ${[...before.values()].join(' ')} before, ${[...socketCounts(stage).values()].join(' ')} after`,
  );
}
