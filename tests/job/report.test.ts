import test from 'ava';
import { epoch, jobId, term } from '../../src/base/ids.ts';
import { ZERO_COUNTERS, type JobCounters, type JobStatus } from '../../src/job/job-status.ts';
import { parseJobSpec } from '../../src/job/parse-spec.ts';
import { javaDouble, jsonReport } from '../../src/job/report-json.ts';
import { jobStateText, longReport, reportHeader, shortReport } from '../../src/job/report.ts';

const MIB = 1024 * 1024;

/** The 572 bytes of the reference page. */
const SAMPLE = String.raw`"{\"mVerbose\":true,\"mJobState\":\"RUNNING\",\"mVerificationEnabled\":false,\"mSkippedByteCount\":0,\"mLoadedByteCount\":0,\"mScannedInodesCount\":18450,\"mLoadedNonEmptyFileCopiesCount\":0,\"mThroughput\":0,\"mFailureFilesPercentage\":0.0,\"mFailureSubTasksPercentage\":0.0,\"mRetrySubTasksPercentage\":0.0,\"mFailedFileCount\":0,\"mRecentFailedSubtasksWithReasons\":[],\"mRecentRetryingSubtasksWithReasons\":[],\"mSkipIfExists\":true,\"mMetadataOnly\":true,\"mRunningStage\":\"LOADING\",\"mRetryDeadLetterQueueSize\":0,\"mTimeElapsed\":87237,\"mSegmentEnabled\":false}"`;

function status(
  spec: Record<string, unknown>,
  change: Partial<JobStatus> = {},
  counters: Partial<JobCounters> = {},
): JobStatus {
  return {
    id: jobId('00000000-0000-4000-8000-000000000001'),
    spec: parseJobSpec(
      { ...spec, path: 's3://b/path' },
      { defaultSegmentSizeBytes: 8 * MIB },
      'alluxio',
    ),
    state: 'RUNNING',
    createdAtMs: 0,
    elapsedMs: 0,
    counters: { ...ZERO_COUNTERS, ...counters },
    listingDone: false,
    pass: 1,
    retryQueueLength: 0,
    peers: [],
    failedFiles: [],
    recentFailedTasks: [],
    recentRetryingTasks: [],
    term: term(1),
    epoch: epoch(1),
    stale: false,
    ...change,
  };
}

const incident = {
  task: 'LoadDataSubTask{UfsPath=s3://b/f, ShardingKey=s3://b/f3, Worker=w1}',
  reason: 'WORKER_FAILED',
  message: 'disk\nfull',
};

test('json report: the sample of the reference page, byte for byte', (t) => {
  const report = jsonReport(
    status(
      { skipIfExists: true, metadataOnly: true, partialListing: true, segmented: false },
      { elapsedMs: 87_237 },
      { listedFiles: 18_450 },
    ),
    { verbose: true },
  );
  t.is(report.length, 526);
  t.is(JSON.stringify(report), SAMPLE);
  t.is(Buffer.byteLength(JSON.stringify(report)), 572);
});

test('json report: optional fields stand at their places', (t) => {
  const report = jsonReport(
    status(
      { bandwidth: 1000, replicas: 2 },
      {
        state: 'FAILED',
        failure: { code: 'ufs_forbidden', message: 'Job partially failed.' },
        elapsedMs: 2500,
        listingDone: true,
        failedFilesSavedTo: '/x',
        recentFailedTasks: [incident],
      },
      { listedFiles: 8, loadedFiles: 7, failedFiles: 1, listedBytes: 100, replicaBytes: 151 },
    ),
    { verbose: true, processedInodes: true },
  );
  t.deepEqual(Object.keys(JSON.parse(report) as object), [
    'mVerbose',
    'mJobState',
    'mBandwidth',
    'mVerificationEnabled',
    'mSkippedByteCount',
    'mLoadedByteCount',
    'mScannedInodesCount',
    'mProcessedInodesCount',
    'mLoadedNonEmptyFileCopiesCount',
    'mTotalByteCount',
    'mThroughput',
    'mFailureFilesPercentage',
    'mFailureSubTasksPercentage',
    'mRetrySubTasksPercentage',
    'mFailureReason',
    'mFailedFileCount',
    'mRecentFailedSubtasksWithReasons',
    'mRecentRetryingSubtasksWithReasons',
    'mSkipIfExists',
    'mMetadataOnly',
    'mRunningStage',
    'mRetryDeadLetterQueueSize',
    'mTimeElapsed',
    'mFailedFileSavedPath',
    'mSegmentEnabled',
  ]);
  t.like(JSON.parse(report), {
    mJobState: 'FAILED',
    mBandwidth: 1000,
    mTotalByteCount: 200,
    mThroughput: 75,
    mFailureFilesPercentage: 12.5,
    mFailureReason: { class: 'ufs_forbidden', message: 'Job partially failed.' },
    mRecentFailedSubtasksWithReasons: [
      { first: incident.task, second: 'Reason: WORKER_FAILED, message: disk\nfull' },
    ],
    mRunningStage: '',
  });
  t.true(report.includes('"mFailureFilesPercentage":12.5,'));
});

test('json report: throughput appears with the first whole second', (t) => {
  const at = (elapsedMs: number): unknown =>
    (
      JSON.parse(
        jsonReport(status({}, { elapsedMs }, { replicaBytes: 10_001 }), { verbose: false }),
      ) as Record<string, unknown>
    )['mThroughput'];
  t.is(at(0), undefined);
  t.is(at(999), undefined);
  t.is(at(1000), 10_001);
  t.is(at(2999), 5000);
});

test('json report: incidents and stage are for the verbose', (t) => {
  const busy = status({}, { recentRetryingTasks: [incident] });
  t.like(JSON.parse(jsonReport(busy, { verbose: false })), {
    mRunningStage: '',
    mRecentRetryingSubtasksWithReasons: [],
  });
  t.like(JSON.parse(jsonReport(busy, { verbose: true })), { mRunningStage: 'LOADING' });
  const draining = status({}, { listingDone: true, retryQueueLength: 1 });
  t.like(JSON.parse(jsonReport(draining, { verbose: true })), { mRunningStage: 'RETRYING' });
});

test('json report: WAITING is shown as it is, or as RUNNING to those who do not know it', (t) => {
  const waiting = status({}, { state: 'WAITING' });
  t.like(JSON.parse(jsonReport(waiting, { verbose: true })), { mJobState: 'WAITING' });
  t.like(JSON.parse(jsonReport(waiting, { verbose: true, states: 'classic' })), {
    mJobState: 'RUNNING',
  });
});

test('json report: doubles are printed as Java prints them', (t) => {
  t.deepEqual([0, 12.5, 100, 100 / 3, 0.001, 0.0005420054200542005, 0.0001, 1e7].map(javaDouble), [
    '0.0',
    '12.5',
    '100.0',
    '33.333333333333336',
    '0.001',
    '5.420054200542005E-4',
    '1.0E-4',
    '1.0E7',
  ]);
});

test('short report: the sample of the reference page', (t) => {
  const done = status(
    { partialListing: true },
    { state: 'SUCCEEDED', elapsedMs: 51_000, listingDone: true },
    { loadedFiles: 900, skippedFiles: 100, listedFiles: 1000, replicaBytes: 125 * MIB },
  );
  const text = reportHeader('/path') + shortReport({ ...done, listingDone: false });
  t.is(
    text,
    "Progress for loading path '/path':\n" +
      '\tSettings:\tbandwidth: unlimited\tverify: false\n' +
      '\tJob State: SUCCEEDED\n' +
      '\tFiles Processed: 1000\n' +
      '\tBytes Loaded: 125.00MB\n' +
      '\tThroughput: 2509.80KB/s\n' +
      '\tBlock load failure rate: 0.00%\n' +
      '\tFiles Failed: 0\n',
  );
});

test('short report: a known total, a set bandwidth and a failure are told', (t) => {
  const text = shortReport(
    status(
      { bandwidth: '1m', verify: true, replicas: 2 },
      { state: 'FAILED', failure: { code: 'internal', message: 'it broke' }, listingDone: true },
      { listedBytes: 4000, replicaBytes: 5000, taskCount: 3, failedTaskCount: 1 },
    ),
  );
  t.is(
    text,
    '\tSettings:\tbandwidth: 1048576\tverify: true\n' +
      '\tJob State: FAILED (internal: it broke)\n' +
      '\tFiles Processed: 0\n' +
      '\tBytes Loaded: 5000B out of 7.81KB\n' +
      '\tBlock load failure rate: 33.33%\n' +
      '\tFiles Failed: 0\n',
  );
});

test('long report: verbose, with everything that can appear', (t) => {
  const text = longReport(
    status(
      { skipIfExists: true, bandwidth: 5 },
      {
        elapsedMs: 3_723_999,
        listingDone: true,
        retryQueueLength: 2,
        failedFilesSavedTo: 'job_results/load/x',
        recentFailedTasks: [incident],
      },
      {
        listedFiles: 4,
        loadedFiles: 2,
        skippedFiles: 1,
        failedFiles: 1,
        listedBytes: 5121,
        skippedBytes: 5120,
        replicaBytes: 1,
        taskCount: 8,
        failedTaskCount: 1,
        retriedTaskCount: 2,
      },
    ),
    { verbose: true },
  );
  t.is(
    text,
    '\tSettings:\tbandwidth: 5\tverify: false\tmetadata-only: false\n' +
      '\tTime Elapsed: 01:02:03\n' +
      '\tJob State: RUNNING\n' +
      '\tStage: RETRYING\n' +
      '\tInodes Scanned: 4\n' +
      '\tInodes Processed: 2\n' +
      '\tBytes Skipped: 5120B out of 5.00KB\n' +
      '\tBytes Loaded: 1B out of 5.00KB\n' +
      '\tThroughput: 0B/s\n' +
      '\tFile Failure rate: 25.00%\n' +
      '\tSubtask Failure rate: 12.50%\n' +
      '\tFiles Failed: 1\n' +
      '\tRecent failed subtasks: \n' +
      `\t\t${incident.task}: Reason: WORKER_FAILED, message: disk\\nfull\n` +
      '\tRecent retrying subtasks: \n' +
      '\tSubtask Retry rate: 25.00%\n' +
      '\tSubtasks on Retry Dead Letter Queue: 2\n' +
      '\tFailed files saved to: job_results/load/x\n',
  );
});

test('long report: metadata-only, partial listing, and a job of the first second', (t) => {
  const metadataOnly = longReport(status({ metadataOnly: true }), { verbose: false });
  t.false(/Bytes|Throughput|Stage|Recent/.test(metadataOnly));
  const partial = longReport(status({ partialListing: true }, { listingDone: true }), {
    verbose: false,
  });
  t.regex(partial, /\tBytes Loaded: 0B\n\tFile Failure rate: 0\.00%\n/);
});

test('report: a name cannot forge a row', (t) => {
  t.is(
    reportHeader("a'\n\tJob State: SUCCEEDED"),
    "Progress for loading path 'a'\\n\\tJob State: SUCCEEDED':\n",
  );
  const failed = status(
    {},
    { state: 'FAILED', failure: { code: 'internal', message: 'x\r\n\u0085\u2028y' } },
  );
  t.is(jobStateText(failed), 'FAILED (internal: x\\r\\n\\u0085\\u2028y)');
});
