/** The cluster of the golden scripts: one job of every kind, three members, a few files. */
import { jobId, epoch } from '../../../src/base/ids.ts';
import { type Certificate, ZERO_COUNTERS } from '../../../src/job/job-status.ts';
import type { VerifyReport } from '../../../src/verify/report.ts';
import {
  CREATED_AT_MS,
  jobNumber,
  memberOf,
  PEER_A,
  PEER_B,
  PEER_C,
  specOf,
  statusOf,
  World,
} from './world.ts';

const MIB = 1024 * 1024;

export function sampleWorld(): World {
  const world = new World();
  world.members = [
    memberOf(PEER_A, '10.0.0.1:19999', { zone: 'east', share: 0.34 }),
    memberOf(PEER_B, '10.0.0.2:19999', { zone: 'west', share: 0.33, weight: 2 }),
    memberOf(PEER_C, '10.0.0.3:19999', { state: 'down', role: 'learner', share: 0.33 }),
  ];
  const figures = { movedSegments: 96, movedBytes: 12 * MIB, bytesPerSecond: 2.5 * MIB };
  world.repair = [
    {
      ...figures,
      ...{ id: PEER_A, epoch: epoch(1), idle: false, missingSegments: 1 },
      ...{ leftSegments: 1204, leftBytes: 150.5 * MIB, leftFiles: 310 },
    },
    {
      ...figures,
      ...{ id: PEER_B, epoch: epoch(2), idle: true, missingSegments: 0 },
      ...{ leftSegments: 0, leftBytes: 0, leftFiles: 0 },
    },
  ];
  world.jobs = [failedJob(), runningJob(), doneJob()];
  addFiles(world);
  fillCache(world);
  world.verifyEvents = (repair) => [{ progress: CHECKED }, { report: verifyReport(repair) }];
  return world;
}

const CERTIFIED = {
  segmentCount: 3000,
  bytes: 125 * MIB,
  digest: '0123456789abcdef',
  recordCount: 2000,
  recordDigest: 'fedcba9876543210',
};

const CERTIFICATE: Certificate = {
  ...CERTIFIED,
  epoch: 2,
  peers: [
    {
      peerId: PEER_A,
      address: '10.0.0.1:19999',
      segmentCount: 1490,
      bytes: 63 * MIB,
      digest: '0011223344556677',
      recordCount: 990,
      recordDigest: '8899aabbccddeeff',
    },
    {
      peerId: PEER_B,
      address: '',
      segmentCount: 1510,
      bytes: 62 * MIB,
      digest: '0011111100000078',
      recordCount: 1010,
      recordDigest: '7654321076543211',
    },
  ],
};

const CHECKED = { fileCount: 1000, copyCount: 3000, bytes: 124 * MIB, differenceCount: 2 };

function verifyReport(repair: boolean): VerifyReport {
  const found = { ...CERTIFIED, segmentCount: 2999, digest: '0000000000000001', recordCount: 1999 };
  const path = 's3://b/done/a\nb';
  return {
    jobId: jobId(jobNumber(1)),
    path: 's3://b/done',
    equal: repair,
    epoch: epoch(3),
    ringChanged: false,
    certified: CERTIFIED,
    found: repair ? CERTIFIED : found,
    checked: CHECKED,
    counts: { missing: 1, damaged: 1, 'other-version': 0, unreachable: 0 },
    repaired: repair
      ? { fromPeer: 2, fromUfs: 0, failed: 0 }
      : { fromPeer: 0, fromUfs: 0, failed: 0 },
    differences: [
      {
        path,
        segment: 7,
        peerId: PEER_A,
        kind: 'damaged',
        ...(repair && { repaired: 'from-peer' }),
      },
      { path, peerId: PEER_B, kind: 'missing', ...(repair && { repaired: 'from-peer' }) },
    ],
    notes: repair ? [] : ['something that cannot be said of one copy'],
  };
}

function doneJob() {
  return statusOf(1, 's3://b/done', {
    spec: specOf('s3://b/done', { replicaCount: 2, verify: true }),
    state: 'SUCCEEDED',
    endedAtMs: CREATED_AT_MS + 51_000,
    elapsedMs: 51_000,
    listingDone: true,
    pass: 2,
    counters: {
      ...ZERO_COUNTERS,
      listedFiles: 1000,
      loadedFiles: 990,
      skippedFiles: 10,
      listedBytes: 62.5 * MIB,
      loadedBytes: 62.5 * MIB,
      replicaBytes: 125 * MIB,
      replicaFiles: 1980,
      ufsBytes: 62.5 * MIB,
      copiedBytes: 62.5 * MIB,
      checkedFiles: 980,
      uncheckedFiles: 10,
      taskCount: 3000,
    },
    peers: [
      {
        peerId: PEER_A,
        address: '10.0.0.1:19999',
        segmentCount: 1490,
        storedBytes: 63 * MIB,
        ufsBytes: 31 * MIB,
        copiedBytes: 32 * MIB,
        inflightTaskCount: 0,
      },
      {
        peerId: PEER_B,
        address: '10.0.0.2:19999',
        segmentCount: 1510,
        storedBytes: 62 * MIB,
        ufsBytes: 31.5 * MIB,
        copiedBytes: 30.5 * MIB,
        inflightTaskCount: 0,
      },
    ],
    amplification: 1,
    digest: CERTIFIED.digest,
    certificate: CERTIFICATE,
  });
}

function runningJob() {
  return statusOf(2, 's3://b/run', {
    spec: specOf('s3://b/run', {
      bandwidthBps: 10 * MIB,
      skipIfExists: true,
      fileFilterRegex: '^part-.*',
    }),
    elapsedMs: 4_500,
    counters: {
      ...ZERO_COUNTERS,
      listedFiles: 2000,
      loadedFiles: 400,
      skippedFiles: 100,
      filteredFiles: 7,
      listedBytes: 1024 * MIB,
      loadedBytes: 200 * MIB,
      skippedBytes: 50 * MIB,
      replicaBytes: 200 * MIB,
      ufsBytes: 210 * MIB,
      taskCount: 800,
      failedTaskCount: 1,
      retriedTaskCount: 8,
    },
    retryQueueLength: 2,
    recentRetryingTasks: [
      {
        task: 'LoadDataSubTask{UfsPath=s3://b/run/x, ShardingKey=s3://b/run/x0, Worker=10.0.0.2}',
        reason: 'WORKER_NOT_REACHABLE',
        message: 'connection refused',
      },
    ],
    amplification: 1.05,
  });
}

function failedJob() {
  return statusOf(3, 's3://b/bad', {
    id: jobId(jobNumber(3)),
    state: 'FAILED',
    endedAtMs: CREATED_AT_MS + 2_000,
    elapsedMs: 2_000,
    listingDone: true,
    failure: { code: 'ufs_forbidden', message: 'Job partially failed.' },
    counters: {
      ...ZERO_COUNTERS,
      listedFiles: 3,
      loadedFiles: 1,
      failedFiles: 2,
      listedBytes: 3000,
      loadedBytes: 1000,
      failedBytes: 2000,
      replicaBytes: 1000,
      ufsBytes: 1000,
      taskCount: 6,
      failedTaskCount: 2,
      retriedTaskCount: 2,
    },
    failedFiles: [
      { path: 's3://b/bad/one', code: 'ufs_forbidden', message: 'access denied' },
      { path: 's3://b/bad/two\nforged line', code: 'ufs_not_found', message: 'gone' },
    ],
    failedFilesSavedTo: '/var/lib/ringload/jobs/3/failed.txt',
    epoch: epoch(1),
  });
}

function addFiles(world: World): void {
  const segments = [
    { index: 0, lengthBytes: 8 * MIB, owners: [PEER_A, PEER_C], residentOn: [PEER_A] },
    { index: 1, lengthBytes: 2 * MIB, owners: [PEER_B, PEER_C], residentOn: [PEER_B, PEER_A] },
  ];
  world.addFile('s3://b/done/a.txt', 'hello ring\n', {
    segments: [
      { index: 0, lengthBytes: 11, owners: [PEER_A, PEER_B], residentOn: [PEER_A, PEER_B] },
    ],
  });
  world.addFile('s3://b/done/big', Buffer.alloc(10_000, 'x'), {
    segments,
    unanswered: [PEER_C],
  });
  world.addFile('s3://b/done/empty', '');
  world.addFile('s3://b/done/odd\u001b[31m\nname', 'odd');
  world.addFile('s3://b/other', 'other');
}

/** Part of two files is cached, and one peer cannot be asked. */
function fillCache({ cache }: World): void {
  const file = (name: string, sizeBytes: number, ...replicaBytes: number[]) => ({
    ...{ path: `s3://b/data/${name}`, sizeBytes, state: 'loaded' as const, replicaBytes },
    peerBytes: { [PEER_A]: replicaBytes[0] ?? 0, [PEER_B]: replicaBytes[1] ?? 0 },
  });
  cache.files = [file('1', 10 * MIB, 10 * MIB, 10 * MIB), file('2', 30 * MIB, 20 * MIB, 5 * MIB)];
  cache.report = {
    ...{ files: 3, sizeBytes: 41 * MIB, residentFiles: 1, residentBytes: 30 * MIB },
    states: { loaded: 2, outdated: 0, 'not-loaded': 1, gone: 0, unchecked: 0 },
    replicaBytes: [30 * MIB, 15 * MIB],
    peerBytes: { [PEER_A]: 30 * MIB, [PEER_B]: 15 * MIB },
    unanswered: [PEER_C],
  };
  const none = { segments: 0, bytes: 0 };
  cache.freeReport = {
    ...{ files: 2, freed: { segments: 6, bytes: 40 * MIB }, complete: false },
    ...{ leased: { segments: 1, bytes: 8 * MIB }, pinned: { segments: 2, bytes: 9 * MIB } },
    peers: [
      {
        ...{ id: PEER_A, records: 2, freed: { segments: 6, bytes: 40 * MIB } },
        ...{ leased: { segments: 1, bytes: 8 * MIB }, pinned: { segments: 2, bytes: 9 * MIB } },
      },
      {
        ...{ id: PEER_C, records: 0, freed: none, leased: none, pinned: none },
        error: 'not linked',
      },
    ],
  };
}
