/** A crowd of readers of one cold object, and readers whose source dies or stops in the middle. */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { GIB, MIB } from '../../src/base/units.ts';
import { sha256 } from '../support/faulty-origin.ts';
import type { Peer } from '../support/peer-process.ts';
import { pathOf } from '../fault/expect.ts';
import { residentBytes } from '../fault/limited.ts';
import { SlowReaders } from '../fault/slow-readers.ts';
import { Stage } from '../fault/stage.ts';

const SEGMENT_BYTES = 8 * MIB;
const READER_COUNT = 1_000;
const SLOW_COUNT = 60;
/** Of each peer, above what it takes idle: chunks for a few hundred connections, and the heap. */
const GROWTH_MAX_MIB = 400;

function contentUrl(peer: Peer, key: string): string {
  return `${peer.restUrl}/v1/files/content?path=${encodeURIComponent(pathOf(key))}`;
}

test.serial(
  'crowd: a thousand readers of a cold object of 1 GiB have it fetched once',
  async (t) => {
    await using stage = await Stage.open({
      cacheCapacity: '1GiB',
      env: {
        RINGLOAD_LOAD_SEGMENT_SIZE_BYTES: SEGMENT_BYTES,
        RINGLOAD_CACHE_REGION_SIZE_BYTES: '64MiB',
        // The crowd is to be met by what it is, not by members that are too busy to be heard.
        RINGLOAD_LIVENESS_SUSPECT_AFTER_MS: 30_000,
        RINGLOAD_LIVENESS_DOWN_AFTER_MS: 60_000,
      },
    });
    const { peers } = stage.cluster;
    const { keys } = stage.addFiles({ count: 1, sizeBytes: GIB });
    const [key = ''] = keys;
    const idleBytes = await Promise.all(peers.map(residentBytes));
    const mostBytes = [...idleBytes];
    let isOver = false;
    const watching = (async () => {
      while (!isOver) {
        for (const [index, peer] of peers.entries()) {
          mostBytes[index] = Math.max(mostBytes[index] ?? 0, await residentBytes(peer));
        }
        await delay(100);
      }
    })();

    const slow = peers.map((peer) => new SlowReaders(stage, peer, key, SLOW_COUNT / peers.length));
    const startMs = performance.now();
    const count = READER_COUNT - SLOW_COUNT;
    const read = async (reader: number): Promise<boolean> => {
      // All together read every byte, each a part of its own.
      const offset = Math.floor((reader * GIB) / count);
      const length = Math.floor(((reader + 1) * GIB) / count) - offset;
      const peer = peers[reader % peers.length] as Peer;
      const headers = { range: `bytes=${offset}-${offset + length - 1}` };
      const answer = await fetch(contentUrl(peer, key), { headers });
      const hash = createHash('sha256');
      try {
        for await (const chunk of answer.body as AsyncIterable<Uint8Array>) hash.update(chunk);
      } catch (thrown) {
        throw new Error(`reader ${reader}, status ${answer.status}\n${stage.cluster.logs()}`, {
          cause: thrown,
        });
      }
      const expected = sha256(stage.origin.expectedBytes(key, offset, length));
      return answer.status === 206 && hash.digest('hex') === expected;
    };
    const reads = Array.from({ length: count }, (_, reader) => read(reader));
    const areRight = await Promise.all(reads).finally(() => {
      isOver = true;
    });
    const seconds = (performance.now() - startMs) / 1000;
    await watching;
    for (const readers of slow) await readers.expectServed(t);
    for (const readers of slow) readers[Symbol.dispose]();

    const growthMib = mostBytes.map((bytes, index) => (bytes - (idleBytes[index] ?? 0)) / MIB);
    const gets = stage.origin.countOf('get', key);
    const heads = stage.origin.countOf('head', key);
    t.log(`${count} ranges in ${seconds.toFixed(1)} s beside ${SLOW_COUNT} readers of 1 KB/s`);
    t.log(`${gets} GETs, ${stage.origin.sentBytesOf(key)} bytes, ${heads} HEADs`);
    t.log(`memory grew by ${growthMib.map((mib) => mib.toFixed(0)).join(', ')} MiB at most`);
    t.is(areRight.filter((isRight) => !isRight).length, 0, 'other bytes');
    t.is(gets, GIB / SEGMENT_BYTES);
    t.is(stage.origin.sentBytesOf(key), GIB);
    // One look-up runs at a time, and a peer remembers it for a second.
    t.true(heads <= peers.length * (seconds + 10), `${heads} HEADs`);
    t.true(Math.max(...growthMib) < GROWTH_MAX_MIB, growthMib.join());
  },
);

for (const [how, strike] of [
  ['is killed', (peer: Peer) => peer.kill()],
  [
    'stops',
    async (peer: Peer) => {
      peer.pause();
    },
  ],
] as const) {
  test.serial(`fail-over: an owner that ${how} in mid-read costs no reader a byte`, async (t) => {
    await using stage = await Stage.open({
      env: { RINGLOAD_LOAD_SEGMENT_SIZE_BYTES: MIB, RINGLOAD_LOAD_CONCURRENCY: 4 },
    });
    const data = stage.addFiles({ count: 1, sizeBytes: 48 * MIB });
    const [key = ''] = data.keys;
    await (await stage.load(data, { replicas: 2 })).succeeds();
    const gets = stage.origin.countOf('get', key);
    const leader = await stage.cluster.waitForLeader();
    const [owner, reader] = stage.cluster.peers.filter((peer) => peer !== leader);
    if (!owner || !reader) throw new Error('two followers are needed');
    const expected = stage.origin.expectedSha256(key);
    let readCount = 0;
    const read = async (paceMs: number): Promise<void> => {
      const answer = await fetch(contentUrl(reader, key));
      const hash = createHash('sha256');
      for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
        hash.update(chunk);
        if (paceMs > 0) await delay(paceMs);
      }
      t.is(hash.digest('hex'), expected);
      readCount++;
    };
    // Some are in the middle of a segment when it happens, some begin while nobody knows of it.
    const reads = Array.from({ length: 6 }, (_, number) => read(number % 3));
    await delay(200);
    await strike(owner);
    const startMs = performance.now();
    for (let number = 0; number < 6; number++) reads.push(read(0));
    await Promise.all(reads);
    t.log(`all ended ${Math.round(performance.now() - startMs)} ms after it`);
    t.is(readCount, 12);
    if (owner.paused) owner.resume();
    t.is(stage.origin.countOf('get', key), gets, 'the store was not asked: two owners had it');
  });
}
