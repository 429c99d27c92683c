/** Thousands of clients: some take their time, some leave in the middle, some say nothing. */
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { SeededRandom } from '../../src/base/random.ts';
import { KIB, MIB } from '../../src/base/units.ts';
import { sha256 } from '../support/faulty-origin.ts';
import type { Peer } from '../support/peer-process.ts';
import { inTurns, pathOf, type Asserts } from './expect.ts';
import { limitedTo, openCount, ownOpenFileLimit, residentBytes } from './limited.ts';
import { Stage } from './stage.ts';
import { SteadyReader } from './steady-reader.ts';
import { StormClient } from './storm.ts';

const SEGMENT_BYTES = MIB;
const BIG_BYTES = 64 * MIB;
const SOCKET_COUNT = 2_000;
const SLOW_COUNT = 200;
/** Of what others hold: each wants two connections. */
const REMOTE_SLOW_COUNT = 80;
const LEAVER_COUNT = 300;
const SLOW_BYTES_PER_SECOND = KIB;
const FETCH_MS = 2_000;
const PATIENCE_MS = 5_000;
/** Of the second peer: readers may have 58 connections to others. */
const FEW = 512;
const SEED = Number(process.env['STORM_SEED'] ?? 20261130);

let stage: Stage;
test.before(async () => {
  stage = await Stage.open({
    places: [{ host: '127.0.0.1', prefix: [] }, limitedTo(FEW)],
    cacheCapacity: '256MiB',
    env: {
      RINGLOAD_LOAD_SEGMENT_SIZE_BYTES: SEGMENT_BYTES,
      RINGLOAD_LOAD_CONCURRENCY: 4,
      // The storm is to be met by what it is, not by members that are too busy to be heard.
      RINGLOAD_LIVENESS_DOWN_AFTER_MS: 60_000,
    },
    // A read that gets no answer from a peer for so long asks the store.
    envOf: (index): Record<string, string> =>
      index === 1 ? { RINGLOAD_LIVENESS_DOWN_AFTER_MS: String(PATIENCE_MS) } : {},
  });
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
});

function peerAt(index: number): Peer {
  const peer = stage.cluster.peers[index];
  if (!peer) throw new Error(`no peer ${index}`);
  return peer;
}

/** Until a figure has grown no more for a while. */
async function untilSteady(figure: () => Promise<number>): Promise<void> {
  let seen = await figure();
  for (let steadyCount = 0; steadyCount < 8;) {
    await delay(250);
    const next = await figure();
    steadyCount = next > seen + 2 * MIB ? 0 : steadyCount + 1;
    seen = Math.max(seen, next);
  }
}

/** Slow readers, each of which takes a little every second until the storm is over. */
class SlowReaders implements Disposable {
  readonly clients: readonly StormClient[];
  readonly #timer: NodeJS.Timeout;
  readonly #key: string;

  constructor(peer: Peer, key: string, count: number) {
    this.#key = key;
    this.clients = Array.from({ length: count }, () => StormClient.reading(peer, key));
    this.#timer = setInterval(() => {
      for (const client of this.clients) client.take(SLOW_BYTES_PER_SECOND);
    }, 1_000);
  }

  /** All have got a part, and what they got is right. */
  async expectServed(t: Asserts): Promise<void> {
    const { clients } = this;
    await stage.cluster.waitFor(
      () => clients.every(({ bodyBytes, isClosed }) => bodyBytes > 0 || isClosed),
      'every slow reader to get a part',
    );
    t.deepEqual([...new Set(clients.map(({ status }) => status))], [200]);
    t.is(clients.filter(({ isClosed }) => isClosed).length, 0, 'slow readers were cut off');
    const expected = stage.origin.expectedBytes(this.#key, 0, 64 * KIB);
    const isRight = ({ body, bodyBytes }: StormClient): boolean =>
      Buffer.concat(body).equals(expected.subarray(0, bodyBytes));
    t.is(clients.filter((client) => !isRight(client)).length, 0, 'other bytes');
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const { socket } of this.clients) socket.destroy();
  }
}

test.serial(
  'storm: two thousand sockets, slow readers, clients that leave: bounded, others are served, all comes back',
  async (t) => {
    const peer = peerAt(0);
    const random = new SeededRandom(SEED);
    const big = stage.addFiles({ count: 1, sizeBytes: BIG_BYTES });
    const small = stage.addFiles({ count: 12, sizeBytes: 100_000 });
    for (const data of [big, small]) await (await stage.load(data, { replicas: 3 })).succeeds();
    const [bigKey = ''] = big.keys;
    const baseline = { files: await openCount(peer), bytes: await residentBytes(peer) };
    const fetches = stage.origin.countOf('get');
    const socketCount = Math.min(SOCKET_COUNT, (await ownOpenFileLimit()) - 500);

    const most = { files: 0, bytes: 0 };
    const look = async (): Promise<void> => {
      most.files = Math.max(most.files, await openCount(peer));
      most.bytes = Math.max(most.bytes, await residentBytes(peer));
    };
    await using reader = new SteadyReader({
      keys: small.keys,
      peers: () => [peer],
      expectedSha256: (key) => stage.origin.expectedSha256(key),
    });
    {
      const heads = ['', 'GET /v1/files/content?path=', 'GET /livez HTTP/1.1\r\nHost: st'];
      const silent = Array.from(
        { length: socketCount - SLOW_COUNT - LEAVER_COUNT },
        (_unused, number) => new StormClient(peer, heads[number % heads.length] ?? ''),
      );
      using slow = new SlowReaders(peer, bigKey, SLOW_COUNT);
      await inTurns(Array.from({ length: LEAVER_COUNT }), 50, async () => {
        const client = StormClient.reading(peer, bigKey);
        await client.leaveAfter(Math.floor(random.next() * 256 * KIB));
        await look();
      });
      await slow.expectServed(t);
      await untilSteady(async () => {
        await look();
        return most.bytes;
      });
      for (const { socket } of silent) socket.destroy();
    }
    await reader.expectUnhurt(t);
    const growthMib = (most.bytes - baseline.bytes) / MIB;
    t.log(
      `seed ${SEED}, ${socketCount} sockets: ${most.files} open at most (${baseline.files} before), ` +
        `${growthMib.toFixed(0)} MiB more at most`,
    );
    t.true(most.files > baseline.files + socketCount / 2, 'there was no storm');
    t.true(most.files <= baseline.files + socketCount + 2 * SLOW_COUNT + 64);
    // 64 MiB for chunks of readers, for each a block of what it reads and one of what comes next,
    // and what a process takes that has two thousand connections.
    t.true(growthMib <= 64 + SLOW_COUNT / 8 + 150, `${growthMib} MiB`);
    t.is(stage.origin.countOf('get'), fetches, 'the store was asked for what is cached');
    await stage.cluster.waitFor(
      async () => (await openCount(peer)) <= baseline.files + 32,
      'the descriptors to come back',
    );
  },
);

test.serial(
  'storm: where slow readers want every connection to other peers, others read what those hold',
  async (t) => {
    const peer = peerAt(1);
    const big = stage.addFiles({ count: 1, sizeBytes: BIG_BYTES });
    const small = stage.addFiles({ count: 24, sizeBytes: 100_000 });
    for (const data of [big, small]) await (await stage.load(data)).succeeds();
    using slow = new SlowReaders(peer, big.keys[0] ?? '', REMOTE_SLOW_COUNT);
    await stage.cluster.waitFor(
      () => slow.clients.filter(({ bodyBytes }) => bodyBytes > 0).length >= 20,
      'some slow readers to have what they can',
    );
    const fetches = stage.origin.getsBelow(small.prefix).length;
    await using reader = new SteadyReader({
      keys: small.keys,
      peers: () => [peer],
      expectedSha256: (key) => stage.origin.expectedSha256(key),
    });
    await stage.cluster.waitFor(() => reader.readCount >= 2 * small.keys.length, 'reads');
    await reader.expectUnhurt(t);
    await slow.expectServed(t);
    t.is(
      stage.origin.getsBelow(small.prefix).length,
      fetches,
      'the store was asked for what is cached',
    );
  },
);

test.serial('storm: a fetch goes on for those who wait when who began it has gone', async (t) => {
  const cold = stage.addFiles({ count: 6, sizeBytes: SEGMENT_BYTES });
  stage.slowReads(FETCH_MS);
  t.teardown(() => {
    stage.calm();
  });
  const readColdly = async (key: string): Promise<void> => {
    const first = StormClient.reading(peerAt(0), key);
    await stage.cluster.waitFor(() => stage.origin.countOf('get', key) > 0, 'the fetch to begin');
    const waiting = stage.cluster.peers.map((peer) => peer.api.readFile(pathOf(key)));
    await delay(FETCH_MS / 4);
    first.socket.destroy();
    t.is(first.bodyBytes, 0, 'the fetch was over before the client left');
    const expected = stage.origin.expectedSha256(key);
    for (const bytes of await Promise.all(waiting)) t.is(sha256(bytes), expected);
    t.is(stage.origin.countOf('get', key), 1, key);
  };
  await Promise.all(cold.keys.slice(0, 6).map(readColdly));
});
