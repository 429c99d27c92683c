/** Tasks, records and segments between peers: the owner link and the read link. */
import { Readable } from 'node:stream';
import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { jobId, term } from '../../src/base/ids.ts';
import { nativeCrc32c } from '../../src/cache/io/native-crc32c.ts';
import { MemoryFileCatalog } from '../../src/cache/memory-file-catalog.ts';
import { MemorySegmentStore } from '../../src/cache/memory-segment-store.ts';
import type { SegmentKey } from '../../src/cache/segment-store.ts';
import type { SegmentClient } from '../../src/data/io/segment-client.ts';
import type { Coordinator } from '../../src/job/coordinator.ts';
import type { Executor } from '../../src/job/executor.ts';
import type { ResultFrame, TaskBatch } from '../../src/job/protocol.ts';
import { OwnerLink } from '../../src/node/owner-link.ts';
import { ReadLink } from '../../src/node/read-link.ts';
import { allLinked, idOf, MemoryWorld, mesh, type TestPeer } from '../peer/support/world.ts';
import { newMutes } from '../data/support.ts';
import { recordOf } from '../repair/support/world.ts';
import { errorOf } from './support/fakes.ts';

async function twoPeers(): Promise<{ world: MemoryWorld; a: TestPeer; b: TestPeer }> {
  const world = new MemoryWorld();
  const a = await world.start({ name: 'a' });
  const b = await world.start({ name: 'b' });
  mesh([a, b]);
  await world.until('the link', () => allLinked([a, b]));
  return { world, a, b };
}

const PASS = { jobId: jobId('j'), run: 1, term: term(2), pass: 1 };
const INVENTORY = { segmentCount: 3, bytes: 30, digest: '00000000000000ff' };

function ownerLink(peer: TestPeer, trace: string[]) {
  const link = new OwnerLink(peer.id, peer.network, () => 0);
  const executor: Pick<Executor, 'accept' | 'inventory' | 'recall' | 'cancel'> = {
    accept: (from, batch) => {
      trace.push(`${peer.id} accepts ${batch.jobId} of ${from}`);
      if (batch.run === 0) throw new RingloadError('stale_term', 'it is over');
      return { windowTasks: 4, windowBytes: 40 };
    },
    inventory: () => Promise.resolve({ inventory: INVENTORY, generation: 3 }),
    recall: (from, { taskIds }) => trace.push(`${peer.id} gives ${taskIds.join()} back to ${from}`),
    cancel: (pass) => trace.push(`${peer.id} cancels ${pass.jobId}`),
  };
  const coordinator: Pick<Coordinator, 'takeResults'> = {
    takeResults: (from, frame) => {
      trace.push(`${peer.id} takes results of ${from}`);
      if (frame.run === 0) throw new RingloadError('stale_term', 'nobody waits');
    },
  };
  return { link, attach: () => link.attach(executor as Executor, coordinator as Coordinator) };
}

test('owner link: orders, results and questions go to the other peer and to oneself', async (t) => {
  const { world, a, b } = await twoPeers();
  const trace: string[] = [];
  const [near, far] = [ownerLink(a, trace), ownerLink(b, trace)];
  near.attach();
  far.attach();
  for (const to of [a, b]) {
    trace.length = 0;
    const batch = PASS as unknown as TaskBatch;
    t.deepEqual(await world.settle(near.link.sendBatch(to.id, batch)), {
      windowTasks: 4,
      windowBytes: 40,
    });
    t.deepEqual(await world.settle(near.link.inventory(to.id, PASS)), {
      inventory: INVENTORY,
      generation: 3,
    });
    await world.settle(near.link.sendResults(to.id, PASS as unknown as ResultFrame));
    near.link.recall(to.id, { ...PASS, taskIds: [7, 8], alsoRunning: true });
    near.link.cancel(to.id, PASS);
    await world.until('the cancel', () => trace.length === 4);
    t.deepEqual(trace, [
      `${to.id} accepts j of ${a.id}`,
      `${to.id} takes results of ${a.id}`,
      `${to.id} gives 7,8 back to ${a.id}`,
      `${to.id} cancels j`,
    ]);
  }
  await world.close();
});

test('owner link: a refusal is a rejection, near and far', async (t) => {
  const { world, a, b } = await twoPeers();
  const [near, far] = [ownerLink(a, []), ownerLink(b, [])];
  near.attach();
  far.attach();
  const stale = { ...PASS, run: 0 };
  for (const to of [a, b]) {
    const refused = near.link.sendBatch(to.id, stale as unknown as TaskBatch);
    t.is((await errorOf(world.settle(refused))).code, 'stale_term');
    const unwanted = near.link.sendResults(to.id, stale as unknown as ResultFrame);
    t.is((await errorOf(world.settle(unwanted))).code, 'stale_term');
  }
  await world.close();
});

test('owner link: before its parts are there it says so instead of failing', async (t) => {
  const { world, a } = await twoPeers();
  const { link } = ownerLink(a, []);
  const batch = PASS as unknown as TaskBatch;
  t.is((await errorOf(link.sendBatch(a.id, batch))).code, 'peer_unreachable');
  const results = link.sendResults(a.id, PASS as unknown as ResultFrame);
  t.is((await errorOf(results)).code, 'peer_unreachable');
  t.notThrows(() => {
    link.cancel(a.id, PASS);
  });
  await world.close();
});

function readLink(
  peer: TestPeer,
  opened: string[] = [],
  body: () => Uint8Array[] = () => [Uint8Array.of(1)],
) {
  const catalog = new MemoryFileCatalog();
  const store = new MemorySegmentStore({ capacityBytes: 1_000_000, crc32c: nativeCrc32c });
  const client: Pick<SegmentClient, 'open'> = {
    open: (endpoint) => {
      opened.push(endpoint);
      return Promise.resolve().then(() => ({ body: Readable.from(body()) }) as never);
    },
  };
  const mutes = newMutes();
  const link = new ReadLink({
    self: peer.id,
    network: peer.network,
    catalog,
    store,
    loader: { isLoading: ({ index }) => index === 7 },
    client: client as SegmentClient,
    mutes,
    endpointOf: (other) => ({ [peer.id]: 'http://self', [idOf('m')]: 'http://mute' })[other],
  });
  return { catalog, store, link, mutes };
}

const keyOf = (index: number): SegmentKey => ({
  path: '/f',
  version: 'v1',
  segmentSizeBytes: 100,
  index,
});

async function hold(store: MemorySegmentStore, index: number): Promise<void> {
  const bytes = new Uint8Array(100);
  const reservation = await store.reserve(keyOf(index), 100);
  const crc32c = nativeCrc32c(bytes);
  await reservation.commit({ crc32c, blockCrc32c: Uint32Array.of(crc32c) });
}

test('read link: a record of another peer, or that there is none', async (t) => {
  const { world, a, b } = await twoPeers();
  const [near, far] = [readLink(a), readLink(b)];
  await far.catalog.putAll([recordOf('/f')]);
  t.deepEqual(await world.settle(near.link.recordAt(b.id, '/f')), recordOf('/f'));
  t.is(await world.settle(near.link.recordAt(b.id, '/g')), undefined);
  await world.close();
});

test('read link: a listing is bounded by who answers it', async (t) => {
  const { world, a, b } = await twoPeers();
  const [near, far] = [readLink(a), readLink(b)];
  const records = Array.from({ length: 1200 }, (_unused, number) =>
    recordOf(`/f${String(number).padStart(4, '0')}`),
  );
  await far.catalog.putAll(records);
  const page = await world.settle(near.link.listAt(b.id, { root: '', limit: 5000 }));
  t.is(page.length, 1000);
  const rest = await world.settle(
    near.link.listAt(b.id, { root: '', limit: 5000, after: page.at(-1)?.path ?? '' }),
  );
  t.deepEqual([...page, ...rest], records);
  await world.close();
});

test('read link: what is held is told in the order asked, in parts and for oneself', async (t) => {
  const { world, a, b } = await twoPeers();
  const [near, far] = [readLink(a), readLink(b)];
  for (const index of [1, 999, 1000, 2400]) await hold(far.store, index);
  const keys = Array.from({ length: 2500 }, (_unused, index) => keyOf(index));
  const held = await world.settle(near.link.holds(b.id, keys));
  t.deepEqual(
    held.flatMap((isHeld, index) => (isHeld ? [index] : [])),
    [1, 999, 1000, 2400],
  );
  t.is(held.length, 2500);
  t.deepEqual(await far.link.holds(b.id, [keyOf(1), keyOf(2)]), [true, false]);
  await world.close();
});

test('read link: bytes come from the data endpoint, if one is known', async (t) => {
  const { world, a, b } = await twoPeers();
  const opened: string[] = [];
  const { link } = readLink(a, opened);
  const request = { key: keyOf(0), offset: 0, length: 1 };
  const { signal } = new AbortController();
  await link.openSegment(a.id, request, signal);
  t.deepEqual(opened, ['http://self']);
  t.is((await errorOf(link.openSegment(b.id, request, signal))).code, 'peer_unreachable');
  await world.close();
});

test('read link: who was waited for in vain is asked again, and an answer is a sign of life', async (t) => {
  const { world, a } = await twoPeers();
  const opened: string[] = [];
  let isSilent = true;
  const { link, mutes } = readLink(a, opened, () => {
    if (isSilent) throw new RingloadError('deadline_exceeded', 'no answer');
    return [Uint8Array.of(1)];
  });
  const request = { key: keyOf(0), offset: 0, length: 1 };
  const { signal } = new AbortController();
  const read = () => link.openSegment(idOf('m'), request, signal);
  mutes.failed('http://mute', await errorOf(read()));
  const mayAsk = () => {
    mutes.checkMayAsk('http://mute');
  };
  t.throws(mayAsk);
  isSilent = false;
  await t.notThrowsAsync(read());
  t.is(opened.length, 2);
  t.notThrows(mayAsk);
  await world.close();
});

test('read link: a peer that links anew is mute no more', async (t) => {
  const { world, a } = await twoPeers();
  const { mutes } = readLink(a, [], () => []);
  mutes.failed('http://mute', new RingloadError('deadline_exceeded', 'no answer'));
  const back = await world.start({ name: 'm' });
  mesh([a, back]);
  await world.until('the peer is linked', () => allLinked([a, back]));
  t.notThrows(() => {
    mutes.checkMayAsk('http://mute');
  });
  await world.close();
});

test('read link: whether a peer works on a segment is told over the link', async (t) => {
  const { world, a, b } = await twoPeers();
  const [near] = [readLink(a), readLink(b)];
  t.true(await world.settle(near.link.isLoading(b.id, keyOf(7))));
  t.false(await world.settle(near.link.isLoading(b.id, keyOf(8))));
  await world.close();
});
