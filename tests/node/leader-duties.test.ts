import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError } from '../../src/base/errors.ts';
import { epoch, jobId, logIndex, raftId, term } from '../../src/base/ids.ts';
import type { ClusterState } from '../../src/cluster/cluster-state.ts';
import type { Command } from '../../src/cluster/commands.ts';
import type { RepairReport } from '../../src/node/order-watch.ts';
import { LeaderDuties } from '../../src/node/leader-duties.ts';
import {
  errorOf,
  FakeConsensus,
  FakeNetwork,
  idOf,
  jobOf,
  memberOf,
  numberOf,
  pass,
  RecordingLogger,
  stateOf,
} from './support/fakes.ts';

const LIMITS = {
  suspectAfterMs: 1000,
  downAfterMs: 5000,
  maxVoters: 5,
  replaceVoterAfterMs: 8000,
  jobRetentionMs: 60_000,
};
const IDLE: RepairReport = {
  epoch: epoch(1),
  idle: true,
  requestCount: 1,
  movedSegments: 0,
  movedBytes: 0,
  leftSegments: 0,
  leftBytes: 0,
  leftFiles: 0,
  bytesPerSecond: 0,
  missingSegmentCount: 0,
  handedOverFileCount: 0,
  appliedIndex: 10,
};

function world(state: ClusterState) {
  const clock = new ManualClock();
  const consensus = new FakeConsensus();
  const network = new FakeNetwork();
  const logger = new RecordingLogger();
  const committed: Command[] = [];
  const reports = new Map<string, RepairReport | RingloadError>();
  const w = {
    clock,
    consensus,
    network,
    logger,
    committed,
    reports,
    state,
    onCommit: (_command: Command): Promise<void> => Promise.resolve(),
    /** Everybody of these is heard now and then. */
    alive: new Set<string>(),
    async pass(ms: number): Promise<void> {
      for (let passedMs = 0; passedMs < ms; passedMs += 100) {
        for (const name of w.alive) network.hear(name, clock.nowMs());
        await pass(clock, 100, 100);
      }
    },
    duties: undefined as unknown as LeaderDuties,
  };
  network.answer = (to) => {
    const report = reports.get(to) ?? IDLE;
    if (report instanceof RingloadError) throw report;
    return report;
  };
  const names = [...state.members.values()].map(({ raftId: id }) => id);
  consensus.current = {
    ...consensus.current,
    role: 'leader',
    term: term(2),
    voters: names,
    matchIndex: new Map(names.map((id) => [id, logIndex(10)])),
  };
  w.duties = new LeaderDuties({
    self: idOf('a'),
    consensus,
    network,
    state: () => w.state,
    commit: (command) => {
      committed.push(command);
      return w.onCommit(command);
    },
    limits: LIMITS,
    repairReport: () => {
      const own = reports.get(idOf('a')) ?? IDLE;
      if (own instanceof RingloadError) throw own;
      return own;
    },
    clock,
    logger,
  });
  return w;
}

const ABC = ['a', 'b', 'c'];
const members = (given: Record<string, object> = {}) =>
  ABC.map((name) => memberOf(name, given[name] ?? {}));
const kinds = (commands: readonly Command[]): string[] =>
  commands.map((command) => ('id' in command ? `${command.kind} ${command.id}` : command.kind));

test('duties: who falls silent is judged, and only while this peer leads', async (t) => {
  const w = world(stateOf(members()));
  w.alive = new Set(['b', 'c']);
  w.duties.start();
  await w.pass(3000);
  t.deepEqual(w.committed, []);
  w.alive.delete('b');
  await w.pass(1400);
  t.like(w.committed.at(-1), { kind: 'member.judge', id: idOf('b'), verdict: 'suspect' });
  w.duties.stop();
  const { length } = w.committed;
  await w.pass(10_000);
  t.is(w.committed.length, length);
});

test('duties: a stall of this process is nobody else’s silence', async (t) => {
  const w = world(stateOf(members()));
  w.alive = new Set(['b', 'c']);
  w.duties.start();
  await w.pass(1000);
  const stalled = w.clock.setTimer;
  // A stopped process: nothing fires for a while, then everything that is due, late.
  let late: (() => void)[] | undefined = [];
  w.clock.setTimer = (delayMs, callback) =>
    stalled.call(w.clock, delayMs, () => {
      if (late) late.push(callback);
      else callback();
    });
  await pass(w.clock, 20_000, 1000);
  const due = late;
  late = undefined;
  for (const callback of due) callback();
  await w.pass(900);
  t.deepEqual(kinds(w.committed), []);
  w.duties.stop();
});

test('duties: a stall in the middle of a round is seen too', async (t) => {
  const w = world(stateOf(members({ c: { state: 'suspect' } })));
  w.alive = new Set(['b', 'c']);
  let open: () => void = () => undefined;
  w.onCommit = () => new Promise((resolve) => (open = resolve));
  w.duties.start();
  await w.pass(500);
  t.deepEqual(kinds(w.committed), [`member.judge ${idOf('c')}`]);
  // While the commit waits the process is stopped: the timer that is due fires late.
  const original = w.clock.setTimer.bind(w.clock);
  let late: (() => void) | undefined;
  w.clock.setTimer = (delayMs, callback) => original(delayMs, () => (late = callback));
  await pass(w.clock, 300, 100);
  await pass(w.clock, 20_000, 1000);
  w.clock.setTimer = original;
  late?.();
  open();
  await w.pass(900);
  t.deepEqual(
    w.committed.filter((command) => command.kind === 'member.judge' && command.verdict !== 'up'),
    [],
  );
  w.duties.stop();
});

test('duties: one round at a time, also when leadership ends and comes back meanwhile', async (t) => {
  const w = world(stateOf(members({ b: { state: 'suspect' } })));
  w.alive = new Set(['b', 'c']);
  const open: (() => void)[] = [];
  w.onCommit = () => new Promise((resolve) => open.push(resolve));
  w.duties.start();
  await w.pass(600);
  t.is(open.length, 1);
  for (let turn = 0; turn < 5; turn += 1) {
    w.duties.stop();
    w.duties.start();
    await w.pass(600);
  }
  t.is(open.length, 1);
  for (const resolve of open) resolve();
  w.onCommit = () => Promise.resolve();
  w.committed.length = 0;
  await w.pass(2000);
  // Five rounds a second, each with its one verdict.
  t.true(w.committed.length <= 11, `${w.committed.length} verdicts in two seconds`);
  w.duties.stop();
});

test('duties: one that fails does not keep the others from being done', async (t) => {
  const w = world(stateOf([...members({ b: { state: 'suspect' } }), memberOf('d')]));
  w.alive = new Set(['b', 'c', 'd']);
  w.consensus.current = { ...w.consensus.current, voters: ABC.map(numberOf) };
  w.onCommit = () => Promise.reject(new RingloadError('deadline_exceeded', 'slow disk'));
  w.duties.start();
  await w.pass(1000);
  t.deepEqual(w.consensus.changes[0], { kind: 'add-learner', id: numberOf('d') });
  w.duties.stop();
});

test('duties: a member that drains goes when all have been quiet twice', async (t) => {
  const w = world(stateOf(members({ b: { state: 'draining' } })));
  w.alive = new Set(['b', 'c']);
  w.reports.set(idOf('c'), { ...IDLE, idle: false });
  w.duties.start();
  await w.pass(2000);
  t.deepEqual(w.committed, []);
  let count = 5;
  w.network.answer = (to) => (to === idOf('c') ? { ...IDLE, requestCount: count++ } : IDLE);
  await w.pass(2000);
  t.deepEqual(w.committed, [], 'idle at each question, busy between them');
  w.network.answer = () => IDLE;
  await w.pass(1000);
  t.deepEqual(kinds(w.committed.slice(0, 1)), [`member.remove ${idOf('b')}`]);
  w.duties.stop();
});

test('duties: members that drained lose their votes one by one before they are told to go', async (t) => {
  const w = world(stateOf(members({ b: { state: 'draining' }, c: { state: 'draining' } })));
  w.alive = new Set(['b', 'c']);
  w.consensus.current = { ...w.consensus.current, voters: ABC.map(numberOf) };
  w.network.answer = () => IDLE;
  const removedBefore: number[] = [];
  w.consensus.onChange = () => {
    removedBefore.push(w.committed.filter(({ kind }) => kind === 'member.remove').length);
    return Promise.resolve();
  };
  w.duties.start();
  await w.pass(1000);
  t.deepEqual(w.consensus.changes.slice(0, 2), [
    { kind: 'demote', id: numberOf('b') },
    { kind: 'demote', id: numberOf('c') },
  ]);
  t.deepEqual(removedBefore.slice(0, 2), [0, 1]);
  w.duties.stop();
});

const FORCE_OUT = 'cluster.forceOut';

test('duties: who is removed by force loses the vote first, the next one only after that', async (t) => {
  const w = world(stateOf(members()));
  w.alive = new Set(['b', 'c']);
  const order: string[] = [];
  let openGate: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (openGate = resolve));
  w.consensus.onChange = async ({ kind, id }) => {
    order.push(`${kind} ${id}`);
    if (order.length === 1) await gate;
  };
  w.onCommit = (command) => {
    order.push(command.kind);
    return Promise.resolve();
  };
  w.duties.start();
  const asked = ['b', 'c'].map((name) => w.network.ask('a', FORCE_OUT, { id: idOf(name) }));
  await w.pass(1000);
  t.deepEqual(order, [`demote ${numberOf('b')}`], 'nothing else while a change is not committed');
  openGate();
  await w.pass(300);
  await Promise.all(asked);
  t.deepEqual(order.slice(1, 4), ['member.remove', `demote ${numberOf('c')}`, 'member.remove']);
  w.duties.stop();
});

test('duties: a member whose vote cannot be taken is not removed by force', async (t) => {
  const w = world(stateOf(members()));
  w.alive = new Set(['b', 'c']);
  const refusal = new RingloadError('conflict', 'only 1 of 2 voters would be active');
  w.consensus.onChange = () => Promise.reject(refusal);
  w.duties.start();
  const asked = w.network.ask('b', FORCE_OUT, { id: idOf('c') });
  asked.catch(() => undefined);
  await w.pass(500);
  t.is((await errorOf(asked)).code, 'conflict');
  t.deepEqual(w.committed, []);
  w.duties.stop();
});

test('duties: a leader that is removed by force hands over, and the next one is asked', async (t) => {
  const w = world(stateOf(members()));
  w.alive = new Set(['b', 'c']);
  w.duties.start();
  const asked = w.network.ask('b', FORCE_OUT, { id: idOf('a') });
  asked.catch(() => undefined);
  await w.pass(500);
  t.is((await errorOf(asked)).code, 'not_leader');
  t.is(w.consensus.transfers.length, 1);
  const late = w.network.ask('b', FORCE_OUT, { id: idOf('c') });
  w.duties.stop();
  t.is((await errorOf(late)).code, 'not_leader');
  t.is((await errorOf(w.network.ask('b', FORCE_OUT, { id: idOf('c') }))).code, 'not_leader');
  t.deepEqual(w.committed, []);
});

test('duties: who asks for its own removal is answered while it has a link', async (t) => {
  const w = world(stateOf(members()));
  w.alive = new Set(['b', 'c']);
  let isAnswered = false;
  // The commit, with which it is linked to no more, does not come.
  w.onCommit = () => new Promise(() => undefined);
  w.duties.start();
  void w.network.ask('c', FORCE_OUT, { id: idOf('c') }).then(() => (isAnswered = true));
  await w.pass(500);
  t.true(isAnswered);
  t.is(w.committed[0]?.kind, 'member.remove');
  w.duties.stop();
});

for (const [what, report] of Object.entries({
  'has walked an earlier ring only': { ...IDLE, epoch: epoch(0) },
  'has not heard of what the leader has': { ...IDLE, appliedIndex: 9 },
  'does not answer': new RingloadError('deadline_exceeded', 'slow'),
})) {
  for (const name of ['b', 'c']) {
    test(`duties: a member drains on while ${name === 'b' ? 'it' : 'another'} ${what}`, async (t) => {
      const w = world(stateOf(members({ b: { state: 'draining' } })));
      w.alive = new Set(['b', 'c']);
      w.reports.set(idOf(name), report);
      w.duties.start();
      await w.pass(3000);
      t.deepEqual(w.committed, []);
      w.duties.stop();
    });
  }
}

test('duties: placement is in order when all were quiet twice, until the ring changes or a member starts', async (t) => {
  const jobs = [jobOf('j', { state: 'SUCCEEDED' })];
  const w = world(stateOf(members(), { jobs }));
  w.alive = new Set(['b', 'c']);
  w.reports.set(idOf('c'), { ...IDLE, idle: false });
  w.duties.start();
  await w.pass(2000);
  t.false(w.duties.isPlacementInOrder());
  w.reports.clear();
  await w.pass(1000);
  t.true(w.duties.isPlacementInOrder());
  w.state = stateOf(members({ b: { generation: 2 } }), { jobs });
  t.false(w.duties.isPlacementInOrder(), 'a member may have come back with an empty disk');
  await w.pass(1000);
  t.true(w.duties.isPlacementInOrder());
  w.state = { ...w.state, epoch: epoch(2) };
  await w.pass(1000);
  t.false(w.duties.isPlacementInOrder(), 'nobody has walked for this ring');
  w.state = { ...w.state, jobs: new Map() };
  t.true(w.duties.isPlacementInOrder(), 'nothing was loaded yet');
  w.duties.stop();
});

test('duties: a member drains on while an owner is suspect', async (t) => {
  const w = world(stateOf(members({ b: { state: 'draining' }, c: { state: 'suspect' } })));
  w.alive = new Set(['b']);
  w.onCommit = () => Promise.reject(new RingloadError('deadline_exceeded', 'no verdict'));
  w.duties.start();
  await w.pass(3000);
  t.false(kinds(w.committed).includes(`member.remove ${idOf('b')}`));
  w.duties.stop();
});

test('duties: a member that dies while it drains is not waited for', async (t) => {
  const w = world(stateOf(members({ b: { state: 'draining' } })));
  w.alive = new Set(['c']);
  w.reports.set(idOf('b'), new RingloadError('peer_unreachable', 'dead'));
  w.reports.set(idOf('c'), { ...IDLE, idle: false });
  w.duties.start();
  await w.pass(LIMITS.downAfterMs - 400);
  t.deepEqual(w.committed, []);
  await w.pass(1000);
  t.deepEqual(kinds(w.committed.slice(0, 1)), [`member.remove ${idOf('b')}`]);
  w.duties.stop();
});

const checkpoint = {
  pass: 1,
  epoch: 1,
  listingDone: false,
  counters: {},
  tallies: {},
  expected: {},
  failures: [],
};
for (const [what, job, isAwaited] of [
  [
    'that began under an earlier ring',
    jobOf('j', { checkpoint: { ...checkpoint, epoch: 0 } }),
    true,
  ],
  ['in its second pass', jobOf('j', { checkpoint: { ...checkpoint, pass: 2 } }), true],
  ['in its second run', jobOf('j', { run: 2, checkpoint }), true],
  ['that has no checkpoint yet', jobOf('j'), true],
  ['that began under this ring', jobOf('j', { checkpoint }), false],
  ['that has ended', jobOf('j', { state: 'SUCCEEDED', endedAtMs: 1e15 }), false],
] as const) {
  test(`duties: a job ${what} ${isAwaited ? 'is' : 'is not'} waited for by a drain`, async (t) => {
    const w = world(stateOf(members({ b: { state: 'draining' } }), { jobs: [job] }));
    w.alive = new Set(['b', 'c']);
    w.duties.start();
    await w.pass(2000);
    t.is(w.committed.length === 0, isAwaited);
    w.duties.stop();
  });
}

test('duties: a leader that drains hands over, and does not remove itself', async (t) => {
  const w = world(stateOf(members({ a: { state: 'draining' } })));
  w.alive = new Set(['b', 'c']);
  w.duties.start();
  await w.pass(2000);
  t.true(w.consensus.transfers.length > 0);
  t.deepEqual(w.committed, []);
  w.duties.stop();
});

test('duties: a leader with the only vote gives one away before it leaves', async (t) => {
  const w = world(stateOf([memberOf('a', { state: 'draining' }), memberOf('b')]));
  w.consensus.current = {
    ...w.consensus.current,
    voters: [numberOf('a')],
    learners: [numberOf('b')],
  };
  w.alive = new Set(['b']);
  w.duties.start();
  await w.pass(1000);
  t.deepEqual(w.consensus.changes[0], { kind: 'add-voter', id: numberOf('b') });
  t.deepEqual([w.consensus.transfers, w.committed], [[], []]);
  w.consensus.become({ voters: [numberOf('a'), numberOf('b')], learners: [] });
  await w.pass(1000);
  t.is(w.consensus.transfers[0], numberOf('b'));
  t.deepEqual(w.committed, []);
  w.duties.stop();
});

test('duties: leadership is not handed to a voter that is dead', async (t) => {
  const w = world(stateOf(members({ a: { state: 'draining' }, b: { state: 'down' } })));
  w.alive = new Set(['c']);
  w.duties.start();
  await w.pass(1000);
  t.deepEqual([...new Set(w.consensus.transfers)], [numberOf('c')]);
  w.duties.stop();
});

test('duties: a voter that stays away loses its vote to a learner', async (t) => {
  const w = world(stateOf([...members({ c: { state: 'down' } }), memberOf('d')]));
  w.alive = new Set(['b', 'd']);
  w.consensus.current = {
    ...w.consensus.current,
    voters: ABC.map(numberOf),
    learners: [numberOf('d')],
  };
  w.duties.start();
  await w.pass(LIMITS.replaceVoterAfterMs - 500);
  t.deepEqual(w.consensus.changes, []);
  await w.pass(1000);
  t.deepEqual(w.consensus.changes[0], { kind: 'add-voter', id: numberOf('d') });
  w.duties.stop();
});

test('duties: who has left loses its place in raft', async (t) => {
  const w = world(stateOf(members({ c: { state: 'left' } })));
  w.alive = new Set(['b']);
  w.duties.start();
  await w.pass(1000);
  t.like(w.consensus.changes[0], { id: raftId(3) });
  w.duties.stop();
});

test('duties: jobs that ended long ago are forgotten, by the time that passes and not by the date', async (t) => {
  const clockOrigin = new ManualClock().wallMs();
  const old = jobOf('old', { state: 'SUCCEEDED', endedAtMs: clockOrigin - 10_000 });
  const w = world(stateOf(members(), { jobs: [old, jobOf('running', { checkpoint })] }));
  w.alive = new Set(['b', 'c']);
  const tenYearsMs = 10 * 365 * 86_400_000;
  w.duties.start();
  // Ten years ahead, then in 1970: neither is a reason.
  w.clock.wallMs = () => clockOrigin + tenYearsMs;
  await w.pass(70_000);
  w.clock.wallMs = () => 0;
  t.deepEqual(kinds(w.committed), []);
  await w.pass(130_000);
  t.deepEqual(w.committed[0], { kind: 'job.prune', jobIds: [jobId('old')] });
  w.duties.stop();
});
