import test from 'ava';
import { clusterId, epoch, peerId } from '../../src/base/ids.ts';
import { isOnRing } from '../../src/cluster/member.ts';
import { Ring } from '../../src/ring/ring.ts';
import { announcement, World } from './support.ts';

test('cluster.create: the founder is number 1, and creating again changes nothing', (t) => {
  const w = new World().found('p1');
  t.is(w.state.members.get(peerId('p1'))?.raftId, 1 as never);
  const before = w.state;
  const again = {
    kind: 'cluster.create',
    clusterId: clusterId('d'),
    founder: announcement('p9'),
    atMs: 1,
  } as const;
  t.deepEqual(w.value(again), { clusterId: 'c' });
  t.is(w.state, before);
});

test('member.admit: refused until the cluster is founded, so that nobody gets the number of the founder', (t) => {
  const w = new World();
  t.is(w.code({ kind: 'member.admit', member: announcement('p2'), atMs: 0 }), 'no_leader');
  t.is(w.state.members.size, 0);
  w.found('p1', 'p2');
  const numbers = [...w.state.members.values()].map(({ id, raftId }) => `${id}=${raftId}`);
  t.deepEqual(numbers, ['p1=1', 'p2=2']);
});

test('member.admit: a known peer keeps its number, one that left is refused for good', (t) => {
  const w = new World().found('p1', 'p2');
  const admit = { kind: 'member.admit', member: announcement('p2'), atMs: 9 } as const;
  t.deepEqual(w.value(admit), { raftId: 2 });
  w.value({ kind: 'member.remove', id: peerId('p2'), atMs: 10 });
  t.is(w.code(admit), 'peer_refused');
  t.deepEqual(w.value({ kind: 'member.admit', member: announcement('p3'), atMs: 11 }), {
    raftId: 3,
  });
});

for (const weight of [0, 0.0099, 100.1, -1, Number.NaN, Infinity, '1', null]) {
  test(`member commands: weight ${JSON.stringify(weight)} (${String(weight)}) never reaches the ring`, (t) => {
    const w = new World().found('p1', 'p2');
    const before = w.state;
    const bad = { ...announcement('p3'), weight: weight as number };
    t.is(w.code({ kind: 'member.admit', member: bad, atMs: 1 }), 'invalid_argument');
    const changed = { ...announcement('p2'), weight: weight as number };
    t.is(w.code({ kind: 'member.announce', member: changed, atMs: 1 }), 'invalid_argument');
    t.is(w.state, before);
    const fresh = new World();
    const founder = { ...announcement('p1'), weight: weight as number };
    const create = { kind: 'cluster.create', clusterId: clusterId('c'), founder, atMs: 0 } as const;
    t.is(fresh.code(create), 'invalid_argument');
    t.is(fresh.state.clusterId, undefined);
  });
}

for (const weight of [0.01, 1, 100]) {
  test(`member commands: weight ${weight} is fit for a ring`, (t) => {
    const w = new World().found('p1', 'p2');
    w.announce('p2', { weight });
    const members = [...w.state.members.values()].filter(isOnRing);
    const ring = Ring.from({ epoch: w.state.epoch, members });
    t.is(ring.memberOf(peerId('p2'))?.weight, weight);
  });
}

test('member commands: what is no announcement is refused, what is too much is left out', (t) => {
  const w = new World().found('p1');
  const bad: Record<string, unknown>[] = [
    { id: '' },
    { id: 7 },
    { address: undefined },
    { zone: 'z'.repeat(513) },
    { capacityBytes: -1 },
    { capacityBytes: 1.5 },
    { generation: '1' },
  ];
  for (const changes of bad) {
    const member = { ...announcement('p2'), ...changes } as never;
    t.is(w.code({ kind: 'member.admit', member, atMs: 1 }), 'invalid_argument');
  }
  const member = { ...announcement('p2'), raftId: 1, state: 'up', extra: 'x' } as never;
  w.value({ kind: 'member.admit', member, atMs: 1 });
  const known = w.state.members.get(peerId('p2'));
  t.is(known?.state, 'joining');
  t.is(known?.raftId, 2 as never);
  t.false('extra' in (known ?? {}));
});

test('epoch: grows exactly when the set of owners or a weight changes', (t) => {
  const w = new World().found('p1', 'p2');
  const steps: [string, () => unknown, boolean][] = [
    ['the same again', () => w.announce('p2'), false],
    ['another address', () => w.announce('p2', { address: 'x:1' }), false],
    ['another weight', () => w.announce('p2', { weight: 2 }), true],
    ['suspect', () => w.give(w.judge('p2', 'suspect')), false],
    ['down', () => w.give(w.judge('p2', 'down')), true],
    ['down again', () => w.give(w.judge('p2', 'down')), false],
    ['up', () => w.give(w.judge('p2', 'up')), true],
    ['restarted', () => w.announce('p2', { weight: 2, generation: 2 }), false],
    [
      'a joiner',
      () => w.give({ kind: 'member.admit', member: announcement('p3'), atMs: 1 }),
      false,
    ],
    ['it announces itself', () => w.announce('p3'), true],
    ['draining', () => w.give({ kind: 'member.drain', id: peerId('p3'), atMs: 1 }), true],
    ['it announces itself while draining', () => w.announce('p3'), false],
    ['left', () => w.give({ kind: 'member.remove', id: peerId('p3'), atMs: 1 }), false],
  ];
  w.announce('p2', { weight: 1 });
  for (const [name, step, grows] of steps) {
    const before = w.state.epoch;
    step();
    t.is(w.state.epoch, epoch(grows ? before + 1 : before), name);
  }
});

test('member.announce: an older start generation is refused, a stranger too', (t) => {
  const w = new World().found('p1');
  w.announce('p1', { generation: 5 });
  t.false(w.announce('p1', { generation: 4 }).ok);
  t.true(w.announce('p1', { generation: 5 }).ok);
  t.false(w.announce('stranger').ok);
});

test('member.judge: a verdict about an earlier start says nothing about this one', (t) => {
  const w = new World().found('p1', 'p2');
  w.announce('p2', { generation: 2 });
  w.value(w.judge('p2', 'down', 1));
  t.is(w.memberState('p2'), 'up');
  w.value(w.judge('p2', 'down', 2));
  t.is(w.memberState('p2'), 'down');
  w.announce('p2', { generation: 2 });
  t.is(w.memberState('p2'), 'up');
});

test('member.judge: neither wakes the draining nor the gone', (t) => {
  const w = new World().found('p1', 'p2');
  w.value({ kind: 'member.drain', id: peerId('p2'), atMs: 1 });
  w.value(w.judge('p2', 'up'));
  t.is(w.memberState('p2'), 'draining');
  w.value({ kind: 'member.remove', id: peerId('p2'), atMs: 1 });
  w.value(w.judge('p2', 'up'));
  w.value({ kind: 'member.drain', id: peerId('p2'), atMs: 1 });
  t.is(w.memberState('p2'), 'left');
  t.is(w.code({ kind: 'member.drain', id: peerId('p9'), atMs: 1 }), 'not_found');
});
