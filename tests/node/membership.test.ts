import test from 'ava';
import { RingloadError, type ErrorCode } from '../../src/base/errors.ts';
import { clusterId, raftId, type PeerId } from '../../src/base/ids.ts';
import { isUuid } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { AddressBook, checkSameCluster, found, join, JOIN } from '../../src/node/membership.ts';
import { MemoryWorld } from '../peer/support/world.ts';
import { announcementOf, CLUSTER, errorOf, idOf, RecordingLogger } from './support/fakes.ts';

const OTHER = clusterId('c0000000-0000-4000-8000-000000000002');
const REPLY = { clusterId: CLUSTER, raftId: raftId(4), members: [] };

async function joiner(world: MemoryWorld, addresses: readonly string[], logger = silentLogger) {
  const peer = await world.start({ name: 'new', clusterId: null });
  const stop = new AbortController();
  const joined = join({
    network: peer.network,
    addresses,
    announcement: announcementOf('new'),
    clock: world.clock,
    logger,
    signal: stop.signal,
  });
  return { joined, stop };
}

async function member(
  world: MemoryWorld,
  address: string,
  answer: (from: PeerId, payload: unknown) => Promise<unknown>,
) {
  const peer = await world.start({ name: address, address, joinRequestTypes: [JOIN] });
  peer.network.onRequest(JOIN, answer);
  return peer;
}

test('join: tells who this peer is and takes what it is given', async (t) => {
  const world = new MemoryWorld();
  const seen: unknown[] = [];
  await member(world, 'm1', (from, payload) => {
    seen.push(from, payload);
    return Promise.resolve(REPLY);
  });
  const { joined } = await joiner(world, ['m1']);
  t.deepEqual(await world.settle(joined), REPLY);
  t.deepEqual(seen, [idOf('new'), announcementOf('new')]);
  await world.close();
});

test('join: goes on to the next address, round and round, until one answers', async (t) => {
  const world = new MemoryWorld();
  let refusals = 2;
  await member(world, 'm2', () =>
    refusals-- > 0
      ? Promise.reject(new RingloadError('no_leader', 'electing'))
      : Promise.resolve(REPLY),
  );
  const { joined } = await joiner(world, ['m1', 'm2', 'm3']);
  t.deepEqual(await world.settle(joined), REPLY);
  t.true(refusals < 0);
  await world.close();
});

test('join: says now and then what it waits for, not at each attempt', async (t) => {
  const world = new MemoryWorld();
  const logger = new RecordingLogger();
  const { joined, stop } = await joiner(world, ['m1'], logger);
  await world.until('many attempts', () => world.clock.nowMs() > 10_000);
  const { length } = logger.lines;
  t.true(length >= 2 && length <= 12, `${length} lines`);
  t.like(logger.lines[0]?.fields, { address: 'm1', code: 'peer_unreachable' });
  stop.abort(new RingloadError('cancelled', 'enough'));
  await errorOf(world.settle(joined));
  await world.close();
});

test('join: a refusal for good ends it', async (t) => {
  const world = new MemoryWorld();
  await member(world, 'm1', () =>
    Promise.reject(new RingloadError('peer_refused', 'it has left the cluster for good')),
  );
  const { joined } = await joiner(world, ['m1', 'm2']);
  t.is((await errorOf(world.settle(joined))).message, 'it has left the cluster for good');
  await world.close();
});

test('join: a member that has no cluster yet is asked again', async (t) => {
  const world = new MemoryWorld();
  const early = await world.start({ name: 'm1', address: 'm1', clusterId: null });
  const { joined } = await joiner(world, ['m1']);
  await world.until('some attempts', () => world.clock.nowMs() > 2000);
  await early.stop();
  await member(world, 'm1', () => Promise.resolve(REPLY));
  t.deepEqual(await world.settle(joined), REPLY);
  await world.close();
});

test('join: ends when this peer is told to stop', async (t) => {
  const world = new MemoryWorld();
  const { joined, stop } = await joiner(world, ['nobody']);
  await world.until('some attempts', () => world.clock.nowMs() > 2000);
  stop.abort(new RingloadError('cancelled', 'told to stop'));
  t.is((await errorOf(world.settle(joined))).message, 'told to stop');
  await world.close();
});

test('join: without addresses there is nobody to ask', async (t) => {
  const world = new MemoryWorld();
  const { joined } = await joiner(world, []);
  t.is((await errorOf(world.settle(joined))).code, 'config_invalid');
  await world.close();
});

async function sameCluster(
  world: MemoryWorld,
  addresses: readonly string[],
): Promise<ErrorCode | 'same'> {
  const peer = await world.start({ name: 'back' });
  const checked = checkSameCluster(peer.network, addresses, CLUSTER);
  try {
    await world.settle(checked);
    return 'same';
  } catch (error) {
    if (!(error instanceof RingloadError)) throw error;
    return error.code;
  }
}

test('same cluster: a member of it, or one that is away, is no reason to stay out', async (t) => {
  const world = new MemoryWorld();
  await world.start({ name: 'm1', address: 'm1' });
  t.is(await sameCluster(world, ['m1', 'nobody']), 'same');
  await world.close();
});

test('same cluster: one configured member of another cluster is a mix-up', async (t) => {
  const world = new MemoryWorld();
  await world.start({ name: 'm1', address: 'm1' });
  await world.start({ name: 'm2', address: 'm2', clusterId: OTHER });
  t.is(await sameCluster(world, ['m1', 'm2']), 'data_dir_foreign');
  await world.close();
});

test('same cluster: without addresses nothing is checked', async (t) => {
  const world = new MemoryWorld();
  t.is(await sameCluster(world, []), 'same');
  await world.close();
});

test('found: the first member is number one of a cluster of its own', (t) => {
  const [one, other] = [found(), found()];
  t.is(one.raftId, raftId(1));
  t.true(isUuid(one.clusterId));
  t.not(one.clusterId, other.clusterId);
});

test('address book: is used until the state names members, and never this peer', (t) => {
  const told = [
    { id: idOf('a'), address: 'a:1' },
    { id: idOf('self'), address: 'self:1' },
  ];
  const book = new AddressBook(idOf('self'), told);
  t.true(book.knows(idOf('a')));
  t.false(book.knows(idOf('b')));
  t.deepEqual(book.peers([]), [{ id: idOf('a'), address: 'a:1' }]);
  const members = [
    { id: idOf('self'), address: 'self:2', weight: 1 },
    { id: idOf('b'), address: 'b:2', weight: 1 },
  ];
  t.deepEqual(book.peers(members), [{ id: idOf('b'), address: 'b:2' }]);
});
