import test from 'ava';
import { epoch, type PeerId } from '../../src/base/ids.ts';
import type { Member } from '../../src/cluster/member.ts';
import { RingView } from '../../src/node/ring-view.ts';
import { idOf, memberOf, stateOf } from './support/fakes.ts';

const SEGMENT = { path: '/f', index: 0, segmented: true };

function viewOf(members: readonly Member[]) {
  const connected = new Set<PeerId>(members.map(({ id }) => id));
  const heard = new Set<PeerId>(connected);
  let state = stateOf(members);
  return {
    connected,
    heard,
    view: new RingView(idOf('a'), () => state, {
      isConnected: (peer) => connected.has(peer),
      wasHeardLately: (peer) => heard.has(peer),
    }),
    change(next: readonly Member[], nextEpoch: number): void {
      state = stateOf(next, { epoch: epoch(nextEpoch) });
    },
    /** As after a command that changes no member. */
    copy(): void {
      state = { ...state, members: new Map(state.members) };
    },
  };
}

const ABC = ['a', 'b', 'c'].map((name) => memberOf(name));

test('ring: is built once for each epoch', (t) => {
  const world = viewOf(ABC);
  const ring = world.view.ring();
  t.is(world.view.ring(), ring);
  world.copy();
  t.is(world.view.ring(), ring);
  world.change(ABC.slice(0, 2), 2);
  const next = world.view.ring();
  t.not(next, ring);
  t.is(next.epoch, epoch(2));
  t.is(next.has(idOf('c')), false);
});

test('ring: holds who is up or suspect, nobody else', (t) => {
  const states = ['up', 'suspect', 'down', 'joining', 'draining', 'left'] as const;
  const members = states.map((state, at) => memberOf('abcdef'[at] ?? '', { state }));
  const world = viewOf(members);
  t.deepEqual(
    world.view.ring().members.map(({ id }) => id),
    [idOf('a'), idOf('b')],
  );
  t.is(world.view.placement(true).memberCount, 2);
  t.is(world.view.placement(true).capacityBytes, 2_000_000);
});

test('ring: a schedule reaches who was heard lately, and this peer always', (t) => {
  const world = viewOf(ABC);
  world.heard.clear();
  world.heard.add(idOf('b'));
  const placement = world.view.placement(true);
  t.deepEqual(
    ['a', 'b', 'c'].map((name) => placement.isReachable(idOf(name))),
    [true, true, false],
  );
  t.is(placement.reachableCount, 2);
  world.heard.add(idOf('c'));
  t.false(placement.isReachable(idOf('c')), 'a placement is a value');
  t.true(world.view.placement(true).isReachable(idOf('c')));
});

test('ring: a schedule reaches a member that drains, which owns nothing', (t) => {
  const world = viewOf([...ABC, memberOf('d', { state: 'draining' })]);
  world.heard.add(idOf('d'));
  const placement = world.view.placement(true);
  t.true(placement.isReachable(idOf('d')));
  t.false(placement.isOnRing(idOf('d')));
  t.is(placement.memberCount, 3);
  t.is(placement.reachableCount, 3);
});

test('ring: readers and repair reach who is connected now', (t) => {
  const world = viewOf(ABC);
  world.connected.delete(idOf('b'));
  for (const placement of [world.view.readPlacement(), world.view.repairPlacement()]) {
    t.true(placement.isReachable(idOf('a')));
    t.false(placement.isReachable(idOf('b')));
    t.deepEqual(placement.ownersOf(SEGMENT, 2), world.view.ring().ownersOf('/f', 2));
  }
});

test('ring: readers list every member that has not left', (t) => {
  const world = viewOf([
    memberOf('a'),
    memberOf('b', { state: 'draining' }),
    memberOf('c', { state: 'left' }),
    memberOf('d', { state: 'down' }),
  ]);
  t.deepEqual(world.view.readPlacement().members, [idOf('a'), idOf('b'), idOf('d')]);
});

test('ring: repair knows the owners before the last change, if they may be asked', (t) => {
  const world = viewOf(ABC);
  t.deepEqual(world.view.repairPlacement().formerOwnersOf(SEGMENT, 3), []);
  const before = world.view.ring().ownersOf('/f', 3);
  const gone = before[0] ?? idOf('a');
  world.change(
    ABC.filter(({ id }) => id !== gone),
    2,
  );
  t.deepEqual(world.view.repairPlacement().formerOwnersOf(SEGMENT, 3), before);
  world.connected.delete(gone);
  const expected = gone === idOf('a') ? before : before.slice(1);
  t.deepEqual(world.view.repairPlacement().formerOwnersOf(SEGMENT, 3), expected);
});

test('ring: members that drain are asked whatever the ring was before', (t) => {
  const world = viewOf(ABC);
  world.view.ring();
  const draining = [memberOf('a'), memberOf('b'), memberOf('c', { state: 'draining' })];
  world.change(draining, 2);
  world.view.ring();
  world.change([...draining, memberOf('d')], 3);
  world.view.ring();
  world.change([...draining, memberOf('d'), memberOf('e')], 4);
  t.is(world.view.repairPlacement().formerOwnersOf(SEGMENT, 1).at(-1), idOf('c'));
  t.deepEqual(world.view.drainingPeers(), [idOf('c')]);
  world.connected.delete(idOf('c'));
  t.deepEqual(world.view.drainingPeers(), []);
  t.is(world.view.repairPlacement().formerOwnersOf(SEGMENT, 1).at(-1), idOf('c'));
});

test('ring: a peer that drains does not ask itself', (t) => {
  const world = viewOf([memberOf('a', { state: 'draining' }), memberOf('b')]);
  t.deepEqual(world.view.drainingPeers(), []);
});
