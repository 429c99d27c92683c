/** Peers that are late, silent, or break, on virtual time. */
import test from 'ava';
import { RingloadError, type ErrorCode } from '../../src/base/errors.ts';
import { jobId, peerId, type PeerId } from '../../src/base/ids.ts';
import { SeededRandom } from '../../src/base/random.ts';
import { Gate, settle } from '../data/support.ts';
import { TrialWorld } from './trial-world.ts';
import { bytesOf, collect, PATH, ReadWorld, SEGMENT, segmentKey } from './support.ts';

const SIZE = 35;

/** A loaded file that `p2` and `p3` hold, read from `me`, who does not. */
async function loaded(): Promise<ReadWorld> {
  const world = new ReadWorld(['me', 'p2', 'p3', 'p4', 'p5']);
  world.ring = ['p2', 'p3', 'p4', 'p5', 'me'].map(peerId);
  const bytes = bytesOf(SIZE);
  const record = { ...(await world.file(bytes, ['p2', 'p3'])), loadedBy: jobId('j') };
  for (const name of ['p2', 'p3']) {
    await world.peer(name).catalog.putAll([record]);
    for (const index of [0, 1, 2, 3]) await world.hold(name, record, index, bytes);
  }
  return world;
}

/** What it comes to, with time running. */
async function passing<T>(world: ReadWorld, work: Promise<T>): Promise<T> {
  let isOver = false;
  const end = (): void => void (isOver = true);
  work.then(end, end);
  for (let step = 0; step < 10_000 && !isOver; step++) {
    await settle();
    if (!isOver) world.clock.advance(10);
  }
  return work;
}

async function readAll(world: ReadWorld): Promise<Uint8Array> {
  return passing(
    world,
    world.reader.read(PATH).then(({ body }) => collect(body)),
  );
}

test('segment sources: requests go to both owners', async (t) => {
  const world = await loaded();
  const asked = new Map<PeerId, number>();
  world.onPeerChunk = (peer, chunk) => {
    asked.set(peer, (asked.get(peer) ?? 0) + 1);
    return chunk;
  };
  for (let round = 0; round < 20; round++) t.deepEqual(await readAll(world), bytesOf(SIZE));
  const [p2 = 0, p3 = 0] = ['p2', 'p3'].map((name) => asked.get(peerId(name)));
  t.is(p2 + p3, 80);
  t.true(p2 > 20 && p3 > 20, `${p2} and ${p3}`);
});

test('segment sources: a late owner costs the time after which the other is asked', async (t) => {
  const world = await loaded();
  world.onPeerChunk = async (peer, chunk) => {
    if (peer === peerId('p2')) await new Promise(() => undefined);
    return chunk;
  };
  t.deepEqual(await readAll(world), bytesOf(SIZE));
  t.true(world.clock.nowMs() <= 1000, `${world.clock.nowMs()} ms for four segments`);
  t.is(world.under.readBytes, 0);
});

test('segment sources: a second request never brings another version than the first', async (t) => {
  const world = await loaded();
  // p3 holds a later version of the file, too; p2 answers late.
  const later = bytesOf(SIZE, 100);
  const now = await world.file(later, []);
  for (const index of [0, 1, 2, 3]) await world.hold('p3', now, index, later);
  world.onPeerChunk = async (peer, chunk) => {
    if (peer === peerId('p2'))
      await new Promise((resolve) =>
        world.clock.setTimer(400, () => {
          resolve(undefined);
        }),
      );
    return chunk;
  };
  for (let round = 0; round < 10; round++) t.deepEqual(await readAll(world), bytesOf(SIZE));
});

test('segment sources: who stands still as a whole is passed over, and taken back when it speaks', async (t) => {
  const world = await loaded();
  const silent = new Set(['p2', 'p3'].map(peerId));
  let askedCount = 0;
  world.onPeerChunk = async (peer, chunk) => {
    if (!silent.has(peer)) return chunk;
    askedCount++;
    return new Promise(() => undefined);
  };
  t.deepEqual(await readAll(world), bytesOf(SIZE));
  t.is(world.under.readBytes, SIZE, 'nobody else had it');
  t.true(world.clock.nowMs() < 5000, `${world.clock.nowMs()} ms, not so long for each segment`);
  t.true(askedCount <= 4, `asked ${askedCount} times`);
  silent.clear();
  for (const peer of ['p2', 'p3'].map(peerId)) world.choice.isAlive(peer);
  for (const name of ['p4', 'me']) {
    const { store } = world.peer(name);
    for await (const { key } of store.segments()) await store.drop(key);
  }
  t.deepEqual(await readAll(world), bytesOf(SIZE));
  t.is(world.under.readBytes, SIZE);
});

test('segment sources: a silent owner is waited for when the under store is gone, too', async (t) => {
  const world = await loaded();
  world.under.onCall = () => {
    throw new RingloadError('ufs_unavailable', 'gone');
  };
  world.onPeerChunk = (_peer, chunk) =>
    new Promise((resolve) =>
      world.clock.setTimer(7000, () => {
        resolve(chunk);
      }),
    );
  t.deepEqual(await readAll(world), bytesOf(SIZE));
});

test('segment sources: an owner that cannot read it through is followed by the next, then by us', async (t) => {
  for (const code of [
    'cache_full',
    'peer_unreachable',
    'ufs_unavailable',
  ] as const satisfies ErrorCode[]) {
    const world = new ReadWorld(['me', 'p2', 'p3']);
    world.ring = ['p2', 'p3', 'me'].map(peerId);
    const bytes = bytesOf(SEGMENT);
    await world.file(bytes, []);
    const tried: string[] = [];
    for (const name of ['p2', 'p3']) {
      world.peer(name).loader.load = () => {
        tried.push(name);
        return Promise.reject(new RingloadError(code, name));
      };
    }
    t.deepEqual(await readAll(world), bytes);
    t.is(world.under.readBytes, SEGMENT);
    const expected = code === 'ufs_unavailable' ? ['p2'] : ['p2', 'p3'];
    t.deepEqual(tried, expected, `the store is not asked over and over (${code})`);
  }
});

/** A cold file; `p2` owns all of it, and has been asked for its first segment. */
async function cold(size: number): Promise<{ world: ReadWorld; gate: Gate; bytes: Uint8Array }> {
  const world = new ReadWorld(['me', 'p2', 'p3']);
  world.ring = ['p2', 'p3', 'me'].map(peerId);
  const bytes = bytesOf(size);
  await world.file(bytes, []);
  const gate = new Gate();
  world.under.onCall = ({ operation }) => (operation === 'readRange' ? gate.opened : undefined);
  return { world, gate, bytes };
}

test('segment sources: a crowd of readers has a segment fetched once, and looked up twice', async (t) => {
  const { world, gate, bytes } = await cold(SEGMENT);
  let statCount = 0;
  let fetchCount = 0;
  world.under.onCall = ({ operation }) => {
    if (operation === 'stat') statCount++;
    if (operation !== 'readRange') return undefined;
    fetchCount++;
    return gate.opened;
  };
  const reads = Array.from({ length: 1000 }, async () =>
    collect((await world.reader.read(PATH)).body),
  );
  for (let turn = 0; turn < 20; turn++) await settle();
  t.is(world.openSources, 0, 'nobody keeps a connection while he waits');
  gate.open();
  for (const got of await Promise.all(reads)) t.deepEqual(got, bytes);
  t.is(fetchCount, 1);
  t.is(world.under.readBytes, SEGMENT);
  t.true(statCount <= 2, `${statCount}`);
});

test('segment sources: an owner at work is waited for as long as it takes', async (t) => {
  const { world, gate, bytes } = await cold(SEGMENT);
  const reading = readAll(world);
  for (let ms = 0; ms < 120_000; ms += 500) {
    await settle();
    world.clock.advance(500);
  }
  t.is(world.under.readBytes, 0);
  gate.open();
  t.deepEqual(await reading, bytes);
  t.is(world.under.readBytes, SEGMENT, 'once');
});

test('segment sources: an owner that stands still while it fetches is given up', async (t) => {
  for (const isSilentOnLink of [true, false]) {
    const { world, gate, bytes } = await cold(SEGMENT);
    gate.open();
    const { loader } = world.peer('p2');
    loader.load = (_request, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
      });
    if (isSilentOnLink) {
      loader.isLoading = () => {
        throw new RingloadError('deadline_exceeded', 'no answer over the link');
      };
    }
    t.deepEqual(await readAll(world), bytes);
    t.true(world.clock.nowMs() < 6000, `${world.clock.nowMs()}`);
    t.is(world.under.readBytes, SEGMENT, 'by the next owner');
    t.truthy(await world.peer('p3').store.lookup(segmentKey(await world.reader.stat(PATH), 0)));
  }
});

/** The peer answers others all the while. */
function keepTalking(world: ReadWorld, name: string): void {
  const peer = peerId(name);
  const speak = (): void => {
    const asking = world.choice.begin(peer);
    asking.firstByte();
    asking.ended();
    world.clock.setTimer(500, speak);
  };
  speak();
}

test('segment sources: who has fetched a segment and has many to answer is waited for', async (t) => {
  const { world, gate, bytes } = await cold(SEGMENT);
  gate.open();
  keepTalking(world, 'p2');
  world.onPeerChunk = async (_peer, chunk) => {
    await new Promise<void>((resolve) => world.clock.setTimer(8000, resolve));
    return chunk;
  };
  t.deepEqual(await readAll(world), bytes);
  t.is(world.under.readBytes, SEGMENT, 'once');
});

test('segment sources: a body that stands still at a peer that answers others goes on there', async (t) => {
  const { world, gate, bytes } = await cold(SEGMENT);
  gate.open();
  keepTalking(world, 'p2');
  let brokenCount = 0;
  world.onPeerChunk = (_peer, chunk) => {
    if (chunk.length < 5 || brokenCount++ > 0) return chunk;
    world.breakAfterChunk = new RingloadError('deadline_exceeded', 'stalled in a body');
    return chunk.subarray(0, 4);
  };
  t.deepEqual(await readAll(world), bytes);
  t.true(brokenCount > 0);
  t.is(world.under.readBytes, SEGMENT, 'once');
});

test('segment sources: a body that stands still is replaced at its byte', async (t) => {
  const world = await loaded();
  const asked: string[] = [];
  const [first] = ['p2', 'p3'].map(peerId);
  world.onPeerChunk = (peer, chunk) => {
    asked.push(`${peer} ${chunk.length}`);
    if (asked.length > 1) return chunk;
    world.breakAfterChunk = new RingloadError('deadline_exceeded', 'stalled in a body');
    return chunk.subarray(0, 4);
  };
  t.deepEqual(await readAll(world), bytesOf(SIZE));
  t.true(asked[0] === `${first} 10` || asked[0] === 'p3 10');
  t.true(asked.includes('p2 6') || asked.includes('p3 6'), asked.join());
  t.is(world.under.readBytes, 0);
});

test('segment sources: misses one after the other are fetched ahead, within bounds', async (t) => {
  const { world, gate, bytes } = await cold(20 * SEGMENT);
  let fetchCount = 0;
  world.under.onCall = ({ operation }) => {
    if (operation === 'readRange') fetchCount++;
    return undefined;
  };
  gate.open();
  const { body } = await world.reader.read(PATH);
  const chunks = body[Symbol.asyncIterator]();
  const got: number[] = [];
  for (let segment = 0; segment < 5; segment++) {
    got.push(...((await chunks.next()).value as Uint8Array));
    for (let turn = 0; turn < 10; turn++) await settle();
  }
  t.true(fetchCount >= 8 && fetchCount <= 20, `${fetchCount} fetches when five segments are read`);
  for (let next = await chunks.next(); !next.done; next = await chunks.next())
    got.push(...next.value);
  t.deepEqual(Uint8Array.from(got), bytes);
  t.is(world.under.readBytes, bytes.length, 'each once');
});

test('segment sources: readers of every peer have a cold file fetched once', async (t) => {
  const world = new TrialWorld(new SeededRandom(1), false);
  const bytes = bytesOf(200);
  world.under.put(PATH, bytes);
  const reads = world.peers.flatMap(({ reader }) =>
    Array.from({ length: 50 }, async () => collect((await reader.read(PATH)).body)),
  );
  let isOver = false;
  const all = Promise.all(reads).finally(() => (isOver = true));
  for (let step = 0; step < 10_000 && !isOver; step++) {
    await settle();
    world.clock.advance(10);
  }
  for (const got of await all) t.deepEqual(got, bytes);
  t.is(world.under.readBytes, bytes.length);
});
