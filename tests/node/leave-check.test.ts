import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { checkLeave } from '../../src/node/leave-check.ts';
import { FakeConsensus, jobOf, memberOf, numberOf, stateOf } from './support/fakes.ts';

function leave(
  names: string,
  options: {
    who?: string;
    force?: boolean;
    voters?: string;
    replicas?: number;
    states?: object;
  } = {},
): string {
  const { who = 'b', force = false, voters = names, replicas = 1 } = options;
  const states = (options.states ?? {}) as Record<string, object>;
  const members = Array.from(names).map((name) => memberOf(name, states[name] ?? {}));
  const spec = { path: 's3://b/d', replicaCount: replicas };
  const state = stateOf(members, { jobs: [jobOf('j', { spec, state: 'SUCCEEDED' })] });
  const member = members.find(({ raftId }) => raftId === numberOf(who));
  if (!member) throw new Error('no such member');
  const status = { ...new FakeConsensus().status(), voters: Array.from(voters).map(numberOf) };
  try {
    checkLeave(member, state, status, force);
    return 'may leave';
  } catch (error) {
    if (error instanceof RingloadError && error.code === 'conflict') return error.message;
    throw error;
  }
}

test('leave: with enough owners left a member may go', (t) => {
  t.is(leave('abc', { replicas: 2 }), 'may leave');
  t.is(leave('ab', { replicas: 1 }), 'may leave');
});

test('leave: not below the copies that loads asked for, unless forced', (t) => {
  t.regex(leave('abc', { replicas: 3 }), /2 would stay for loads of 3 copies/);
  t.is(leave('abc', { replicas: 3, force: true }), 'may leave');
});

test('leave: owners are who is on the ring', (t) => {
  const states = { c: { state: 'down' } };
  t.regex(leave('abc', { replicas: 2, states }), /1 would stay/);
  t.is(leave('abc', { who: 'c', replicas: 2, states }), 'may leave', 'the dead own nothing');
  t.regex(leave('ab', { states: { a: { state: 'draining' } } }), /0 would stay/);
});

test('leave: the only member stays, forced or not', (t) => {
  for (const force of [false, true]) {
    t.regex(leave('b', { force }), /only member/);
    t.regex(leave('ab', { force, states: { a: { state: 'left' } } }), /only member/);
  }
});

test('leave: the only vote is not taken by force, but may be drained', (t) => {
  t.regex(leave('ab', { voters: 'b', force: true }), /only vote/);
  t.is(leave('ab', { voters: 'b' }), 'may leave');
  t.is(leave('ab', { voters: 'a', force: true }), 'may leave');
});

test('leave: who has left may leave again', (t) => {
  t.is(leave('b', { states: { b: { state: 'left' } } }), 'may leave');
});
