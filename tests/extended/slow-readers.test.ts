/** Clients that take their time, or leave in the middle, and what others have of it. */
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { MIB } from '../../src/base/units.ts';
import { sha256 } from '../support/faulty-origin.ts';
import type { Peer } from '../support/peer-process.ts';
import { pathOf } from '../fault/expect.ts';
import { limitedTo } from '../fault/limited.ts';
import { SlowReaders } from '../fault/slow-readers.ts';
import { Stage } from '../fault/stage.ts';
import { SteadyReader } from '../fault/steady-reader.ts';
import { StormClient } from '../fault/storm.ts';

const SEGMENT_BYTES = MIB;
const BIG_BYTES = 64 * MIB;
/** Each wants two connections to other peers. */
const SLOW_COUNT = 80;
const FETCH_MS = 2_000;
const PATIENCE_MS = 5_000;
/** Of the second peer: readers may have 58 connections to others. */
const FEW = 512;

let stage: Stage;
test.before(async () => {
  stage = await Stage.open({
    places: [{ host: '127.0.0.1', prefix: [] }, limitedTo(FEW)],
    cacheCapacity: '256MiB',
    env: {
      RINGLOAD_LOAD_SEGMENT_SIZE_BYTES: SEGMENT_BYTES,
      RINGLOAD_LOAD_CONCURRENCY: 4,
      // Slow readers are to be met by what they are, not by members that are too busy to be heard.
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

test.serial(
  'slow readers: where they want every connection to other peers, others read what those hold',
  async (t) => {
    const peer = peerAt(1);
    const big = stage.addFiles({ count: 1, sizeBytes: BIG_BYTES });
    const small = stage.addFiles({ count: 24, sizeBytes: 100_000 });
    for (const data of [big, small]) await (await stage.load(data)).succeeds();
    using slow = new SlowReaders(stage, peer, big.keys[0] ?? '', SLOW_COUNT);
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

test.serial(
  'slow readers: a fetch goes on for those who wait when who began it has gone',
  async (t) => {
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
  },
);
