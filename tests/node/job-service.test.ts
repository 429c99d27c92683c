import test from 'ava';
import { RingloadError, type ErrorCode } from '../../src/base/errors.ts';
import { jobId, type PeerId } from '../../src/base/ids.ts';
import type { ClusterState } from '../../src/cluster/cluster-state.ts';
import type { Command } from '../../src/cluster/commands.ts';
import type { Coordinator } from '../../src/job/coordinator.ts';
import { JOB_DEFAULTS, type JobSpec } from '../../src/job/spec.ts';
import { NodeJobService } from '../../src/node/job-service.ts';
import type { Proposer } from '../../src/node/proposer.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import { allLinked, MemoryWorld, mesh } from '../peer/support/world.ts';
import { errorOf, FakeConsensus, idOf, jobOf, memberOf, stateOf } from './support/fakes.ts';

const SPEC: JobSpec = { ...JOB_DEFAULTS, path: 's3://b/d' };
const job = (name: string, path: string, given: object = {}) =>
  jobOf(name, { spec: { ...SPEC, path }, ...given });

async function world() {
  const net = new MemoryWorld();
  const peers = [await net.start({ name: 'a' }), await net.start({ name: 'b' })];
  const leader: { id: PeerId | undefined } = { id: idOf('b') };
  const store = new MemoryUnderStore();
  store.put('s3://b/d/f', new Uint8Array(10));
  const members = [memberOf('a'), memberOf('b')];
  const [a, b] = peers.map(({ id, network }) => {
    const consensus = new FakeConsensus();
    const own: { state: ClusterState } = { state: stateOf(members) };
    const committed: Command[] = [];
    const answers: { value: unknown } = { value: undefined };
    const proposer: Pick<Proposer, 'commit'> = {
      commit: (command) => {
        committed.push(command);
        return Promise.resolve(answers.value);
      },
    };
    const coordinator: Pick<Coordinator, 'driverOf'> = { driverOf: () => undefined };
    const times: { elapsedMs: number } = { elapsedMs: 0 };
    const service = new NodeJobService({
      proposer: proposer as Proposer,
      times: {
        elapsedOf: () => times.elapsedMs,
        timed: (command) => ({ ...command, elapsedMs: times.elapsedMs }),
      },
      coordinator: coordinator as Coordinator,
      consensus,
      network,
      stores: {
        mounts: ['s3://b'],
        storeOf: (path) => {
          if (path.startsWith('s3://b')) return store;
          throw new RingloadError('path_not_mounted', path);
        },
      },
      verifier: { verify: () => Promise.resolve(noEvents()) },
      state: () => own.state,
      leader: () => leader.id,
      self: id,
      clock: net.clock,
      newJobId: () => jobId('new'),
      activeMaxCount: 10,
      segmentMaxBytes: 16 * 1024 * 1024,
      failureListOf: (of) => `/failures/${of}`,
    });
    return { service, consensus, own, committed, answers, times };
  });
  if (!a || !b) throw new Error('two peers');
  mesh(peers);
  await net.until('the link', () => allLinked(peers));
  return { net, a, b, leader, store, members };
}

/** What a verification is made of has tests of its own. */
async function* noEvents(): AsyncGenerator<never> {
  // Nothing is told.
}

test('submit: what exists is committed', async (t) => {
  const { net, a } = await world();
  a.answers.value = { jobId: 'j', outcome: 'created' };
  t.deepEqual(await a.service.submit(SPEC), { jobId: jobId('j'), outcome: 'created' });
  t.like(a.committed[0], { kind: 'job.submit', spec: SPEC, activeMaxCount: 10 });
  await net.close();
});

test('submit: a file, and an empty mount, can be loaded too', async (t) => {
  const { net, a, store } = await world();
  await a.service.submit({ ...SPEC, path: 's3://b/d/f' });
  store.delete('s3://b/d/f');
  await a.service.submit({ ...SPEC, path: 's3://b' });
  t.is(a.committed.length, 2);
  await net.close();
});

test('submit: what can never work is refused before anything is committed', async (t) => {
  const { net, a } = await world();
  const codeOf = async (given: Partial<JobSpec>): Promise<ErrorCode> =>
    (await errorOf(a.service.submit({ ...SPEC, ...given }))).code;
  t.is(await codeOf({ path: 's3://b/none' }), 'ufs_not_found');
  t.is(await codeOf({ path: 's3://other/d' }), 'path_not_mounted');
  t.is(await codeOf({ segmentSizeBytes: 16 * 1024 * 1024 + 1 }), 'invalid_argument');
  await a.service.submit({ ...SPEC, segmentSizeBytes: 16 * 1024 * 1024 });
  t.is(a.committed.length, 1);
  await net.close();
});

const OUTCOMES: Partial<Record<ErrorCode, 'committed' | 'refused'>> = {
  ufs_unavailable: 'committed',
  ufs_throttled: 'committed',
  deadline_exceeded: 'committed',
  cancelled: 'committed',
  internal: 'committed',
  ufs_credentials: 'refused',
  ufs_forbidden: 'refused',
  ufs_not_found: 'refused',
};
for (const [code, outcome] of Object.entries(OUTCOMES) as [ErrorCode, string][]) {
  test(`submit: is ${outcome} when the store answers ${code}`, async (t) => {
    const { net, a, store } = await world();
    store.onCall = () => Promise.reject(new RingloadError(code, 'as told'));
    if (outcome === 'committed') await a.service.submit(SPEC);
    else t.is((await errorOf(a.service.submit(SPEC))).code, code);
    t.is(a.committed.length, outcome === 'committed' ? 1 : 0);
    await net.close();
  });
}

test('status: the leader answers, though this peer has not heard of the job', async (t) => {
  const { net, a, b, members } = await world();
  b.own.state = stateOf(members, { jobs: [job('j', 's3://b/d')] });
  for (const ref of [{ id: jobId('j') }, { path: 's3://b/d' }]) {
    t.like(await net.settle(a.service.status(ref)), { id: jobId('j'), stale: false });
  }
  t.is(await net.settle(a.service.status({ path: 's3://b/none' })), undefined);
  await net.close();
});

for (const [what, spoil] of Object.entries({
  'no leader is known': (w) => (w.leader.id = undefined),
  'the leader is out of reach': (w) => {
    w.net.hub.powerCut('b:2');
  },
} satisfies Record<string, (w: Awaited<ReturnType<typeof world>>) => unknown>)) {
  test(`status: when ${what} the own record answers, and says so`, async (t) => {
    const w = await world();
    w.a.own.state = stateOf(w.members, { jobs: [job('j', 's3://b/d')] });
    spoil(w);
    t.like(await w.net.settle(w.a.service.status({ id: jobId('j') })), {
      id: jobId('j'),
      stale: true,
    });
    t.like(await w.net.settle(w.a.service.list({})), [{ id: jobId('j'), stale: true }]);
    await w.net.close();
  });
}

test('status: a leader that cannot confirm that it leads says so', async (t) => {
  const { net, a, b, members } = await world();
  b.own.state = stateOf(members, { jobs: [job('j', 's3://b/d')] });
  b.consensus.onBarrier = () => Promise.reject(new RingloadError('deadline_exceeded', 'cut off'));
  t.like(await net.settle(a.service.status({ id: jobId('j') })), { stale: true });
  t.like(await net.settle(b.service.status({ id: jobId('j') })), { stale: true });
  await net.close();
});

test('status: who has no leader to ask, or cannot confirm that it leads, denies no job', async (t) => {
  const { net, leader, a, b } = await world();
  b.consensus.onBarrier = () => Promise.reject(new RingloadError('deadline_exceeded', 'cut off'));
  for (const { service } of [a, b]) {
    const asked = net.settle(errorOf(service.status({ id: jobId('j') })));
    t.is((await asked).code, 'no_leader');
  }
  leader.id = undefined;
  t.is((await errorOf(a.service.status({ id: jobId('j') }))).code, 'no_leader');
  await net.close();
});

test('status: by path the running job, else the newest', async (t) => {
  const { net, b, members } = await world();
  const first = job('first', 's3://b/d', { state: 'SUCCEEDED' });
  const second = job('second', 's3://b/d', { state: 'FAILED' });
  b.own.state = stateOf(members, { jobs: [first, second, job('other', 's3://b/e')] });
  t.is((await b.service.status({ path: 's3://b/d' }))?.id, jobId('second'));
  b.own.state = stateOf(members, { jobs: [{ ...first, state: 'RUNNING' }, second] });
  t.is((await b.service.status({ path: 's3://b/d' }))?.id, jobId('first'));
  await net.close();
});

test('list: the newest first, by state, and in brief', async (t) => {
  const { net, a, b, members } = await world();
  const failures = [{ path: 's3://b/d/f', code: 'ufs_changed' as const, message: 'it changed' }];
  const checkpoint = {
    pass: 1,
    epoch: 1,
    listingDone: true,
    counters: {},
    tallies: {},
    expected: {},
    failures,
  };
  b.own.state = stateOf(members, {
    jobs: [
      job('one', 's3://b/1', { state: 'FAILED', checkpoint }),
      job('two', 's3://b/2'),
      job('three', 's3://b/3', { state: 'FAILED' }),
    ],
  });
  const ids = async (states?: ('FAILED' | 'RUNNING')[]) =>
    (await net.settle(a.service.list(states ? { states } : {}))).map(({ id }) => id);
  t.deepEqual(await ids(), ['three', 'two', 'one'].map(jobId));
  t.deepEqual(await ids(['FAILED']), ['three', 'one'].map(jobId));
  t.deepEqual(await ids([]), []);
  t.deepEqual((await b.service.list({ states: ['FAILED'] })).at(-1)?.failedFiles, []);
  t.is((await b.service.status({ id: jobId('one') }))?.failedFiles.length, 1);
  await net.close();
});

test('stop: names the job that the leader knows by that path', async (t) => {
  const { net, a, b, members } = await world();
  b.own.state = stateOf(members, { jobs: [job('j', 's3://b/d')] });
  a.answers.value = { stopped: true };
  a.times.elapsedMs = 7;
  b.times.elapsedMs = 8;
  t.is((await net.settle(a.service.status({ path: 's3://b/d' })))?.elapsedMs, 8);
  t.true(await net.settle(a.service.stop({ path: 's3://b/d' })));
  t.like(a.committed[0], { kind: 'job.stop', jobId: jobId('j'), elapsedMs: 7 });
  t.false(await net.settle(a.service.stop({ path: 's3://b/none' })));
  t.is(a.committed.length, 1);
  await net.close();
});

test('stop: a job known here needs no question', async (t) => {
  const { net, a, leader, members } = await world();
  leader.id = undefined;
  a.own.state = stateOf(members, { jobs: [job('j', 's3://b/d')] });
  a.answers.value = { stopped: false };
  t.false(await a.service.stop({ id: jobId('j') }));
  t.is(a.committed.length, 1);
  await net.close();
});

test('stop: without a leader nobody says that nothing was running', async (t) => {
  const { net, a, leader } = await world();
  leader.id = undefined;
  t.is((await errorOf(net.settle(a.service.stop({ path: 's3://b/d' })))).code, 'no_leader');
  t.is((await errorOf(net.settle(a.service.retry({ path: 's3://b/d' })))).code, 'no_leader');
  t.deepEqual(a.committed, []);
  await net.close();
});

test('stop: waits for a leader that comes', async (t) => {
  const { net, a, b, leader, members } = await world();
  b.own.state = stateOf(members, { jobs: [job('j', 's3://b/d')] });
  leader.id = undefined;
  a.answers.value = { stopped: true };
  const stopped = a.service.stop({ path: 's3://b/d' });
  await net.until('a while', () => net.clock.nowMs() > 3000);
  leader.id = idOf('b');
  t.true(await net.settle(stopped));
  await net.close();
});

test('retry: of a job that nobody knows is not found', async (t) => {
  const { net, a, b, members } = await world();
  t.is((await errorOf(net.settle(a.service.retry({ id: jobId('j') })))).code, 'not_found');
  b.own.state = stateOf(members, { jobs: [job('j', 's3://b/d', { state: 'FAILED' })] });
  a.answers.value = { jobId: 'j' };
  t.deepEqual(await net.settle(a.service.retry({ id: jobId('j') })), { jobId: jobId('j') });
  t.like(a.committed[0], { kind: 'job.retry', jobId: jobId('j') });
  await net.close();
});
