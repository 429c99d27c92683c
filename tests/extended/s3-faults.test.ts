/** The S3 port of real peers under kill, drain, slow and silent clients, garbage, and few descriptors. */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { get, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { MIB } from '../../src/base/units.ts';
import { SeededRandom } from '../../src/base/random.ts';
import { limitedTo, openCount, residentBytes } from '../fault/limited.ts';
import { Stage } from '../fault/stage.ts';
import { FaultyOrigin, sha256 } from '../support/faulty-origin.ts';
import type { Peer } from '../support/peer-process.ts';

const SEED = Number(process.env['STORM_SEED'] ?? 20261130);
const LARGE_BYTES = 24 * MIB;
const LIMIT = 256;

const urlOf = (peer: Peer, key: string): string => `${peer.s3Url}/${FaultyOrigin.BUCKET}/${key}`;

/** The head of an answer, its body not read on yet. */
function begin(peer: Peer, key: string, headers = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(urlOf(peer, key), { agent: false, headers }, (answer) => {
      answer.pause();
      resolve(answer);
    }).once('error', reject);
  });
}

/** `right`, `cut`, `refused: CODE`, or what else came. */
async function outcomeOf(stage: Stage, key: string, answer: IncomingMessage): Promise<string> {
  const body = await buffer(answer).catch(() => undefined);
  if (!body) return 'cut';
  if (answer.statusCode === 200)
    return sha256(body) === stage.origin.expectedSha256(key) ? 'right' : 'other bytes';
  const code = /<Code>(\w+)<\/Code>/.exec(body.toString())?.[1];
  return answer.statusCode === 503 ? `refused: ${code}` : `${answer.statusCode}: ${code}`;
}

const readOnce = async (stage: Stage, peer: Peer, key: string): Promise<string> => {
  const answer = await begin(peer, key).catch(() => undefined);
  return answer ? outcomeOf(stage, key, answer) : 'no connection';
};

/** A client of S3 goes on where it was, at another peer, and only with the same version. */
async function download(
  peers: readonly Peer[],
  key: string,
  onBegun: () => void,
): Promise<{ readonly sum: string; readonly cutCount: number }> {
  let cutCount = 0;
  const hash = createHash('sha256');
  let received = 0;
  let etag: string | undefined;
  for (const peer of peers) {
    const headers = { range: `bytes=${received}-`, ...(etag && { 'if-match': etag }) };
    try {
      const answer = await begin(peer, key, headers);
      if (answer.statusCode !== 206) return { sum: `status ${answer.statusCode}`, cutCount };
      etag ??= answer.headers.etag;
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        hash.update(chunk);
        received += chunk.length;
        onBegun();
      }
      return { sum: hash.digest('hex'), cutCount };
    } catch {
      cutCount++;
    }
  }
  return { sum: `nobody is left after ${received} bytes`, cutCount };
}

async function loaded(stage: Stage, sizeBytes: number, count = 1): Promise<readonly string[]> {
  const data = stage.addFiles({ count, sizeBytes });
  await (await stage.load(data, { replicas: 3 })).succeeds();
  return data.keys;
}

test('s3 faults: kill in mid-download, garbage and silence beside readers, and a drain', async (t) => {
  await using stage = await Stage.open({
    env: { RINGLOAD_LOAD_SEGMENT_SIZE_BYTES: MIB, RINGLOAD_LIVENESS_DOWN_AFTER_MS: 60_000 },
  });
  const [first, second, third] = stage.cluster.peers;
  if (!first || !second || !third) throw new Error('a cluster has three peers');
  const [large = ''] = await loaded(stage, LARGE_BYTES);
  const small = await loaded(stage, 100_000, 6);

  await expectUnhurtByGarbage(t, stage, first, { large, small });

  let killing: Promise<void> | undefined;
  const got = await download([second, first], large, () => {
    killing ??= second.kill();
  });
  await killing;
  t.deepEqual(got, { sum: stage.origin.expectedSha256(large), cutCount: 1 });
  await second.start();
  await second.waitReady();
  t.is(await readOnce(stage, second, large), 'right', 'the peer that is back');

  const answers = await Promise.all(Array.from({ length: 20 }, () => begin(third, large)));
  const exit = third.stop(60_000);
  const outcomes = await Promise.all(answers.map((answer) => outcomeOf(stage, large, answer)));
  t.deepEqual(await exit, { code: 0, signal: null }, third.logs());
  t.log(`drained: ${outcomes.filter((each) => each === 'right').length} of 20 whole`);
  t.true(outcomes.includes('right'), 'nobody was waited for');
  for (const outcome of outcomes) t.true(outcome === 'right' || outcome === 'cut', outcome);
});

/** A thousand sockets that say what is no request, nothing, or half of one, beside one that stalls. */
async function expectUnhurtByGarbage(
  t: ExecutionContext,
  stage: Stage,
  peer: Peer,
  { large, small }: { large: string; small: readonly string[] },
): Promise<void> {
  const random = new SeededRandom(SEED);
  const before = { files: await openCount(peer), bytes: await residentBytes(peer) };
  const { hostname, port } = new URL(peer.s3Url);
  const noise = (): Buffer =>
    Buffer.from(Array.from({ length: 200 }, () => Math.floor(random.next() * 256)));
  const says: readonly (() => Buffer | string)[] = [
    noise,
    () => '',
    () => 'GET /origin/half HTTP/1.1\r\nHost: x\r\nRange: byt',
    () => 'GET / HTTP/9.9\r\n\r\n\r\n',
    () => `GET /${'x'.repeat(70_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    () => 'PUT /origin/k HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n',
    () => 'GET /origin/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  ];
  const stalled = await begin(peer, large);
  const sockets: Socket[] = [];
  const outcomes: string[] = [];
  for (let round = 0; round < 10; round++) {
    for (let count = 0; count < 100; count++) {
      const socket = connect(Number(port), hostname).on('error', () => undefined);
      socket.resume().write(says[sockets.length % says.length]?.() ?? '');
      sockets.push(socket);
    }
    for (const key of small.slice(0, 3)) outcomes.push(await readOnce(stage, peer, key));
  }
  t.deepEqual([...new Set(outcomes)], ['right'], `seed ${SEED}`);
  const growthMib = ((await residentBytes(peer)) - before.bytes) / MIB;
  t.log(`seed ${SEED}: ${sockets.length} sockets, ${growthMib.toFixed(0)} MiB more`);
  t.true(growthMib < 250, `${growthMib} MiB`);
  t.is(await outcomeOf(stage, large, stalled), 'right', 'who stood still, and reads on');
  for (const socket of sockets) socket.destroy();
  await stage.cluster.waitFor(
    async () => (await openCount(peer)) <= before.files + 32,
    'the descriptors to come back',
  );
  t.true(peer.running);
}

test('s3 faults: at a limit of 256 files clients are told to slow down, and a load goes on', async (t) => {
  await using stage = await Stage.open({ places: [limitedTo(LIMIT)] });
  const [limited] = stage.cluster.peers;
  if (!limited) throw new Error('a cluster has peers');
  const known = await loaded(stage, 100_000, 6);
  const before = await openCount(limited);
  const { hostname, port } = new URL(limited.s3Url);
  const silent = Array.from({ length: 300 }, (_, number) => {
    const socket = connect(Number(port), hostname).on('error', () => undefined);
    if (number % 3 === 0) socket.write('GET /origin/half HTTP/1.1\r\n');
    return socket;
  });
  t.teardown(() => silent.forEach((socket) => socket.destroy()));
  const data = stage.addFiles({ count: 16 });
  stage.slowReads(50);
  const load = await stage.load(data, { replicas: 2 });
  const outcomes = new Map<string, number>();
  let mostOpen = 0;
  const storm = { isOver: false };
  const readers = Array.from({ length: 100 }, async (_, number) => {
    for (let turn = number; !storm.isOver; turn++) {
      const outcome = await readOnce(stage, limited, known[turn % known.length] ?? '');
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      mostOpen = Math.max(mostOpen, await openCount(limited));
    }
  });
  try {
    await load.succeeds();
  } finally {
    storm.isOver = true;
    await Promise.all(readers);
  }
  for (const socket of silent) socket.destroy();
  t.log(`${JSON.stringify([...outcomes])}, ${before} open before, ${mostOpen} at most`);
  t.true((outcomes.get('refused: SlowDown') ?? 0) > 0, 'the limit was not reached');
  const allowed = new Set(['right', 'refused: SlowDown', 'no connection', 'cut']);
  for (const outcome of outcomes.keys()) t.true(allowed.has(outcome), outcome);
  t.true(mostOpen < LIMIT, `${mostOpen} descriptors`);
  t.true(limited.running);
  await stage.cluster.waitFor(
    async () => (await readOnce(stage, limited, known[0] ?? '')) === 'right',
    'readers to be served again',
  );
});
