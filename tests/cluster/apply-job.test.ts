import test from 'ava';
import { jobId } from '../../src/base/ids.ts';
import { ENDED_JOB_MAX_COUNT } from '../../src/cluster/apply-job.ts';
import { jobOf, newestJobOf } from '../../src/cluster/cluster-state.ts';
import type { Command } from '../../src/cluster/commands.ts';
import { World } from './support.ts';

const world = (): World => new World().found('p1', 'p2');

test('job.submit: the same path is the same job while it is active', (t) => {
  const w = world();
  t.deepEqual(w.value(w.submit('a', 's3://b/x')), { jobId: 'a', outcome: 'created' });
  t.deepEqual(w.value(w.submit('b', 's3://b/x')), { jobId: 'a', outcome: 'already-running' });
  t.deepEqual(w.value(w.submit('c', 's3://b/y')), { jobId: 'c', outcome: 'created' });
  t.is(w.state.jobs.size, 2);
});

test('job.submit: a command that arrives twice creates one job, also after the job has ended', (t) => {
  const w = world();
  const command = w.submit('a', 's3://b/x');
  w.value(command);
  w.value(w.finish('a', 1, 1, 'SUCCEEDED'));
  t.deepEqual(w.value(command), { jobId: 'a', outcome: 'created' });
  t.is(w.stateOf('a'), 'SUCCEEDED');
  t.is(w.state.jobs.size, 1);
});

test('job.submit: a job that ended is followed by a new one', (t) => {
  const w = world();
  w.value(w.submit('a', 's3://b/x'));
  w.value(w.finish('a', 1, 1, 'FAILED'));
  t.deepEqual(w.value(w.submit('b', 's3://b/x')), { jobId: 'b', outcome: 'created' });
});

test('job.submit: a stopped job resumes with what it had settled', (t) => {
  const w = world();
  w.value(w.submit('a', 's3://b/x'));
  const counters = { listedFiles: 5, loadedFiles: 5 };
  w.value(w.checkpoint('a', 1, 1, { cursor: 's3://b/x/e', counters, epoch: 1 }));
  w.value(w.stop('a'));
  t.deepEqual(w.value(w.submit('b', 's3://b/x')), { jobId: 'a', outcome: 'resumed' });
  const job = w.state.jobs.get(jobId('a'));
  t.is(job?.run, 2);
  t.is(job?.state, 'WAITING');
  t.deepEqual(job?.checkpoint?.counters, counters);
  t.is(job?.checkpoint?.cursor, 's3://b/x/e');
  t.is(job?.checkpoint?.epoch, -1, 'leases ended with the run: the pass proves nothing');
  t.is(job?.endedAtMs, undefined);
});

test('job.submit: a stopped job that is asked for differently begins again as asked', (t) => {
  const w = world();
  w.value(w.submit('a', 's3://b/x'));
  w.value(w.checkpoint('a', 1, 1, { cursor: 's3://b/x/e', counters: { loadedFiles: 5 } }));
  w.value(w.stop('a'));
  w.value(w.submit('b', 's3://b/x', { replicas: 2 }));
  const job = w.state.jobs.get(jobId('a'));
  t.is(job?.spec.replicaCount, 2);
  t.is(job?.checkpoint?.cursor, undefined);
  t.deepEqual(job?.checkpoint?.counters, {});
});

test('job.submit: refused when too many are active, or peers too few', (t) => {
  const w = world();
  t.is(w.code(w.submit('a', 's3://b/x', { replicas: 3 })), 'invalid_argument');
  t.is(w.code(w.submit('a', 's3://b/x', { replicas: 2, max: 1 })), undefined);
  t.is(w.code(w.submit('b', 's3://b/y', { max: 1 })), 'overloaded');
  t.deepEqual(w.value(w.submit('b', 's3://b/x', { max: 1 })), {
    jobId: 'a',
    outcome: 'already-running',
  });
});

test('job.submit: a path never has two active jobs, not even after the retry of an older one', (t) => {
  const w = world();
  w.value(w.submit('a', 's3://b/x'));
  w.value(w.finish('a', 1, 1, 'FAILED'));
  w.value(w.submit('b', 's3://b/x'));
  w.value(w.finish('b', 1, 1, 'SUCCEEDED'));
  w.value(w.retry('a'));
  t.deepEqual(w.value(w.submit('c', 's3://b/x')), { jobId: 'a', outcome: 'already-running' });
  t.is(newestJobOf(w.state, { path: 's3://b/x' })?.id, jobId('a'));
});

test('job.submit: paths that lie in each other are cut in one way at a time', (t) => {
  const w = world();
  w.value(w.submit('a', 's3://b/x/y', { segment: 1024 }));
  for (const path of ['s3://b/x', 's3://b', 's3://b/x/y/z']) {
    t.is(w.code(w.submit('b', path, { segment: 2048 })), 'conflict', path);
    t.is(w.code(w.submit('b', path, { segmented: false })), 'conflict', path);
  }
  w.value(w.submit('c', 's3://b/x/yy', { segment: 2048 }));
  w.value(w.submit('d', 's3://b/x/y/z', { segment: 1024 }));
  w.value(w.finish('d', 1, 1, 'FAILED'));
  w.value(w.finish('a', 1, 1, 'FAILED'));
  w.value(w.submit('e', 's3://b/x/y/z/0', { segment: 4096 }));
  t.is(w.code(w.retry('a')), 'conflict');
  t.is(w.code(w.retry('d')), 'conflict');
  w.value(w.stop('e'));
  w.value(w.retry('a'));
  t.is(w.code(w.submit('f', 's3://b/x/y/z/0', { segment: 4096 })), 'conflict', 'to resume');
  w.value(w.submit('f', 's3://b/x/y/z/0', { segment: 1024 }));
  t.is(w.stateOf('e'), 'WAITING');
});

test('job.submit: the ended jobs of the state are bounded, the oldest go, whatever the clock says', (t) => {
  const w = world();
  const ended = (n: number): void => {
    // Each job seems to end ten years before the one before it.
    w.atMs = -n * 3650 * 86_400_000;
    w.value(w.submit(`j${n}`, `s3://b/${n}`));
    w.value(w.finish(`j${n}`, 1, 1, 'SUCCEEDED'));
  };
  for (let n = 0; n < ENDED_JOB_MAX_COUNT + 5; n += 1) ended(n);
  w.value(w.submit('last', 's3://b/last'));
  t.is(w.state.jobs.size, ENDED_JOB_MAX_COUNT);
  t.is(w.stateOf('j0'), undefined);
  t.is(w.stateOf(`j${ENDED_JOB_MAX_COUNT + 4}`), 'SUCCEEDED');
});

test('job.submit: a path, several paths and an index file of that path are different loads', (t) => {
  const w = world();
  const several = ['s3://b/x', 's3://b/y'];
  t.is(w.code(w.submit('a', 's3://b/x')), undefined);
  t.like(w.value(w.submit('b', 's3://b/x', { paths: several })), { jobId: 'b' });
  t.like(w.value(w.submit('c', 's3://b/x', { index: { version: 'v1' } })), { jobId: 'c' });
  const again = { outcome: 'already-running' };
  t.like(w.value(w.submit('d', 's3://b/x', { paths: several })), { jobId: 'b', ...again });
  t.like(w.value(w.submit('e', 's3://b/x', { index: { version: 'v2' } })), {
    jobId: 'c',
    ...again,
  });
  t.is(jobOf(w.state, { path: 's3://b/x' })?.id, jobId('a'));
  t.is(jobOf(w.state, { paths: several })?.id, jobId('b'));
  t.is(jobOf(w.state, { index: 's3://b/x' })?.id, jobId('c'));
  t.is(jobOf(w.state, { path: 's3://b/y' }), undefined);
});

test('job.submit: several paths, and lists, have no other cut than the jobs they may meet', (t) => {
  const w = world();
  const paths = ['s3://b/x', 's3://b/y'];
  w.value(w.submit('a', 's3://b/x', { paths }));
  t.is(w.code(w.submit('b', 's3://b/y/z', { segment: 4096 })), 'conflict');
  t.is(w.code(w.submit('c', 's3://b/z', { segment: 4096 })), undefined);
  t.is(w.code(w.submit('d', 's3://b/list', { index: {}, segment: 4096 })), 'conflict');
  t.is(w.code(w.submit('e', 's3://b/u', { paths: ['s3://b/u', 's3://b/z/1'] })), 'conflict');
});

test('job.stop: stops what is active, once; what ended stays as it ended', (t) => {
  const w = world();
  w.value(w.submit('a', 's3://b/x'));
  t.deepEqual(w.value(w.stop('a')), { stopped: true });
  t.deepEqual(w.value(w.stop('a')), { stopped: false });
  t.deepEqual(w.value(w.stop('unknown')), { stopped: false });
  t.is(w.code(w.finish('a', 1, 1, 'SUCCEEDED')), 'stale_term');
  t.is(w.stateOf('a'), 'STOPPED');
});

test('job.retry: a failed job starts over and keeps what peers reported', (t) => {
  const w = world();
  w.value(w.submit('a', 's3://b/x'));
  const counts = { segmentCount: 1, storedBytes: 2, ufsBytes: 3, copiedBytes: 4 };
  const tallies = { p1: { generation: 1, previous: counts, current: counts } };
  w.value(w.checkpoint('a', 1, 1, { cursor: 's3://b/x/e', tallies, counters: { loadedFiles: 1 } }));
  const failed = w.finish('a', 1, 1, 'FAILED');
  if (failed.kind !== 'job.finish') throw new Error('not a finish');
  w.value({ ...failed, checkpoint: { ...failed.checkpoint, tallies } });
  t.deepEqual(w.value(w.retry('a')), { jobId: 'a' });
  const job = w.state.jobs.get(jobId('a'));
  t.is(job?.run, 2);
  t.is(job?.failure, undefined);
  t.is(job?.checkpoint?.cursor, undefined);
  t.deepEqual(job?.checkpoint?.counters, {});
  t.deepEqual(job?.checkpoint?.tallies, tallies);
});

test('job.retry: refused for a success, for the unknown, and beside another job of the path', (t) => {
  const w = world();
  t.is(w.code(w.retry('a')), 'not_found');
  w.value(w.submit('a', 's3://b/x'));
  t.deepEqual(w.value(w.retry('a')), { jobId: 'a' });
  w.value(w.finish('a', 1, 1, 'FAILED'));
  w.value(w.submit('b', 's3://b/x'));
  t.is(w.code(w.retry('a')), 'conflict');
  w.value(w.finish('b', 1, 1, 'SUCCEEDED'));
  t.is(w.code(w.retry('b')), 'conflict');
});

test('job.checkpoint, job.finish: orders of an earlier run, term or job change nothing', (t) => {
  const w = world();
  w.value(w.submit('a', 's3://b/x'));
  w.value(w.checkpoint('a', 1, 5));
  for (const [run, term] of [
    [1, 4],
    [2, 5],
    [0, 9],
  ] as const) {
    const before = w.state;
    t.is(w.code(w.checkpoint('a', run, term)), 'stale_term', `run ${run}, term ${term}`);
    t.is(w.code(w.finish('a', run, term, 'SUCCEEDED')), 'stale_term');
    t.is(w.state, before);
  }
  t.is(w.code(w.checkpoint('b', 1, 5)), 'stale_term');
  t.is(w.code(w.checkpoint('a', 1, 6)), undefined);
  t.is(w.code(w.finish('a', 1, 6, 'SUCCEEDED')), undefined);
  t.is(w.code(w.finish('a', 1, 6, 'FAILED')), 'stale_term');
  t.is(w.stateOf('a'), 'SUCCEEDED');
});

test('job records: time spent is that of all runs, without the pauses', (t) => {
  const w = world();
  const at = (atMs: number): void => {
    w.atMs = atMs - 1;
  };
  at(1000);
  w.value(w.submit('a', 's3://b/x'));
  at(4000);
  w.value(w.stop('a'));
  at(10_000);
  w.value(w.submit('a2', 's3://b/x'));
  const job = w.state.jobs.get(jobId('a'));
  t.is(job?.elapsedBeforeMs, 3000);
  t.is(job?.runStartedAtMs, 10_000);
});

test('job records: time spent is what the commands tell of it, whatever their dates say', (t) => {
  const w = world();
  const spent = () => {
    const job = w.state.jobs.get(jobId('a'));
    return job && [job.elapsedBeforeMs, job.runElapsedMs];
  };
  w.atMs = 5_000_000;
  w.value(w.submit('a', 's3://b/x'));
  t.deepEqual(spent(), [0, undefined]);
  w.value({ ...w.checkpoint('a', 1, 1), elapsedMs: 2_000 } as Command);
  t.deepEqual(spent(), [0, 2_000]);
  // By a leader that had not counted as far.
  w.value({ ...w.checkpoint('a', 1, 2), elapsedMs: 1_500 } as Command);
  t.deepEqual(spent(), [0, 2_000]);
  w.atMs = 9_000_000_000;
  w.value({ ...w.stop('a'), elapsedMs: 2_500 } as Command);
  t.deepEqual(spent(), [0, 2_500]);
  w.value(w.submit('a2', 's3://b/x'));
  t.deepEqual(spent(), [2_500, undefined]);
  w.atMs = 0;
  w.value({ ...w.finish('a', 2, 3, 'FAILED'), elapsedMs: 700 } as Command);
  t.deepEqual(spent(), [2_500, 700]);
  w.value(w.retry('a'));
  t.deepEqual(spent(), [3_200, undefined]);
});

test('job.prune: forgets what is named and ended, never what is active', (t) => {
  const w = world();
  w.value(w.submit('a', 's3://b/x'));
  w.value(w.finish('a', 1, 1, 'SUCCEEDED'));
  w.value(w.submit('b', 's3://b/y'));
  w.value(w.submit('c', 's3://b/z'));
  w.value(w.finish('c', 1, 1, 'FAILED'));
  t.deepEqual(w.value({ kind: 'job.prune', jobIds: [] }), { pruned: 0 });
  const jobIds = ['a', 'b', 'nobody'].map(jobId);
  t.deepEqual(w.value({ kind: 'job.prune', jobIds }), { pruned: 1 });
  t.is(w.stateOf('a'), undefined);
  t.is(w.stateOf('b'), 'WAITING');
  t.is(w.stateOf('c'), 'FAILED');
});
