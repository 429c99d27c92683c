import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { epoch, logIndex, type PeerId } from '../../src/base/ids.ts';
import { nativeCrc32c } from '../../src/cache/io/native-crc32c.ts';
import { MemoryFileCatalog } from '../../src/cache/memory-file-catalog.ts';
import { MemorySegmentStore } from '../../src/cache/memory-segment-store.ts';
import type { Command } from '../../src/cluster/commands.ts';
import { NodeClusterService } from '../../src/node/cluster-service.ts';
import { ForcedRemovals } from '../../src/node/forced-removals.ts';
import { REPAIR_STATUS, type RepairReport } from '../../src/node/order-watch.ts';
import { NodeHealthService } from '../../src/node/health-service.ts';
import type { Proposer } from '../../src/node/proposer.ts';
import { RingView } from '../../src/node/ring-view.ts';
import { allLinked, MemoryWorld, mesh } from '../peer/support/world.ts';
import {
  errorOf,
  FakeConsensus,
  idOf,
  jobOf,
  memberOf,
  numberOf,
  pass,
  stateOf,
} from './support/fakes.ts';

const REPORT: RepairReport = {
  epoch: epoch(3),
  idle: false,
  requestCount: 1,
  movedSegments: 2,
  movedBytes: 200,
  leftSegments: 3,
  leftBytes: 300,
  leftFiles: 4,
  bytesPerSecond: 50,
  missingSegmentCount: 1,
  handedOverFileCount: 0,
  appliedIndex: 10,
};

async function world() {
  const net = new MemoryWorld();
  const peers = [await net.start({ name: 'a' }), await net.start({ name: 'b' })];
  const leaders = new Map<PeerId, PeerId | undefined>();
  const shared = { state: stateOf(['a', 'b', 'c'].map((name) => memberOf(name))) };
  const committed: Command[] = [];
  const [a, b] = peers.map(({ id, network }) => {
    const consensus = new FakeConsensus();
    consensus.current = { ...consensus.current, voters: [numberOf('a'), numberOf('b')] };
    leaders.set(id, idOf('b'));
    const proposer: Pick<Proposer, 'commit'> = {
      commit: (command) => {
        committed.push(command);
        return Promise.resolve({ epoch: 2 });
      },
    };
    const service = new NodeClusterService({
      self: id,
      consensus,
      network,
      proposer: proposer as Proposer,
      ring: new RingView(id, () => shared.state, {
        isConnected: () => true,
        wasHeardLately: () => true,
      }),
      state: () => shared.state,
      leader: () => leaders.get(id),
      store: new MemorySegmentStore({ capacityBytes: 1000, crc32c: nativeCrc32c }),
      catalog: new MemoryFileCatalog(),
      repairReport: () => REPORT,
      clock: net.clock,
    });
    return { service, consensus, network };
  });
  if (!a || !b) throw new Error('two peers');
  mesh(peers);
  await net.until('the link', () => allLinked(peers));
  return { net, a, b, leaders, shared, committed };
}

test('view: members with their roles and shares, current when the leader confirms it', async (t) => {
  const { net, a, shared } = await world();
  const members = [...shared.state.members.values(), memberOf('d', { state: 'left' })];
  shared.state = stateOf([...members, memberOf('e', { state: 'joining' })], { epoch: epoch(4) });
  const view = await net.settle(a.service.view());
  t.like(view, { leaderId: idOf('b'), epoch: epoch(4), stale: false });
  t.deepEqual(
    view.members.map(({ id, role, state }) => `${id} ${role} ${state}`),
    ['peer-a voter up', 'peer-b leader up', 'peer-c learner up', 'peer-e learner down'],
  );
  t.deepEqual(
    view.members.map(({ self }) => self),
    [true, false, false, false],
  );
  const sum = view.members.reduce((total, { share }) => total + share, 0);
  t.true(Math.abs(sum - 1) < 1e-9);
  t.is(view.members.at(-1)?.share, 0);
  await net.close();
});

test('view: waits until this peer has applied what the leader has', async (t) => {
  const { net, a, b } = await world();
  b.consensus.current = { ...b.consensus.current, appliedIndex: logIndex(12) };
  const view = a.service.view();
  await net.until('the question', () => b.consensus.barrierCount === 1);
  a.consensus.current = { ...a.consensus.current, appliedIndex: logIndex(12) };
  t.like(await net.settle(view), { appliedIndex: 12, stale: false });
  t.like(await net.settle(b.service.view()), { stale: false });
  await net.close();
});

test('view: tells how far the repair of each member is that answers', async (t) => {
  const { net, a, b } = await world();
  b.network.onRequest(REPAIR_STATUS, () => Promise.resolve({ ...REPORT, epoch: null, idle: true }));
  const { repair } = await net.settle(a.service.view());
  const figures = { movedSegments: 2, movedBytes: 200, leftSegments: 3, leftBytes: 300 };
  const more = { leftFiles: 4, bytesPerSecond: 50, missingSegments: 1 };
  t.deepEqual(repair, [
    { id: idOf('a'), epoch: epoch(3), idle: false, ...figures, ...more },
    { id: idOf('b'), idle: true, ...figures, ...more },
  ]);
  await net.close();
});

test('view: is stale while this peer lags, without a leader, and in a minority', async (t) => {
  const { net, a, b, leaders } = await world();
  b.consensus.current = { ...b.consensus.current, appliedIndex: logIndex(12) };
  t.true((await net.settle(a.service.view())).stale);
  b.consensus.onBarrier = () => Promise.reject(new RingloadError('deadline_exceeded', 'cut off'));
  t.true((await net.settle(a.service.view())).stale);
  t.true((await net.settle(b.service.view())).stale);
  leaders.set(idOf('a'), undefined);
  const view = await net.settle(a.service.view());
  t.true(view.stale);
  t.is(view.leaderId, undefined);
  await net.close();
});

test('transfer: is done by the leader, whoever is asked', async (t) => {
  const { net, a, b } = await world();
  await net.settle(a.service.transferLeadership(idOf('a')));
  await net.settle(b.service.transferLeadership(idOf('c')));
  await net.settle(a.service.transferLeadership(idOf('b')));
  t.deepEqual(b.consensus.transfers, [numberOf('a'), numberOf('c')]);
  t.deepEqual(a.consensus.transfers, []);
  const unknown = a.service.transferLeadership(idOf('x'));
  t.is((await errorOf(net.settle(unknown))).code, 'not_found');
  await net.close();
});

test('transfer: peers that take each other for the leader do not send it round', async (t) => {
  const { net, a, leaders } = await world();
  leaders.set(idOf('b'), idOf('a'));
  const startMs = net.clock.nowMs();
  const failed = await errorOf(net.settle(a.service.transferLeadership(idOf('c'))));
  t.is(failed.code, 'not_leader');
  t.true(net.clock.nowMs() - startMs < 1000);
  leaders.set(idOf('a'), undefined);
  const none = a.service.transferLeadership(idOf('c'));
  t.is((await errorOf(net.settle(none))).code, 'no_leader');
  await net.close();
});

test('remove: drains, by force removes, and refuses what would break', async (t) => {
  const { net, a, shared, committed } = await world();
  await net.settle(a.service.remove(idOf('c'), { force: false }));
  t.deepEqual(
    committed.map(({ kind }) => kind),
    ['member.drain'],
  );
  const spec = { path: 's3://b/d', replicaCount: 3 };
  shared.state = stateOf([...shared.state.members.values()], { jobs: [jobOf('j', { spec })] });
  const refused = net.settle(a.service.remove(idOf('c'), { force: false }));
  t.is((await errorOf(refused)).code, 'conflict');
  const unknown = net.settle(a.service.remove(idOf('x'), { force: true }));
  t.is((await errorOf(unknown)).code, 'not_found');
  t.is(committed.length, 1);
  await net.close();
});

test('remove: by force is asked of whoever leads, again until it is done', async (t) => {
  const { net, a, b, leaders } = await world();
  const removals = new ForcedRemovals(b.network);
  const removed: PeerId[] = [];
  leaders.set(idOf('a'), undefined);
  const asked = a.service.remove(idOf('c'), { force: true });
  await pass(net.clock, 1000, 5);
  leaders.set(idOf('a'), idOf('b'));
  await pass(net.clock, 1000, 5);
  removals.open();
  await pass(net.clock, 1000, 5);
  await removals.perform((id) => {
    removed.push(id);
    return Promise.resolve();
  });
  await net.settle(asked);
  t.deepEqual(removed, [idOf('c')]);
  const refused = errorOf(a.service.remove(idOf('c'), { force: true }));
  await pass(net.clock, 1000, 5);
  await removals.perform(() => Promise.reject(new RingloadError('conflict', 'too few voters')));
  t.is((await net.settle(refused)).code, 'conflict');
  await net.close();
});

test('self: tells this peer’s own facts without asking anybody', async (t) => {
  const { net, a } = await world();
  t.like(a.service.self(), { id: idOf('a'), address: 'a:1', catalogCount: 0 });
  t.is(a.service.self().usage.capacityBytes, 1000);
  await net.close();
});

function reasons(
  given: {
    state?: 'up' | 'draining' | 'suspect' | 'none';
    leader?: boolean;
    isDiskOk?: boolean;
    isOpen?: boolean;
  },
  purpose: 'loads' | 'reads' = 'loads',
): readonly string[] {
  const { state = 'up', leader = true, isDiskOk = true, isOpen = true } = given;
  const usage = {
    ...new MemorySegmentStore({ capacityBytes: 1, crc32c: nativeCrc32c }).usage(),
    directories: [
      { path: '/1', state: 'failed' as const },
      { path: '/2', state: isDiskOk ? ('ok' as const) : ('failed' as const) },
    ],
  };
  const members = state === 'none' ? [] : [memberOf('a', { state })];
  const health = new NodeHealthService({
    self: idOf('a'),
    state: () => stateOf(members),
    leader: () => (leader ? idOf('a') : undefined),
    store: { usage: () => usage } as unknown as MemorySegmentStore,
    isOpen: () => isOpen,
  });
  return health.notReadyReasons(purpose);
}

test('health: loads need a leader, membership and a disk; cached reads only a disk', (t) => {
  t.deepEqual(reasons({}), []);
  t.deepEqual(reasons({ leader: false }), ['no leader is elected']);
  t.deepEqual(reasons({ state: 'none' }), ['this peer is not a member yet']);
  t.deepEqual(reasons({ state: 'draining' }), ['this peer is draining']);
  t.deepEqual(reasons({ isDiskOk: false }), ['no cache directory is in service']);
  t.deepEqual(reasons({ isOpen: false }, 'reads'), ['this peer is about to open its ports']);
  t.deepEqual(reasons({ leader: false, state: 'none' }, 'reads'), []);
  t.deepEqual(reasons({ isDiskOk: false }, 'reads'), ['no cache directory is in service']);
});
