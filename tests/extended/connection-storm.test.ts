/** Two thousand clients at once: some take their time, some leave in the middle, some say nothing. */
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { SeededRandom } from '../../src/base/random.ts';
import { KIB, MIB } from '../../src/base/units.ts';
import { inTurns } from '../fault/expect.ts';
import { openCount, ownOpenFileLimit, residentBytes } from '../fault/limited.ts';
import { SlowReaders } from '../fault/slow-readers.ts';
import { Stage } from '../fault/stage.ts';
import { SteadyReader } from '../fault/steady-reader.ts';
import { StormClient } from '../fault/storm.ts';

const SEGMENT_BYTES = MIB;
const BIG_BYTES = 64 * MIB;
const SOCKET_COUNT = 2_000;
const SLOW_COUNT = 200;
const LEAVER_COUNT = 300;
/** What a process takes that has two thousand connections. */
const PROCESS_MIB = 240;
const SEED = Number(process.env['STORM_SEED'] ?? 20261130);

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

test('storm: two thousand sockets, slow readers, clients that leave: bounded, others are served, all comes back', async (t) => {
  await using stage = await Stage.open({
    cacheCapacity: '256MiB',
    env: {
      RINGLOAD_LOAD_SEGMENT_SIZE_BYTES: SEGMENT_BYTES,
      RINGLOAD_LOAD_CONCURRENCY: 4,
      // The storm is to be met by what it is, not by members that are too busy to be heard.
      RINGLOAD_LIVENESS_DOWN_AFTER_MS: 60_000,
    },
  });
  const [peer] = stage.cluster.peers;
  if (!peer) throw new Error('no peers');
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
    using slow = new SlowReaders(stage, peer, bigKey, SLOW_COUNT);
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
  // 64 MiB for chunks of readers, and for each a block of what it reads and one of what comes next.
  t.true(growthMib <= 64 + SLOW_COUNT / 8 + PROCESS_MIB, `${growthMib} MiB`);
  t.is(stage.origin.countOf('get'), fetches, 'the store was asked for what is cached');
  await stage.cluster.waitFor(
    async () => (await openCount(peer)) <= baseline.files + 32,
    'the descriptors to come back',
  );
});
