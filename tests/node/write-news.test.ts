/**
 * Reads after writes, through any of three peers: catalogues, what is remembered of heads, loads
 * that record what they listed before, and peers that are away, against a model. `WRITES_SEED=n`
 * replays one history.
 */
import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError } from '../../src/base/errors.ts';
import { peerId, type PeerId } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { randomInt, SeededRandom } from '../../src/base/random.ts';
import type { FileRecord } from '../../src/cache/file-catalog.ts';
import { MemoryFileCatalog } from '../../src/cache/memory-file-catalog.ts';
import { WriteNews } from '../../src/node/write-news.ts';
import type { LinkStatus, PeerNetwork, RequestHandler } from '../../src/peer/peer-network.ts';
import { FileReader } from '../../src/read/file-reader.ts';
import { WrittenPaths } from '../../src/read/written-paths.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';

const SEED = Number(process.env['WRITES_SEED'] ?? 1);
const NAMES = ['p1', 'p2', 'p3'].map(peerId);
const PATHS = ['s3://b/a', 's3://b/b'];
const MINUTE_MS = 60_000;

interface Peer {
  readonly id: PeerId;
  readonly reader: FileReader;
  readonly catalog: MemoryFileCatalog;
  readonly news: WriteNews;
  readonly written: WrittenPaths;
}

class World {
  readonly clock = new ManualClock();
  readonly under = new MemoryUnderStore();
  readonly peers: Peer[] = [];
  readonly away = new Set<PeerId>();
  /** Paths that a running job loads. */
  readonly loaded = new Set<string>();
  readonly #handlers = new Map<PeerId, Map<string, RequestHandler>>();
  readonly #listeners = new Map<PeerId, ((status: LinkStatus) => void)[]>();

  constructor() {
    for (const id of NAMES) this.peers.push(this.#peer(id));
  }

  peer(index: number): Peer {
    return this.peers[index]!;
  }

  setAway(id: PeerId, isAway: boolean): void {
    if (isAway) this.away.add(id);
    else this.away.delete(id);
    for (const from of NAMES) {
      if (from === id) continue;
      for (const [to, other] of [
        [id, from],
        [from, id],
      ] as const) {
        const status = { peerId: other, connected: !isAway, lastHeardMs: 0, generation: 1 };
        for (const tell of this.#listeners.get(to) ?? []) tell(status);
      }
    }
  }

  #peer(id: PeerId): Peer {
    const { clock, under, away } = this;
    const stores = { storeOf: () => under, mounts: ['s3://b'] };
    const written = new WrittenPaths(clock);
    const catalog = new MemoryFileCatalog();
    const catalogAt = (peer: PeerId, path: string): Promise<FileRecord | undefined> => {
      const there = this.peers.find((one) => one.id === peer);
      if (!there || away.has(peer) || away.has(id)) throw unreachable(peer);
      if (there.written.stateOf(path)) return Promise.resolve(undefined);
      return there.catalog.get(path);
    };
    const reader = new FileReader({
      ...{ catalog, stores, clock, written },
      sources: undefined as never,
      network: { recordAt: async (peer: PeerId, path: string) => catalogAt(peer, path) } as never,
      placement: () => ({
        ...{ self: id, members: NAMES, ownersOf: () => NAMES.slice(0, 2) },
        isReachable: (peer) => !away.has(peer) && !away.has(id),
      }),
      segmentSizeBytes: 10,
      statTimeoutMs: MINUTE_MS,
      metadataMaxAgeMs: 1000,
    });
    const news = new WriteNews({
      ...{ self: id, startId: '1', network: this.#network(id), written, catalog, clock },
      members: () => NAMES,
      isInUse: (path) => this.loaded.has(path),
      versionAtStore: async (path) =>
        under.stat(path, new AbortController().signal).then(
          ({ version }) => version,
          () => undefined,
        ),
      logger: silentLogger,
    });
    news.onForget((path) => {
      reader.forget(path);
    });
    return { id, reader, catalog, news, written };
  }

  #network(id: PeerId): PeerNetwork {
    const handlers = new Map<string, RequestHandler>();
    const listeners: ((status: LinkStatus) => void)[] = [];
    this.#handlers.set(id, handlers);
    this.#listeners.set(id, listeners);
    return {
      request: async (to: PeerId, type: string, payload: unknown) => {
        await Promise.resolve();
        if (this.away.has(to) || this.away.has(id)) throw unreachable(to);
        return this.#handlers.get(to)?.get(type)?.(id, structuredClone(payload));
      },
      onRequest: (type: string, handler: RequestHandler) => void handlers.set(type, handler),
      onLinkChange: (listener: (status: LinkStatus) => void) => {
        listeners.push(listener);
        return () => undefined;
      },
    } as unknown as PeerNetwork;
  }
}

function unreachable(peer: PeerId): RingloadError {
  return new RingloadError('peer_unreachable', `${peer} is away`);
}

/** What a peer says that the path is. */
async function versionThrough({ reader }: Peer, path: string): Promise<string> {
  return reader.stat(path).then(
    ({ version }) => version,
    (thrown: unknown) => (thrown as RingloadError).code,
  );
}

async function settle(rounds = 20): Promise<void> {
  for (let i = 0; i < rounds; i++) await new Promise((resolve) => setImmediate(resolve));
}

async function write(world: World, { news }: Peer, path: string, text: string | undefined) {
  const notice = await news.begin([path]);
  const version = text === undefined ? undefined : world.under.put(path, Buffer.from(text)).version;
  if (version === undefined) world.under.delete(path);
  await notice.end(true);
  return version ?? 'ufs_not_found';
}

const recordOf = (path: string, version: string): FileRecord => ({
  ...{ path, version, sizeBytes: 4, mtimeMs: 0, segmentSizeBytes: 10, segmented: true },
  replicaCount: 2,
});

test(`writes: every read after one is right, whichever peer is asked (seed ${SEED})`, async (t) => {
  const random = new SeededRandom(SEED);
  const counts = { writes: 0, deletes: 0, reads: 0, records: 0, refused: 0 };
  for (let history = 0; history < 40; history++) {
    const world = new World();
    const truth = new Map(PATHS.map((path) => [path, 'ufs_not_found']));
    const listed = new Map<string, string>();
    const pick = (): Peer => world.peer(randomInt(random, 3));
    for (let step = 0; step < 60; step++) {
      const path = PATHS[randomInt(random, PATHS.length)]!;
      const kind = randomInt(random, 9);
      world.clock.advance(randomInt(random, 700));
      if (kind < 2) {
        truth.set(path, await write(world, pick(), path, `${step}...`.slice(0, 4)));
        counts.writes++;
      } else if (kind === 2) {
        truth.set(path, await write(world, pick(), path, undefined));
        counts.deletes++;
      } else if (kind === 3) {
        // A load lists what is there …
        world.loaded.add(path);
        listed.set(path, truth.get(path)!);
      } else if (kind === 4 && world.loaded.has(path)) {
        // … and records it at the homes, whatever was written meanwhile, and ends.
        const version = listed.get(path)!;
        if (version !== 'ufs_not_found') {
          for (const index of [0, 1]) {
            await world.peer(index).catalog.putAll([recordOf(path, version)]);
          }
          counts.records++;
        }
        if (randomInt(random, 2) === 0) world.loaded.delete(path);
      } else if (kind === 5) {
        const notice = await pick().news.begin([path]);
        t.is(await versionThrough(pick(), path), truth.get(path)!);
        await notice.end(false);
        counts.refused++;
      } else if (kind === 6 && randomInt(random, 3) === 0) {
        world.clock.advance(3 * MINUTE_MS);
        await settle();
      }
      for (const peer of world.peers) {
        t.is(
          await versionThrough(peer, path),
          truth.get(path)!,
          `history ${history}, step ${step}`,
        );
        counts.reads++;
      }
    }
    for (const { news } of world.peers) news.close();
  }
  t.log(JSON.stringify(counts));
  t.true(Object.values(counts).every((count) => count > 20));
});

test('writes: a question that was asked before a write tells nobody about it afterwards', async (t) => {
  const world = new World();
  const path = PATHS[0]!;
  await write(world, world.peer(0), path, 'old');
  let answer = (): void => undefined;
  world.under.onCall = () => new Promise<void>((resolve) => (answer = resolve));
  const early = versionThrough(world.peer(1), path);
  await settle();
  const late = answer;
  world.under.onCall = undefined;
  const version = await write(world, world.peer(0), path, 'new');
  late();
  await early;
  t.is(await versionThrough(world.peer(1), path), version);
  for (const { news } of world.peers) news.close();
});

test('writes: a member that was away is told when it is back, and the others once more', async (t) => {
  const world = new World();
  const [first, home] = [world.peer(2), world.peer(0)];
  const path = PATHS[0]!;
  const old = await write(world, first, path, 'old');
  world.clock.advance(5 * MINUTE_MS);
  await settle();
  for (const index of [0, 1]) await world.peer(index).catalog.putAll([recordOf(path, old)]);
  t.is(await versionThrough(home, path), old);
  world.setAway(home.id, true);
  const version = await write(world, first, path, 'new');
  t.is(await versionThrough(world.peer(1), path), version);
  t.is(await versionThrough(home, path), old, 'who cannot be reached has what it has');
  // It hands its record to the other home before it is told.
  await world.peer(1).catalog.putAll([recordOf(path, old)]);
  world.setAway(home.id, false);
  await settle();
  for (const peer of world.peers) t.is(await versionThrough(peer, path), version);
  t.deepEqual(await Promise.all(world.peers.map(({ catalog }) => catalog.count())), [0, 0, 0]);
  for (const { news } of world.peers) news.close();
});

test('writes: of a writer that is gone everything counts as written', async (t) => {
  const world = new World();
  const path = PATHS[0]!;
  const old = await write(world, world.peer(2), path, 'old');
  world.clock.advance(5 * MINUTE_MS);
  await settle();
  for (const index of [0, 1]) await world.peer(index).catalog.putAll([recordOf(path, old)]);
  await world.peer(2).news.begin([path]);
  const { version } = world.under.put(path, Buffer.from('new'));
  world.setAway(world.peer(2).id, true);
  await settle();
  for (const index of [0, 1]) t.is(await versionThrough(world.peer(index), path), version);
  t.is(await world.peer(0).catalog.count(), 0);
  for (const { news } of world.peers) news.close();
});

test('writes: notes are bounded, and end when nothing old can be recorded any more', async (t) => {
  const world = new World();
  const path = PATHS[0]!;
  world.loaded.add(path);
  const old = await write(world, world.peer(0), path, 'old');
  const version = await write(world, world.peer(0), path, 'new');
  await world.peer(0).catalog.putAll([recordOf(path, old)]);
  world.clock.advance(10 * MINUTE_MS);
  await settle();
  t.is(world.peer(0).written.stateOf(path), 'noted', 'a load that covers it runs');
  t.is(await versionThrough(world.peer(1), path), version);
  world.loaded.delete(path);
  world.clock.advance(MINUTE_MS);
  await settle();
  t.is(world.peer(0).written.stateOf(path), undefined);
  t.is(await world.peer(0).catalog.count(), 0);
  const few = new WrittenPaths(world.clock, 2);
  for (const name of ['a', 'b', 'c']) few.end(name, '1', true);
  t.is(few.stateOf('a'), undefined);
  t.is(few.stateOf('c'), 'noted');
  for (const { news } of world.peers) news.close();
});
