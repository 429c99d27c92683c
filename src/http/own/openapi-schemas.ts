/** JSON Schemas of what the own API takes and gives; they mirror the interfaces of the services. */
import { ERROR_TABLE } from '../../base/errors.ts';
import { JOB_STATES } from '../../job/job-status.ts';
import { JOB_LIMITS, JOB_PRIORITIES } from '../../job/spec.ts';
import { CACHE_SCHEMAS } from './openapi-cache.ts';
import { certificate, verifyEvent } from './openapi-verify.ts';

type Schema = Readonly<Record<string, unknown>>;

const text: Schema = { type: 'string' };
const flag: Schema = { type: 'boolean' };
const count: Schema = { type: 'integer', minimum: 0 };
const id: Schema = { type: 'string', format: 'uuid' };
const path: Schema = { type: 'string', examples: ['s3://bucket/data'] };
const size: Schema = {
  oneOf: [count, { type: 'string', examples: ['64MiB'] }],
  description: 'bytes, or text in powers of 1024',
};

const globs: Schema = {
  type: 'array',
  items: { type: 'string', examples: ['*.parquet', '/2026/**', '_temporary/'] },
  maxItems: JOB_LIMITS.globMaxCount,
};
const time: Schema = {
  oneOf: [count, { type: 'string', examples: ['2026-01-31T12:00:00Z'] }],
  description: 'milliseconds since 1970, or a date',
};

/** All members required but those named in `optional`. */
function object(properties: Readonly<Record<string, Schema>>, ...optional: string[]): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required };
}

function listOf(items: Schema): Schema {
  return { type: 'array', items };
}

export function ref(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

function counts(...names: readonly string[]): Record<string, Schema> {
  return Object.fromEntries(names.map((name) => [name, count]));
}

const fileRecord = {
  path,
  sizeBytes: count,
  version: text,
  mtimeMs: count,
  segmentSizeBytes: count,
  segmented: flag,
  replicaCount: count,
  loadedBy: id,
  afterFree: { ...count, description: 'number of the newest free when it was loaded' },
  attributes: {
    ...listOf({ type: 'array', items: text, minItems: 2, maxItems: 2 }),
    description: 'header fields that an S3 object carries besides',
  },
};

const incident = object({ task: text, reason: text, message: text });

const jobSpec = object(
  {
    path: { ...path, description: 'of several paths the first, of an index file its own' },
    paths: listOf(path),
    index: object({ version: text, sizeBytes: count }),
    alias: text,
    replicaCount: count,
    segmentSizeBytes: count,
    segmented: flag,
    skipIfExists: flag,
    reload: flag,
    metadataOnly: flag,
    verify: flag,
    partialListing: flag,
    fileFilterRegex: text,
    include: listOf(text),
    exclude: listOf(text),
    minSizeBytes: count,
    maxSizeBytes: count,
    modifiedAfterMs: count,
    modifiedBeforeMs: count,
    priority: { type: 'string', enum: JOB_PRIORITIES },
    bandwidthBps: count,
    batchSize: count,
  },
  ...['paths', 'index', 'alias', 'include', 'exclude', 'minSizeBytes', 'maxSizeBytes'],
  ...['modifiedAfterMs', 'modifiedBeforeMs', 'priority'],
  'fileFilterRegex',
  'bandwidthBps',
);

const jobStatus = object(
  {
    id,
    spec: ref('JobSpec'),
    state: { type: 'string', enum: JOB_STATES },
    queuePlace: { ...count, description: 'while it waits for a place to run: 1 for the next one' },
    failure: object({ code: text, message: text }),
    createdAtMs: count,
    endedAtMs: count,
    elapsedMs: count,
    counters: ref('JobCounters'),
    listingDone: flag,
    pass: count,
    retryQueueLength: count,
    peers: listOf(
      object({
        peerId: id,
        address: text,
        ...counts('segmentCount', 'storedBytes', 'ufsBytes', 'copiedBytes', 'inflightTaskCount'),
      }),
    ),
    amplification: { type: 'number', description: 'UFS bytes read / unique bytes loaded' },
    digest: text,
    certificate,
    failedFiles: listOf(object({ path, code: text, message: text })),
    recentFailedTasks: listOf(incident),
    recentRetryingTasks: listOf(incident),
    failedFilesSavedTo: text,
    term: count,
    epoch: count,
    leaderId: id,
    stale: flag,
  },
  'queuePlace',
  'failure',
  'endedAtMs',
  'amplification',
  'digest',
  'certificate',
  'failedFilesSavedTo',
  'leaderId',
);

export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Problem: {
    ...object(
      {
        type: text,
        title: text,
        status: count,
        detail: text,
        code: { type: 'string', enum: Object.keys(ERROR_TABLE) },
        requestId: text,
        details: { type: 'object' },
      },
      'details',
    ),
    description: 'RFC 9457; `code` is stable, `detail` is for people',
  },
  JobRequest: {
    type: 'object',
    oneOf: [{ required: ['path'] }, { required: ['paths'] }, { required: ['index'] }],
    properties: {
      path: { ...path, maxLength: JOB_LIMITS.pathMaxBytes },
      paths: { ...listOf(path), minItems: 1, maxItems: JOB_LIMITS.pathsMaxCount },
      index: { ...path, description: 'a file of the under store that lists paths, one a line' },
      alias: { ...text, minLength: 1, maxLength: JOB_LIMITS.aliasMaxLength },
      replicas: { type: 'integer', minimum: 1, maximum: JOB_LIMITS.replicaMaxCount, default: 1 },
      segmentSize: size,
      segmented: { ...flag, default: true },
      skipIfExists: {
        ...flag,
        default: true,
        description: 'false asks to fetch again what is resident (reload)',
      },
      reload: { ...flag, default: false },
      metadataOnly: { ...flag, default: false },
      verify: { ...flag, default: false },
      partialListing: { ...flag, default: false },
      fileFilterRegex: {
        ...text,
        maxLength: JOB_LIMITS.regexMaxLength,
        description: 'RE2; keeps files whose last path component matches fully',
      },
      include: globs,
      exclude: globs,
      minSize: size,
      maxSize: size,
      modifiedAfter: time,
      modifiedBefore: time,
      priority: { type: 'string', enum: JOB_PRIORITIES, default: 'medium' },
      bandwidth: { ...size, description: 'bytes per second per peer; 0 is unlimited' },
      batchSize: { type: 'integer', minimum: 1, maximum: JOB_LIMITS.batchMaxSize, default: 200 },
    },
  },
  JobName: {
    type: 'object',
    oneOf: [{ required: ['path'] }, { required: ['paths'] }, { required: ['index'] }],
    properties: { path, paths: listOf(path), index: path },
  },
  JobAccepted: object(
    { jobId: id, outcome: { type: 'string', enum: ['created', 'already-running', 'resumed'] } },
    'outcome',
  ),
  JobSpec: jobSpec,
  JobCounters: object(
    counts(
      ...['listedFiles', 'loadedFiles', 'skippedFiles', 'failedFiles', 'filteredFiles'],
      ...['listedBytes', 'loadedBytes', 'skippedBytes', 'failedBytes', 'replicaBytes'],
      ...['replicaFiles', 'relayedBytes', 'ufsBytes', 'copiedBytes'],
      ...['checkedFiles', 'uncheckedFiles'],
      ...['taskCount', 'failedTaskCount', 'retriedTaskCount', 'movedTaskCount'],
    ),
  ),
  JobStatus: jobStatus,
  VerifyEvent: verifyEvent,
  JobList: object({ jobs: listOf(ref('JobStatus')) }),
  Stopped: object({ stopped: { ...flag, description: 'false: nothing was running' } }),
  Cluster: object(
    {
      clusterId: id,
      leaderId: id,
      ...counts('term', 'epoch', 'commitIndex', 'appliedIndex'),
      members: listOf(
        object({
          id,
          address: text,
          dataEndpoint: text,
          state: { type: 'string', enum: ['up', 'suspect', 'down', 'draining', 'left'] },
          role: { type: 'string', enum: ['leader', 'voter', 'learner'] },
          weight: { type: 'number' },
          zone: text,
          share: { type: 'number', minimum: 0, maximum: 1 },
          self: flag,
        }),
      ),
      repair: listOf(
        object(
          {
            id,
            epoch: count,
            idle: flag,
            ...counts('movedSegments', 'movedBytes', 'leftSegments', 'leftBytes', 'leftFiles'),
            ...counts('bytesPerSecond', 'missingSegments'),
          },
          'epoch',
        ),
      ),
      stale: flag,
    },
    'leaderId',
  ),
  Self: object({
    id,
    address: text,
    usage: object({
      ...counts('capacityBytes', 'usedBytes', 'segmentCount', 'leasedBytes', 'pinnedBytes'),
      ...counts('evictedSegmentCount', 'corruptSegmentCount'),
      directories: listOf(
        object({ path: text, state: { type: 'string', enum: ['ok', 'failed'] } }),
      ),
    }),
    catalogCount: count,
  }),
  TransferRequest: object({ to: id }),
  Transferred: object({ to: id }),
  Removed: object({ removed: id }),
  FileRecord: object(fileRecord, 'loadedBy', 'afterFree', 'attributes'),
  FileStat: object(
    { ...fileRecord, source: { type: 'string', enum: ['catalog', 'ufs'] } },
    'loadedBy',
    'afterFree',
    'attributes',
  ),
  FileList: object(
    { files: listOf(ref('FileRecord')), next: text, unanswered: listOf(id) },
    'next',
    'unanswered',
  ),
  Placement: object({
    record: ref('FileRecord'),
    segments: listOf(
      object({ index: count, lengthBytes: count, owners: listOf(id), residentOn: listOf(id) }),
    ),
    unanswered: listOf(id),
  }),
  ...CACHE_SCHEMAS,
  Health: object({ status: text }),
  Readiness: object({ status: text, check: text, reasons: listOf(text) }),
  Version: object({ name: text, version: text }),
};
