import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError, type ErrorCode } from '../../src/base/errors.ts';
import { epoch, jobId, peerId, term } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { SeededRandom } from '../../src/base/random.ts';
import type { Command } from '../../src/cluster/commands.ts';
import { Coordinator } from '../../src/job/coordinator.ts';
import type { Placement } from '../../src/job/placement.ts';
import { leaseOf, type PassRef, type TaskBatch } from '../../src/job/protocol.ts';
import { JOB_DEFAULTS } from '../../src/job/spec.ts';
import type { ListPage } from '../../src/ufs/under-store.ts';
import { MemoryUnderStore } from '../../src/ufs/memory-under-store.ts';
import { World } from '../cluster/support.ts';
import { settle } from '../data/support.ts';
import { RUN_LIMITS } from './support/run-world.ts';

const JOB = jobId('a');
const P1 = peerId('p1');

function open({ runningMaxCount = 10 } = {}) {
  const clock = new ManualClock();
  const under = new MemoryUnderStore();
  for (const path of ['x/1', 'b', 'c', 'd', 'e']) under.put(`s3://b/${path}`, new Uint8Array(10));
  const cluster = new World().found('p1');
  const batches: TaskBatch[] = [];
  const cancelled: PassRef[] = [];
  const world = {
    mounted: true,
    page: undefined as ListPage | undefined,
    sendError: undefined as ErrorCode | undefined,
    commitError: undefined as ErrorCode | undefined,
    commits: [] as Command[],
  };
  const coordinator = new Coordinator({
    stores: {
      mounts: [],
      storeOf: () => {
        if (!world.mounted) throw new RingloadError('path_not_mounted', 'not mounted here');
        const { page } = world;
        return page
          ? Object.assign(new MemoryUnderStore(), { list: () => Promise.resolve(page) })
          : under;
      },
    },
    owners: {
      sendBatch: (_to, batch) => {
        batches.push(batch);
        return world.sendError
          ? Promise.reject(new RingloadError(world.sendError, 'no'))
          : Promise.resolve({ windowTasks: 8, windowBytes: 1000 });
      },
      inventory: () => Promise.reject(new RingloadError('peer_unreachable', 'away')),
      discard: () => Promise.resolve(),
      recall: () => undefined,
      cancel: (_to, pass) => void cancelled.push(pass),
    },
    commit: async (command) => {
      await Promise.resolve();
      world.commits.push(command);
      if (world.commitError) throw new RingloadError(world.commitError, 'no');
      cluster.value(command);
      coordinator.reconcile(cluster.state);
    },
    failuresOf: () => ({ append: () => undefined }),
    runningMaxCount,
    limits: RUN_LIMITS,
    clock,
    random: new SeededRandom(1),
    logger: silentLogger,
  });
  const placement: Placement = {
    epoch: epoch(1),
    isInOrder: true,
    memberCount: 1,
    reachableCount: 1,
    capacityBytes: 1e9,
    ownersOf: () => [P1],
    isOnRing: () => true,
    isReachable: () => true,
  };
  const spec = { ...JOB_DEFAULTS, path: 's3://b/x' };
  cluster.value({ kind: 'job.submit', jobId: JOB, spec, activeMaxCount: 9, atMs: 0 });
  const pass = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 50) {
      await settle();
      clock.advance(50);
    }
    await settle();
  };
  const lead = (inTerm = 1): void => {
    coordinator.lead(term(inTerm), cluster.state, placement);
  };
  return { coordinator, cluster, batches, cancelled, world, pass, lead };
}

test('coordinator: drives what is active, and lets go of what ended', async (t) => {
  const { coordinator, cluster, batches, cancelled, pass, lead } = open();
  lead();
  await pass(200);
  t.is(batches.length, 1);
  t.truthy(coordinator.driverOf(JOB));
  cluster.value(cluster.stop('a'));
  coordinator.reconcile(cluster.state);
  t.is(coordinator.driverOf(JOB), undefined);
  t.deepEqual(cancelled, [{ jobId: JOB, run: 1, term: term(1), pass: 0 }]);
  t.is(leaseOf({ jobId: JOB, run: 2, term: term(9), pass: 3 }), jobId('a/2.3'));
});

test('coordinator: a driver that an owner turned away is replaced while this peer leads', async (t) => {
  const { coordinator, batches, world, pass, lead } = open();
  world.sendError = 'stale_term';
  lead();
  await pass(300);
  t.is(batches.length, 1);
  world.sendError = undefined;
  await pass(2000);
  t.is(batches.length, 2);
  const [before, after] = batches.map((batch) => batch.tasks[0]?.id ?? 0);
  t.true((after ?? 0) > (before ?? 0), 'ids are never used twice in a term');
  const frame = {
    ...batches[1],
    results: [],
    generation: 1,
    tally: { segmentCount: 0, storedBytes: 0, ufsBytes: 0, copiedBytes: 0 },
  };
  t.notThrows(() => {
    coordinator.takeResults(P1, frame as never);
  });
});

test('coordinator: a driver that breaks again and again fails its job', async (t) => {
  const { cluster, world, pass, lead } = open();
  // A page that is no page: a fault of ours, not of the store.
  world.page = { objects: undefined, done: true } as never;
  lead();
  await pass(1500);
  t.true(['WAITING', 'RUNNING'].includes(cluster.stateOf('a') ?? ''));
  await pass(5000);
  t.is(cluster.stateOf('a'), 'FAILED');
  t.is(cluster.state.jobs.get(JOB)?.failure?.code, 'internal');
});

test('coordinator: a job whose mount is missing fails, also when the first commits are lost', async (t) => {
  const { cluster, world, pass, lead } = open();
  world.mounted = false;
  world.commitError = 'deadline_exceeded';
  lead();
  await pass(2500);
  t.is(cluster.stateOf('a'), 'WAITING');
  t.true(world.commits.length >= 2);
  world.commitError = undefined;
  await pass(2000);
  t.is(cluster.stateOf('a'), 'FAILED');
  t.is(cluster.state.jobs.get(JOB)?.failure?.code, 'path_not_mounted');
  const { length } = world.commits;
  await pass(5000);
  t.is(world.commits.length, length);
});

test('coordinator: results of another run or term, or without a driver, are refused', async (t) => {
  const { coordinator, batches, pass, lead } = open();
  lead(3);
  await pass(200);
  const tally = { segmentCount: 0, storedBytes: 0, ufsBytes: 0, copiedBytes: 0 };
  const good = { jobId: JOB, run: 1, term: term(3), pass: 1, results: [], generation: 1, tally };
  t.is(batches.length, 1);
  t.notThrows(() => {
    coordinator.takeResults(P1, good);
  });
  for (const bad of [{ run: 2 }, { term: term(2) }, { jobId: jobId('b') }]) {
    const error = t.throws(
      () => {
        coordinator.takeResults(P1, { ...good, ...bad });
      },
      { instanceOf: RingloadError },
    );
    t.is(error.code, 'stale_term');
  }
  coordinator.resign();
  t.false(coordinator.isLeading);
  t.throws(() => {
    coordinator.takeResults(P1, good);
  });
});

test('coordinator: after it resigned nothing is sent or committed any more', async (t) => {
  const { coordinator, batches, world, pass, lead } = open();
  world.sendError = 'stale_term';
  lead();
  await pass(300);
  coordinator.resign();
  const { length } = world.commits;
  await pass(5000);
  t.is(batches.length, 1);
  t.is(world.commits.length, length);
});

test('coordinator: more jobs than may run wait, and the next one is the most urgent, then the oldest', async (t) => {
  const { coordinator, cluster, pass, lead } = open({ runningMaxCount: 2 });
  const driven = (): string[] =>
    [...cluster.state.jobs.keys()].filter((id) => coordinator.driverOf(id));
  cluster.value(cluster.submit('b', 's3://b/b', { priority: 'low' }));
  cluster.value(cluster.submit('c', 's3://b/c'));
  lead();
  await pass(200);
  t.deepEqual(driven(), ['a', 'c']);
  cluster.value(cluster.submit('d', 's3://b/d', { priority: 'high' }));
  coordinator.reconcile(cluster.state);
  t.deepEqual(driven(), ['a', 'c'], 'nobody is sent away');
  cluster.value(cluster.stop('a'));
  coordinator.reconcile(cluster.state);
  t.deepEqual(driven(), ['c', 'd']);
  t.false(coordinator.hasPlace(jobId('b')));
  // Whoever leads next lets those go on that ran.
  cluster.value(cluster.submit('e', 's3://b/e', { priority: 'high' }));
  cluster.value(cluster.checkpoint('c', 1, 1));
  lead(2);
  t.deepEqual(driven(), ['c', 'd']);
});
