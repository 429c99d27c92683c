import test from 'ava';
import { LivenessJudge } from '../../src/node/liveness-judge.ts';
import type { Member } from '../../src/cluster/member.ts';
import { idOf, memberOf } from './support/fakes.ts';

const LIMITS = { suspectAfterMs: 100, downAfterMs: 1000 };

function judgeAt(
  nowMs: number,
  members: readonly Member[],
  heard: Record<string, number | undefined> = {},
  sinceMs = 0,
): string[] {
  const judge = new LivenessJudge(idOf('a'), LIMITS);
  judge.restart(sinceMs);
  const lastHeard = (peer: string): number | undefined => heard[peer.slice('peer-'.length)];
  return judge
    .judge(members, lastHeard, { nowMs, wallMs: 7 })
    .map(({ id, generation, verdict, atMs }) => {
      if (atMs !== 7) throw new Error('not stamped with the wall clock');
      return `${id.slice('peer-'.length)}#${generation} ${verdict}`;
    });
}

test('judge: silence makes a member suspect, then down, at exactly its limits', (t) => {
  const up = [memberOf('b')];
  t.deepEqual(judgeAt(1099, up, { b: 1000 }), []);
  t.deepEqual(judgeAt(1100, up, { b: 1000 }), ['b#1 suspect']);
  const suspect = [memberOf('b', { state: 'suspect' })];
  t.deepEqual(judgeAt(1999, suspect, { b: 1000 }), []);
  t.deepEqual(judgeAt(2000, suspect, { b: 1000 }), ['b#1 down']);
  t.deepEqual(judgeAt(2000, up, { b: 1000 }), ['b#1 down']);
  t.deepEqual(judgeAt(9000, [memberOf('b', { state: 'down' })], { b: 1000 }), []);
});

test('judge: a new leader gives everybody the full grace', (t) => {
  const members = [memberOf('b'), memberOf('c')];
  t.deepEqual(judgeAt(10_099, members, { b: 50 }, 10_000), []);
  t.deepEqual(judgeAt(10_100, members, { b: 50 }, 10_000), ['b#1 suspect', 'c#1 suspect']);
  t.deepEqual(judgeAt(11_000, members, {}, 10_000), ['b#1 down', 'c#1 down']);
});

test('judge: silence before a restart is forgotten, and is no sign of life', (t) => {
  const members = [
    memberOf('b'),
    memberOf('c', { state: 'suspect' }),
    memberOf('d', { state: 'down' }),
  ];
  const heard = { b: 10, c: 10, d: 10 };
  t.deepEqual(judgeAt(10_050, members, heard, 10_000), []);
  t.deepEqual(judgeAt(10_050, members, { b: 10, c: 10_001, d: 10_000 }, 10_000), [
    'c#1 up',
    'd#1 up',
  ]);
});

test('judge: a member that is down does not become suspect, only up', (t) => {
  const down = [memberOf('b', { state: 'down' })];
  t.deepEqual(judgeAt(10_500, down, { b: 10_100 }, 10_000), []);
  t.deepEqual(judgeAt(10_500, down, { b: 10_450 }, 10_000), ['b#1 up']);
});

test('judge: the leader itself is alive, whatever the one before it found', (t) => {
  t.deepEqual(judgeAt(99_000, [memberOf('a', { state: 'down', generation: 4 })]), ['a#4 up']);
  t.deepEqual(judgeAt(99_000, [memberOf('a')]), []);
});

test('judge: a verdict names the start of the process that it is about', (t) => {
  t.deepEqual(judgeAt(5000, [memberOf('b', { generation: 9 })], { b: 0 }), ['b#9 down']);
});

test('judge: who joins, drains or left is not judged', (t) => {
  const states = ['joining', 'draining', 'left'] as const;
  const members = states.map((state, at) => memberOf('bcd'[at] ?? '', { state }));
  t.deepEqual(judgeAt(50_000, members), []);
});
