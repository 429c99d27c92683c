import test, { type ExecutionContext } from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { RingloadError, type ErrorCode } from '../../src/base/errors.ts';
import { epoch, jobId, peerId, term } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { MemoryFileCatalog } from '../../src/cache/memory-file-catalog.ts';
import { sumOf } from '../../src/data/io/extra-sum.ts';
import { SegmentLoader } from '../../src/data/segment-loader.ts';
import { Executor, type ExecutorLimits } from '../../src/job/executor.ts';
import {
  leaseOf,
  type ResultFrame,
  type Task,
  type TaskBatch,
  type TaskResult,
} from '../../src/job/protocol.ts';
import {
  Gate,
  keyOf,
  newMutes,
  newStore,
  SEGMENT_BYTES,
  settle,
  TestPlane,
} from '../data/support.ts';

const LEADER = peerId('leader');
const JOB = jobId('job');
const LIMITS: ExecutorLimits = {
  windowTasks: 4,
  windowBytes: 1000,
  parallelTasks: 2,
  parallelBytes: 1000,
  resultDelayMs: 10,
  resultBatchMaxCount: 3,
};

function open(limits: Partial<ExecutorLimits> = {}, store = newStore()) {
  const clock = new ManualClock();
  const plane = new TestPlane(store);
  const catalog = new MemoryFileCatalog();
  const frames: ResultFrame[] = [];
  const world = {
    term: 1,
    run: { run: 1, active: true } as { run: number; active: boolean } | undefined,
    refusal: undefined as ErrorCode | undefined,
    attempts: 0,
  };
  const executor = new Executor({
    store,
    catalog,
    loader: new SegmentLoader({ store, plane, mutes: newMutes(clock), logger: silentLogger }),
    leader: {
      sendResults: async (_to, frame) => {
        await Promise.resolve();
        world.attempts += 1;
        if (world.refusal) throw new RingloadError(world.refusal, 'not now');
        frames.push(frame);
      },
    },
    clock,
    logger: silentLogger,
    limits: { ...LIMITS, ...limits },
    generation: 5,
    currentTerm: () => term(world.term),
    endpointOf: (peer) => (peer === peerId('unknown') ? undefined : `http://${peer}`),
    sumOf,
    runOf: () => world.run,
  });
  const results = (): TaskResult[] => frames.flatMap((frame) => frame.results);
  const pass = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 10) {
      await settle();
      clock.advance(10);
    }
    await settle();
  };
  return { executor, store, plane, catalog, frames, results, world, pass, clock };
}

test('executor: a segment whose record cannot be written is in no inventory', async (t) => {
  const { executor, catalog, results, pass } = open();
  catalog.hold = () => Promise.reject(new RingloadError('cache_io', 'the catalogue is full'));
  const order = batch([task(1), task(2, { index: 1, record: false })]);
  executor.accept(LEADER, order);
  await pass(100);
  t.deepEqual(
    results()
      .map(({ id, status, error }) => [id, status, error?.code] as const)
      .sort(([left], [right]) => left - right),
    [
      [1, 'failed', 'cache_io'],
      [2, 'loaded', undefined],
    ],
  );
  t.is((await executor.inventory(order)).inventory.segmentCount, 1);
});

test('executor: hundreds of tasks at once listen to signals of their own', async (t) => {
  const { executor, plane, pass } = open({ parallelTasks: 100, windowTasks: 100 });
  const signals = new Set<AbortSignal>();
  plane.before = (_source, signal) => void signals.add(signal);
  let warned = '';
  const onWarning = (warning: Error): void => void (warned = warning.message);
  process.on('warning', onWarning);
  const tasks = Array.from({ length: 100 }, (_, n) => task(n, { index: n }));
  executor.accept(LEADER, batch(tasks));
  await pass(50);
  process.off('warning', onWarning);
  t.is(signals.size, 100);
  t.is(warned, '');
});

function task(id: number, changes: Partial<Task> = {}): Task {
  return {
    id,
    attempt: 0,
    file: 0,
    index: 0,
    length: SEGMENT_BYTES,
    record: true,
    sources: [],
    copy: false,
    ...changes,
  };
}

function batch(tasks: Task[], changes: Partial<TaskBatch> = {}): TaskBatch {
  const file = { path: 's3://b/a', version: 'v1', sizeBytes: 100, mtimeMs: 1 };
  return {
    ...{ jobId: JOB, run: 1, term: term(1), pass: 1, epoch: epoch(1) },
    files: [file],
    tasks,
    options: {
      segmentSizeBytes: SEGMENT_BYTES,
      segmented: true,
      replicaCount: 1,
      metadataOnly: false,
      reload: false,
      deepVerify: false,
      patientAttemptCount: 2,
    },
    ...changes,
  };
}

function refusal(t: ExecutionContext, accept: () => unknown): string | undefined {
  return t.throws(accept, { instanceOf: RingloadError }).code;
}

test('executor: stores, leases, records and reports, the second time as already there', async (t) => {
  const { executor, store, catalog, results, frames, pass } = open();
  t.deepEqual(executor.accept(LEADER, batch([task(1)])), { windowTasks: 4, windowBytes: 1000 });
  await pass(50);
  t.like(results(), [{ id: 1, status: 'loaded' }]);
  t.is(frames[0]?.generation, 5);
  t.deepEqual(frames[0]?.tally, { segmentCount: 1, storedBytes: 8, ufsBytes: 8, copiedBytes: 0 });
  t.is((await catalog.get('s3://b/a'))?.loadedBy, JOB);
  const reply = await executor.inventory(batch([]));
  t.is(reply.inventory.segmentCount, 1);
  t.is(reply.inventory.digest, results()[0]?.digest ?? 'none');
  executor.accept(LEADER, batch([task(2)]));
  await pass(50);
  t.like(results()[1], { id: 2, status: 'loaded' });
  t.is(frames[1]?.tally.ufsBytes, 8);
  t.true(store.leaseHolders().has(leaseOf(batch([]))));
});

test('executor: the sum that is wanted is told of what peers were asked for first, not of copies', async (t) => {
  const { executor, plane, results, pass } = open();
  const sources = [peerId('near')];
  plane.before = ({ kind }) => {
    if (kind === 'peer') throw new RingloadError('not_found', 'it lies elsewhere');
  };
  const file = {
    path: 's3://b/a',
    version: 'v1',
    sizeBytes: 100,
    mtimeMs: 1,
    sum: 'crc32',
  } as const;
  const tasks = [task(1, { sources }), task(2, { index: 1, sources, copy: true })];
  executor.accept(LEADER, batch(tasks, { files: [file] }));
  await pass(50);
  t.deepEqual(plane.asked.toSorted(), ['http://near', 'http://near', 'ufs', 'ufs']);
  const told = new Map(results().map(({ id, sum }) => [id, sum]));
  t.regex(told.get(1) ?? '', /^[0-9a-f]{8}$/);
  t.is(told.get(2), undefined);
});

test('executor: what another job had loaded is resident', async (t) => {
  const { executor, results, pass } = open();
  executor.accept(LEADER, batch([task(1)]));
  await pass(50);
  executor.accept(LEADER, batch([task(1)], { jobId: jobId('other') }));
  await pass(50);
  t.deepEqual(
    results().map(({ status }) => status),
    ['loaded', 'resident'],
  );
});

test('executor: orders of a lower term, an ended run or an earlier run are refused', (t) => {
  const { executor, world } = open();
  world.term = 3;
  t.is(
    refusal(t, () => executor.accept(LEADER, batch([task(1)], { term: term(2) }))),
    'stale_term',
  );
  executor.accept(LEADER, batch([task(1)], { term: term(4), run: 2 }));
  t.is(
    refusal(t, () => executor.accept(LEADER, batch([task(2)], { term: term(3) }))),
    'stale_term',
  );
  t.is(
    refusal(t, () => executor.accept(LEADER, batch([task(2)], { term: term(4) }))),
    'stale_term',
  );
  world.run = { run: 2, active: false };
  const late = batch([task(2)], { term: term(4), run: 2 });
  t.is(
    refusal(t, () => executor.accept(LEADER, late)),
    'stale_term',
  );
  world.run = undefined;
  t.notThrows(() => executor.accept(LEADER, late), 'a job that was not heard of yet');
});

test('executor: an order that another one of the same leader overtook is refused', async (t) => {
  const { executor, plane, results, pass } = open();
  const gate = new Gate();
  plane.before = () => gate.opened;
  executor.accept(LEADER, batch([task(10)], { pass: 2 }));
  await settle();
  t.is(
    refusal(t, () => executor.accept(LEADER, batch([task(3)]))),
    'cancelled',
  );
  gate.open();
  await pass(50);
  t.like(results(), [{ id: 10, status: 'loaded' }]);
});

test('executor: a new leader joins the fills of the old one, whose results go nowhere', async (t) => {
  const { executor, plane, frames, pass } = open();
  const gate = new Gate();
  plane.before = () => gate.opened;
  executor.accept(LEADER, batch([task(1)]));
  await settle();
  executor.accept(peerId('new'), batch([task(1)], { term: term(2) }));
  await settle();
  gate.open();
  await pass(50);
  t.deepEqual(plane.asked, ['ufs']);
  t.deepEqual(
    frames.map((frame) => frame.term),
    [term(2)],
  );
});

test('executor: a copy goes before the fetches that wait', async (t) => {
  const { executor, plane, pass } = open({ parallelTasks: 1 });
  const sources = [peerId('holder')];
  executor.accept(
    LEADER,
    batch([task(1), task(2, { index: 1, sources }), task(3, { index: 2, sources, copy: true })]),
  );
  await pass(100);
  t.deepEqual(plane.asked, ['http://holder', 'ufs', 'http://holder']);
});

test('executor: the end of a run stops its fills, its queue and its leases', async (t) => {
  const { executor, plane, store, world, pass } = open({ parallelTasks: 1 });
  executor.accept(LEADER, batch([task(1)]));
  await pass(50);
  const gate = new Gate();
  let aborted = false;
  plane.before = (_source, signal) => {
    signal.addEventListener('abort', () => (aborted = true));
    return gate.opened;
  };
  executor.accept(LEADER, batch([task(2, { index: 1 }), task(3, { index: 2 })]));
  await settle();
  world.run = { run: 1, active: false };
  executor.sweep();
  await settle();
  t.true(aborted);
  gate.open();
  await pass(1500);
  t.is(plane.asked.length, 2);
  t.is(executor.pendingCount, 0);
  t.deepEqual([...store.leaseHolders()], []);
});

test('executor: a fill that ends after its run leaves no lease', async (t) => {
  const { executor, store, world, pass } = open();
  const gate = new Gate();
  const reserve = store.reserve.bind(store);
  store.reserve = async (...args) => {
    const reservation = await reserve(...args);
    const commit: typeof reservation.commit = async (sums) => {
      await gate.opened;
      await reservation.commit(sums);
    };
    return { ...reservation, commit };
  };
  executor.accept(LEADER, batch([task(1)]));
  await settle();
  world.run = { run: 1, active: false };
  executor.sweep();
  gate.open();
  await settle();
  t.true(store.leaseHolders().has(JOB));
  await pass(1500);
  t.deepEqual([...store.leaseHolders()], []);
});

test('executor: a cancel of an earlier run or term touches nothing', async (t) => {
  const { executor, results, pass } = open();
  executor.accept(LEADER, batch([task(1)], { run: 2, term: term(2) }));
  executor.cancel({ jobId: JOB, run: 1, term: term(2), pass: 0 });
  executor.cancel({ jobId: JOB, run: 2, term: term(1), pass: 0 });
  await pass(50);
  t.is(results().length, 1);
  executor.accept(LEADER, batch([task(2, { index: 1 })], { run: 2, term: term(2) }));
  executor.cancel({ jobId: JOB, run: 2, term: term(2), pass: 0 });
  await pass(50);
  t.is(results().length, 1);
});

test('executor: what is recalled is dropped, waiting or running, and answered as cancelled', async (t) => {
  const { executor, plane, results, pass } = open({ parallelTasks: 1 });
  const aborted: boolean[] = [];
  plane.before = (_source, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        aborted.push(true);
        reject(signal.reason as Error);
      });
    });
  const order = batch([1, 2, 3].map((id) => task(id, { index: id })));
  executor.accept(LEADER, order);
  await pass(20);
  const recall = { ...order, taskIds: [1, 2], alsoRunning: true };
  executor.recall(peerId('another'), recall);
  executor.recall(LEADER, { ...recall, pass: 2 });
  executor.recall(LEADER, { ...recall, term: term(2) });
  await pass(20);
  t.deepEqual([results().length, aborted.length], [0, 0]);
  executor.recall(LEADER, { ...recall, taskIds: [1, 3, 77] });
  plane.before = () => undefined;
  await pass(50);
  t.deepEqual(
    results()
      .map(({ id, status, error }) => [id, status, error?.code])
      .sort(),
    [
      [1, 'failed', 'cancelled'],
      [2, 'loaded', undefined],
      [3, 'failed', 'cancelled'],
    ],
  );
  t.is(aborted.length, 1);
  t.is(executor.pendingCount, 0);
  executor.recall(LEADER, { ...recall, taskIds: [2] });
  t.is((await executor.inventory(order)).inventory.segmentCount, 1);
});

test('executor: of what is recalled, what has begun may be left to end', async (t) => {
  const { executor, results, pass } = open({ parallelTasks: 1 });
  const order = batch([1, 2, 3].map((id) => task(id, { index: id })));
  executor.accept(LEADER, order);
  executor.recall(LEADER, { ...order, taskIds: [1, 2], alsoRunning: false });
  await pass(50);
  t.deepEqual(
    results()
      .map(({ id, status }) => [id, status])
      .sort(),
    [
      [1, 'loaded'],
      [2, 'failed'],
      [3, 'loaded'],
    ],
  );
});

test('executor: no more tasks and bytes at once than it may, but always one', async (t) => {
  const { executor, plane, pass } = open({ parallelTasks: 2, parallelBytes: 10, windowTasks: 100 });
  const gates: Gate[] = [];
  plane.before = () => {
    const gate = new Gate();
    gates.push(gate);
    return gate.opened;
  };
  executor.accept(LEADER, batch([1, 2, 3].map((id) => task(id, { index: id }))));
  await settle();
  t.is(gates.length, 1, 'two segments of 8 bytes are more than 10');
  gates[0]?.open();
  await pass(20);
  t.is(gates.length, 2);
});

test('executor: a leader that lost count is told so, one with a large batch is not', (t) => {
  const { executor, plane } = open();
  plane.before = () => new Gate().opened;
  const tasks = (from: number, count: number): Task[] =>
    Array.from({ length: count }, (_, n) => task(from + n, { index: from + n }));
  executor.accept(LEADER, batch(tasks(1, 20)));
  t.is(
    refusal(t, () => executor.accept(LEADER, batch(tasks(21, 1)))),
    'overloaded',
  );
});

test('executor: results are repeated until they are taken', async (t) => {
  const { executor, results, world, pass } = open();
  world.refusal = 'peer_unreachable';
  executor.accept(LEADER, batch([task(1)]));
  await pass(1000);
  t.is(results().length, 0);
  t.true(world.attempts > 1 && world.attempts < 8, `${world.attempts} attempts in a second`);
  world.refusal = undefined;
  await pass(2000);
  t.deepEqual(
    results().map(({ id }) => id),
    [1],
  );
});

test('executor: an order whose leader wants no results is dropped', async (t) => {
  const { executor, plane, world, pass } = open({ parallelTasks: 1 });
  world.refusal = 'stale_term';
  const gates = [new Gate(), new Gate()];
  let begun = 0;
  plane.before = () => gates[begun++]?.opened;
  executor.accept(LEADER, batch([task(1), task(2, { index: 1 }), task(3, { index: 2 })]));
  await settle();
  gates[0]?.open();
  await pass(50);
  gates[1]?.open();
  await pass(50);
  t.is(begun, 2, 'what runs may end, what waits does not begin');
  world.refusal = undefined;
  await pass(5000);
  t.is(world.attempts, 1);
});

test('executor: a leader out of reach for long gets no more work done', async (t) => {
  const { executor, plane, world, pass, clock } = open({ parallelTasks: 1, windowTasks: 100 });
  world.refusal = 'peer_unreachable';
  let begun = 0;
  plane.before = async () => {
    begun += 1;
    const gate = new Gate();
    clock.setTimer(1000, gate.open);
    await gate.opened;
  };
  const tasks = Array.from({ length: 60 }, (_, n) => task(n + 1, { index: n }));
  executor.accept(LEADER, batch(tasks));
  await pass(40_000);
  t.true(begun >= 15 && begun <= 20, `${begun} tasks were begun`);
  t.is(executor.pendingCount, 0);
});

test('executor: a leader that comes back after it was given up gets its answers', async (t) => {
  const { executor, results, world, pass } = open();
  world.refusal = 'peer_unreachable';
  executor.accept(LEADER, batch([task(1)]));
  await pass(20_000);
  world.refusal = undefined;
  executor.accept(LEADER, batch([task(2)]));
  await pass(50);
  t.deepEqual(
    results().map(({ id, status }) => [id, status]),
    [[2, 'loaded']],
  );
});

test('executor: says that it works on a large segment', async (t) => {
  const { executor, plane, frames, pass } = open();
  const gate = new Gate();
  plane.before = () => gate.opened;
  executor.accept(LEADER, batch([task(1)]));
  await pass(16_000);
  t.is(frames.length, 3);
  t.true(frames.every((frame) => frame.results.length === 0));
  gate.open();
  await pass(20);
  await pass(20_000);
  t.is(frames.length, 4, 'and is silent when there is nothing to do');
});

test('executor: a copy waits for its source, and reads the under store only at last', async (t) => {
  const { executor, plane, results, pass } = open();
  plane.before = (source) => {
    if (source.kind === 'peer') throw new RingloadError('peer_unreachable', 'away');
  };
  const sources = [peerId('p2')];
  for (const attempt of [0, 1]) {
    executor.accept(LEADER, batch([task(attempt + 1, { attempt, sources })]));
    await pass(50);
    t.is(results()[attempt]?.error?.code, 'peer_unreachable');
  }
  t.deepEqual(plane.asked, ['http://p2', 'http://p2']);
  executor.accept(LEADER, batch([task(3, { attempt: 2, sources })]));
  await pass(50);
  t.is(results()[2]?.status, 'loaded');
  t.is(plane.asked.at(-1), 'ufs');
});

test('executor: a source that this peer has not heard of yet is waited for', async (t) => {
  const { executor, plane, results, pass } = open();
  executor.accept(LEADER, batch([task(1, { sources: [peerId('unknown')] })]));
  await pass(50);
  t.is(results()[0]?.error?.code, 'peer_unreachable');
  t.deepEqual(plane.asked, []);
});

test('executor: metadata alone is written, and told apart from what was there', async (t) => {
  const { executor, catalog, results, plane, pass } = open();
  const metadata = (id: number): Task => task(id, { index: -1, length: 0 });
  executor.accept(LEADER, batch([metadata(1)]));
  await pass(50);
  executor.accept(LEADER, batch([metadata(1)], { jobId: jobId('other') }));
  await pass(50);
  t.deepEqual(
    results().map(({ status }) => status),
    ['loaded', 'resident'],
  );
  t.is((await catalog.get('s3://b/a'))?.version, 'v1');
  t.deepEqual(plane.asked, []);
});

test('executor: a task that names no file fails alone', async (t) => {
  const { executor, results, pass } = open();
  executor.accept(LEADER, batch([task(1, { file: 9 }), task(2)]));
  await pass(50);
  const byId = results().sort((a, b) => a.id - b.id);
  t.is(byId[0]?.error?.code, 'invalid_argument');
  t.is(byId[1]?.status, 'loaded');
});

test('executor: after close nothing is accepted and nothing more is sent', async (t) => {
  const { executor, plane, frames, pass, store } = open();
  const gate = new Gate();
  plane.before = () => gate.opened;
  executor.accept(LEADER, batch([task(1)]));
  await settle();
  executor.close();
  await settle();
  t.is(
    refusal(t, () => executor.accept(LEADER, batch([task(2)]))),
    'cancelled',
  );
  gate.open();
  await pass(20_000);
  t.is(frames.length, 0);
  t.is(await store.lookup(keyOf('s3://b/a')), undefined);
});
