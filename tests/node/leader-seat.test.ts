import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError } from '../../src/base/errors.ts';
import { raftId, term } from '../../src/base/ids.ts';
import type { Command } from '../../src/cluster/commands.ts';
import type { Member } from '../../src/cluster/member.ts';
import { serializeState } from '../../src/cluster/cluster-state.ts';
import type { Coordinator } from '../../src/job/coordinator.ts';
import type { LeaderDuties } from '../../src/node/leader-duties.ts';
import { LeaderSeat } from '../../src/node/leader-seat.ts';
import { ReplicatedState } from '../../src/node/replicated-state.ts';
import { RingView } from '../../src/node/ring-view.ts';
import {
  announcementOf,
  CLUSTER,
  drainMicrotasks,
  FakeConsensus,
  FakeNetwork,
  idOf,
  memberOf,
  numberOf,
  pass,
  RecordingLogger,
  stateOf,
} from './support/fakes.ts';

const MEMBERS = ['a', 'b', 'c'].map((name) => memberOf(name));

function world(options: { members?: readonly Member[]; isFounded?: boolean } = {}) {
  const clock = new ManualClock();
  const consensus = new FakeConsensus();
  const network = new FakeNetwork();
  const state = new ReplicatedState();
  const logger = new RecordingLogger();
  const trace: string[] = [];
  const committed: Command[] = [];
  if (options.isFounded ?? true) state.restore(serializeState(stateOf(options.members ?? MEMBERS)));
  const coordinator: Pick<
    Coordinator,
    'lead' | 'resign' | 'setPlacement' | 'reconcile' | 'losePeer'
  > = {
    lead: (ofTerm) => trace.push(`lead ${ofTerm}`),
    resign: () => trace.push('resign'),
    setPlacement: () => trace.push('placement'),
    reconcile: () => trace.push('reconcile'),
    losePeer: (peer) => trace.push(`lose ${peer}`),
  };
  const duties: Pick<LeaderDuties, 'start' | 'stop' | 'isPlacementInOrder'> = {
    start: () => trace.push('start duties'),
    stop: () => trace.push('stop duties'),
    isPlacementInOrder: () => true,
  };
  const elections: number[] = [];
  const seat = new LeaderSeat({
    consensus,
    coordinator: coordinator as Coordinator,
    duties: duties as LeaderDuties,
    ring: new RingView(idOf('a'), () => state.current, {
      isConnected: () => true,
      wasHeardLately: () => true,
    }),
    state,
    network,
    commit: (command) => {
      committed.push(command);
      trace.push(`commit ${command.kind}`);
      return Promise.resolve();
    },
    clusterId: CLUSTER,
    founder: announcementOf('a'),
    clock,
    logger,
    onElected: () => elections.push(1),
  });
  trace.length = 0;
  return { clock, consensus, network, state, trace, committed, seat, elections, logger };
}

const lead = (ofTerm: number) => ({ role: 'leader', term: term(ofTerm) }) as const;

test('seat: nothing is led before what was committed earlier is applied', async (t) => {
  const { consensus, trace, seat } = world();
  let open: () => void = () => undefined;
  consensus.onBarrier = () => new Promise((resolve) => (open = resolve));
  consensus.become(lead(2));
  await drainMicrotasks();
  t.false(trace.some((line) => line.startsWith('lead') || line === 'start duties'));
  open();
  await drainMicrotasks();
  t.deepEqual(trace.slice(-2), ['lead 2', 'start duties']);
  await seat.close();
});

test('seat: is taken at once by a peer that leads already', async (t) => {
  const { consensus, trace, seat, elections } = world();
  consensus.become(lead(2));
  await drainMicrotasks();
  consensus.become({ voters: [raftId(1), raftId(2)] });
  await drainMicrotasks();
  t.deepEqual(
    trace.filter((line) => line.startsWith('lead')),
    ['lead 2'],
  );
  t.is(elections.length, 1, 'a change of voters is no election');
  await seat.close();
});

test('seat: is left when leadership is lost, also before it was taken', async (t) => {
  const { consensus, trace, seat } = world();
  consensus.become(lead(2));
  await drainMicrotasks();
  trace.length = 0;
  consensus.become({ role: 'follower', term: term(3) });
  t.deepEqual(trace, ['stop duties', 'resign']);
  let open: () => void = () => undefined;
  consensus.onBarrier = () => new Promise((resolve) => (open = resolve));
  consensus.become(lead(4));
  consensus.become({ role: 'follower', term: term(5) });
  open();
  await drainMicrotasks();
  t.false(trace.includes('lead 4'));
  await seat.close();
});

test('seat: another term is another seat', async (t) => {
  const { consensus, trace, seat } = world();
  consensus.become(lead(2));
  await drainMicrotasks();
  trace.length = 0;
  consensus.become(lead(3));
  await drainMicrotasks();
  t.deepEqual(trace, ['stop duties', 'resign', 'lead 3', 'start duties']);
  await seat.close();
});

for (const code of ['deadline_exceeded', 'not_leader', 'internal'] as const) {
  test(`seat: a barrier that fails with ${code} is tried again, not in a hurry`, async (t) => {
    const { clock, consensus, trace, seat } = world();
    consensus.onBarrier = () => Promise.reject(new RingloadError(code, 'not yet'));
    consensus.become(lead(2));
    await drainMicrotasks();
    t.is(consensus.barrierCount, 1, 'one attempt without any time passing');
    await pass(clock, 1000);
    t.true(consensus.barrierCount >= 5 && consensus.barrierCount <= 12);
    t.false(trace.includes('lead 2'));
    consensus.onBarrier = () => Promise.resolve();
    await pass(clock, 200);
    t.true(trace.includes('lead 2'));
    await seat.close();
  });
}

test('seat: the first leader founds the cluster before it leads', async (t) => {
  const { consensus, trace, committed, seat } = world({ isFounded: false });
  consensus.become(lead(2));
  await drainMicrotasks();
  t.like(committed[0], { kind: 'cluster.create', clusterId: CLUSTER });
  t.true(trace.indexOf('commit cluster.create') < trace.indexOf('lead 2'));
  await seat.close();
});

test('seat: who leads a cluster that exists founds none', async (t) => {
  const { consensus, committed, seat } = world();
  consensus.become(lead(2));
  await drainMicrotasks();
  t.deepEqual(committed, []);
  await seat.close();
});

test('seat: a peer with another start than before has lost its tasks', async (t) => {
  const { network, trace, seat } = world();
  network.hear('b', 1, { generation: 4 });
  network.hear('b', 2, { generation: 4, connected: false });
  network.hear('b', 3, { generation: 4 });
  t.false(trace.some((line) => line.startsWith('lose')));
  network.hear('b', 4, { generation: 5 });
  t.true(trace.includes(`lose ${idOf('b')}`));
  t.is(trace.filter((line) => line.startsWith('lose')).length, 1);
  await seat.close();
});

test('seat: a peer that was linked before the seat was opened, and starts anew, has lost its tasks', async (t) => {
  const { network, trace, seat } = world();
  // The link that ends is the first that the seat hears of.
  network.hear('b', 1, { generation: 4, connected: false });
  network.hear('b', 2, { generation: 5 });
  t.deepEqual(
    trace.filter((line) => line.startsWith('lose')),
    [`lose ${idOf('b')}`],
  );
  await seat.close();
});

test('seat: who falls silent is noticed without any event, while this peer leads', async (t) => {
  const { clock, consensus, trace, seat } = world();
  await pass(clock, 2000);
  t.false(trace.includes('placement'));
  consensus.become(lead(2));
  await drainMicrotasks();
  trace.length = 0;
  await pass(clock, 1000);
  t.is(trace.filter((line) => line === 'placement').length, 4);
  await seat.close();
});

test('seat: a change of state is told to the coordinator, the ring first', async (t) => {
  const { state, trace, seat } = world();
  state.restore(serializeState(stateOf(MEMBERS.slice(0, 2))));
  t.deepEqual(trace, ['placement', 'reconcile']);
  await seat.close();
});

test('seat: a leader that stops hands over to the linked voter with most of the log', async (t) => {
  const { consensus, network, trace, seat } = world({
    members: ['a', 'b', 'c', 'd', 'e'].map((name) =>
      memberOf(name, name === 'e' ? { state: 'draining' } : {}),
    ),
  });
  network.hear('b', 1);
  network.hear('c', 1);
  network.hear('d', 1, { connected: false });
  network.hear('e', 1);
  consensus.become({
    ...lead(2),
    voters: ['a', 'b', 'c', 'd', 'e'].map(numberOf),
    matchIndex: new Map(
      [5, 6, 9, 9].map((index, at) => [numberOf('bcde'[at] ?? ''), index as never]),
    ),
  });
  await drainMicrotasks();
  await seat.close();
  t.deepEqual(consensus.transfers, [numberOf('c')]);
  t.is(consensus.listenerCount, 0);
  t.is(network.listenerCount, 0);
  t.true(trace.lastIndexOf('resign') > trace.indexOf('lead 2'));
});

test('seat: closing goes on when nobody takes over', async (t) => {
  const { consensus, network, seat, logger } = world();
  network.hear('b', 1);
  consensus.onTransfer = () => Promise.reject(new RingloadError('deadline_exceeded', 'no answer'));
  consensus.become({ ...lead(2), voters: [numberOf('a'), numberOf('b')] });
  await drainMicrotasks();
  await t.notThrowsAsync(seat.close());
  t.true(logger.lines.some(({ message }) => message === 'leadership not handed over'));
});

test('seat: a follower that stops has nothing to hand over, and takes no seat after', async (t) => {
  const { clock, consensus, trace, seat } = world();
  await seat.close();
  t.deepEqual(consensus.transfers, []);
  trace.length = 0;
  consensus.become(lead(2));
  await pass(clock, 2000);
  t.deepEqual(trace, []);
});
