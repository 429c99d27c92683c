import test from 'ava';
import { explainFile } from '../../src/cli/explain.ts';
import { clusterId, epoch, term } from '../../src/base/ids.ts';
import type { ClusterView, FilePlacement, SegmentPlacement } from '../../src/http/services.ts';
import type { JobStatus } from '../../src/job/job-status.ts';
import { memberOf, PEER_A, PEER_B, PEER_C, specOf, statusOf } from './support/world.ts';

const PATH = 's3://b/d/f';

const CLUSTER: ClusterView = {
  clusterId: clusterId('x'),
  term: term(1),
  epoch: epoch(1),
  commitIndex: 1,
  appliedIndex: 1,
  repair: [],
  members: [memberOf(PEER_A, 'a:1'), memberOf(PEER_B, 'b:1', { state: 'suspect' })],
  stale: false,
};

function placementOf(
  ...segments: Omit<SegmentPlacement, 'index' | 'lengthBytes'>[]
): FilePlacement {
  const record = {
    path: PATH,
    sizeBytes: segments.length,
    version: 'v',
    mtimeMs: 0,
    segmentSizeBytes: 1,
    segmented: true,
    replicaCount: 2,
  };
  return {
    record,
    segments: segments.map((segment, index) => ({ ...segment, index, lengthBytes: 1 })),
    unanswered: [],
  };
}

const explain = (placement?: FilePlacement, jobs: readonly JobStatus[] = []) =>
  explainFile(PATH, placement, { cluster: CLUSTER, jobs });

test('explain: a file with every copy in place needs no reasons', (t) => {
  const owners = [PEER_A, PEER_B];
  t.like(explain(placementOf({ owners, residentOn: owners })), { cached: 'fully', reasons: [] });
});

test('explain: the extent follows from what is held, not from what is wanted', (t) => {
  const owners = [PEER_A, PEER_B];
  const held = { owners, residentOn: [PEER_C] };
  const nowhere = { owners, residentOn: [] };
  t.is(explain(placementOf(held, held)).cached, 'readable');
  t.is(explain(placementOf(held, nowhere)).cached, 'partly');
  t.is(explain(placementOf(nowhere)).cached, 'not');
  t.is(explain(undefined).cached, 'not');
});

test('explain: names each peer that misses segments, with its state', (t) => {
  const segment = { owners: [PEER_A, PEER_B, PEER_C], residentOn: [] };
  t.deepEqual(explain(placementOf(segment, segment)).reasons.slice(0, 3), [
    'a:1 should hold 2 segments, and does not',
    'b:1 should hold 2 segments, but is suspect',
    `${PEER_C} should hold 2 segments, but is no member any more`,
  ]);
});

test('explain: what was not asked is not said to be missing', (t) => {
  const segment = { owners: [PEER_A], residentOn: [] };
  const silent = { ...placementOf(segment), unanswered: [PEER_A, PEER_B] };
  const told = explain(silent);
  t.is(told.cached, 'unknown');
  t.deepEqual(told.unanswered, [PEER_A, PEER_B]);
  t.is(told.reasons[0], 'a:1 should hold 1 segment, but could not be asked');
  t.is(told.reasons.at(-1), 'b:1 could not be asked: it may hold copies');
  const held = { ...placementOf({ owners: [PEER_A], residentOn: [PEER_A] }), unanswered: [PEER_B] };
  t.like(explain(held), { cached: 'fully', reasons: [] });
});

test('explain: tells what the newest load that covers the file did', (t) => {
  const missing = placementOf({ owners: [PEER_A], residentOn: [] });
  const reasonsWith = (job: Partial<JobStatus>): readonly string[] =>
    explain(missing, [statusOf(9, 's3://b/d', job)]).reasons.slice(1);
  const name = 'load 00000000-0000-4000-8000-000000000009 of s3://b/d';
  t.deepEqual(reasonsWith({ state: 'RUNNING' }), [
    `${name} is RUNNING: the file may still be to come`,
  ]);
  t.deepEqual(reasonsWith({ state: 'STOPPED' }), [
    `${name} was stopped: submit it again to resume it`,
  ]);
  t.deepEqual(
    reasonsWith({
      state: 'FAILED',
      failedFiles: [{ path: PATH, code: 'ufs_forbidden', message: 'denied' }],
    }),
    [`${name} could not load it: ufs_forbidden: denied`],
  );
  t.deepEqual(
    reasonsWith({
      state: 'SUCCEEDED',
      endedAtMs: 1,
      spec: specOf('s3://b/d', { metadataOnly: true, fileFilterRegex: 'x.*' }),
    }),
    [
      `${name} succeeded at 1970-01-01T00:00:00.001Z: what is missing was evicted since, or the file or the ring changed`,
      'that load asked for metadata only',
      'that load took only files whose name matches x.*',
    ],
  );
});

test('explain: a load of a path that only begins alike does not count', (t) => {
  const jobs = [statusOf(1, 's3://b/d/fo'), statusOf(2, 's3://b/')];
  t.deepEqual(explain(undefined, [jobs[0] ?? statusOf(1, 'x')]).reasons, [
    'no peer has a record of this file',
    'no load of this path, or of a directory above it, is known',
  ]);
});

test('explain: tells the rules that say something about the file, the longest path first', (t) => {
  const owners = [PEER_A];
  const told = explainFile(PATH, placementOf({ owners, residentOn: owners }), {
    cluster: CLUSTER,
    jobs: [],
    rules: [
      { path: 's3://b', freshness: 'skip', ttlMs: 3_600_000, quotaBytes: 1024 ** 3 },
      { path: 's3://b/d', freshness: '30s', pinned: true, priority: 'high', quotaBytes: 1024 ** 2 },
    ],
  });
  t.deepEqual(told.reasons, [
    'the rule of s3://b/d has the under store asked for its version once 30s have passed',
    'it is pinned by the rule of s3://b/d: it is not evicted',
    'its priority is high, by the rule of s3://b/d',
    'the rule of s3://b evicts it after 1h00m',
    'all below s3://b/d may take 1.00 MiB of the caches, copies counted',
    'all below s3://b may take 1.00 GiB of the caches, copies counted',
  ]);
});
