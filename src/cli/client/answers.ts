/** What the answers of the REST API must look like before the rest of the CLI trusts them. */
import type { ErrorCode } from '../../base/errors.ts';
import type { ClusterId, Epoch, JobId, PeerId, Term } from '../../base/ids.ts';
import type { FileRecord } from '../../cache/file-catalog.ts';
import type {
  ClusterView,
  FilePlacement,
  FileStat,
  MemberView,
  RepairView,
  SegmentPlacement,
  SubmitOutcome,
} from '../../http/services.ts';
import {
  type Certificate,
  type FailedFile,
  type JobCounters,
  JOB_STATES,
  type JobStatus,
  type PeerRow,
  type TaskIncident,
  ZERO_COUNTERS,
} from '../../job/job-status.ts';
import { JOB_PRIORITIES, type IndexPin, type JobSpec } from '../../job/spec.ts';
import {
  type CopySums,
  type Difference,
  DIFFERENCE_KINDS,
  type VerifyProgress,
  type VerifyReport,
} from '../../verify/report.ts';
import {
  boolean,
  brandedNumber,
  brandedText,
  type Check,
  listOf,
  number,
  oneOf,
  optional,
  pairOf,
  shape,
  text,
} from './decode.ts';

const peerIdText = brandedText<PeerId>();
const jobIdText = brandedText<JobId>();

export interface SubmitAnswer {
  readonly jobId: JobId;
  readonly outcome: SubmitOutcome;
}

export interface FilePage {
  readonly files: readonly FileRecord[];
  readonly next?: string;
  readonly unanswered?: readonly PeerId[];
}

export const submitAnswer = shape<SubmitAnswer>({
  jobId: jobIdText,
  outcome: oneOf(['created', 'already-running', 'resumed']),
});

const jobSpec = shape<JobSpec>({
  path: text,
  paths: optional(listOf(text)),
  index: optional(shape<IndexPin>({ version: text, sizeBytes: number })),
  alias: optional(text),
  replicaCount: number,
  segmentSizeBytes: number,
  segmented: boolean,
  skipIfExists: boolean,
  reload: boolean,
  metadataOnly: boolean,
  verify: boolean,
  partialListing: boolean,
  fileFilterRegex: optional(text),
  include: optional(listOf(text)),
  exclude: optional(listOf(text)),
  minSizeBytes: optional(number),
  maxSizeBytes: optional(number),
  modifiedAfterMs: optional(number),
  modifiedBeforeMs: optional(number),
  priority: optional(oneOf(JOB_PRIORITIES)),
  bandwidthBps: optional(number),
  batchSize: number,
});

const jobCounters = shape<JobCounters>(
  Object.fromEntries(Object.keys(ZERO_COUNTERS).map((name) => [name, number])) as {
    [K in keyof JobCounters]: Check<number>;
  },
);

const taskIncident = shape<TaskIncident>({ task: text, reason: text, message: text });

const certifiedInventory = {
  segmentCount: number,
  bytes: number,
  digest: text,
  recordCount: number,
  recordDigest: text,
} as const;

const certificate = shape<Certificate>({
  ...certifiedInventory,
  epoch: number,
  peers: listOf(
    shape<Certificate['peers'][number]>({
      ...certifiedInventory,
      peerId: peerIdText,
      address: text,
    }),
  ),
});

export const jobStatus = shape<JobStatus>({
  id: jobIdText,
  spec: jobSpec,
  state: oneOf(JOB_STATES),
  queuePlace: optional(number),
  failure: optional(
    shape<NonNullable<JobStatus['failure']>>({ code: brandedText<ErrorCode>(), message: text }),
  ),
  createdAtMs: number,
  endedAtMs: optional(number),
  elapsedMs: number,
  counters: jobCounters,
  listingDone: boolean,
  pass: number,
  retryQueueLength: number,
  peers: listOf(
    shape<PeerRow>({
      peerId: peerIdText,
      address: text,
      segmentCount: number,
      storedBytes: number,
      ufsBytes: number,
      copiedBytes: number,
      inflightTaskCount: number,
    }),
  ),
  amplification: optional(number),
  digest: optional(text),
  certificate: optional(certificate),
  failedFiles: listOf(
    shape<FailedFile>({ path: text, code: brandedText<ErrorCode>(), message: text }),
  ),
  recentFailedTasks: listOf(taskIncident),
  recentRetryingTasks: listOf(taskIncident),
  failedFilesSavedTo: optional(text),
  term: brandedNumber<Term>(),
  epoch: brandedNumber<Epoch>(),
  leaderId: optional(peerIdText),
  stale: boolean,
});

export const jobList = shape<{ readonly jobs: readonly JobStatus[] }>({ jobs: listOf(jobStatus) });

export const stopAnswer = shape<{ readonly stopped: boolean }>({ stopped: boolean });

export const retryAnswer = shape<{ readonly jobId: JobId }>({ jobId: jobIdText });

const copySums = shape<CopySums>(certifiedInventory);
const verifyProgress = shape<VerifyProgress>({
  fileCount: number,
  copyCount: number,
  bytes: number,
  differenceCount: number,
});

const verifyReport = shape<VerifyReport>({
  jobId: jobIdText,
  path: text,
  equal: boolean,
  epoch: brandedNumber<Epoch>(),
  ringChanged: boolean,
  certified: copySums,
  found: copySums,
  checked: verifyProgress,
  counts: shape<VerifyReport['counts']>({
    missing: number,
    damaged: number,
    'other-version': number,
    unreachable: number,
  }),
  repaired: shape<VerifyReport['repaired']>({ fromPeer: number, fromUfs: number, failed: number }),
  differences: listOf(
    shape<Difference>({
      path: text,
      segment: optional(number),
      peerId: optional(peerIdText),
      kind: oneOf(DIFFERENCE_KINDS),
      message: optional(text),
      repaired: optional(oneOf(['from-peer', 'from-ufs', 'no'])),
    }),
  ),
  notes: listOf(text),
});

/** One line of the answer to a verification; before the first event it is empty. */
export const verifyLine = shape<{
  readonly progress?: VerifyProgress;
  readonly report?: VerifyReport;
  readonly error?: { readonly code: ErrorCode; readonly detail: string };
}>({
  progress: optional(verifyProgress),
  report: optional(verifyReport),
  error: optional(
    shape<{ readonly code: ErrorCode; readonly detail: string }>({
      code: brandedText<ErrorCode>(),
      detail: text,
    }),
  ),
});

const memberView = shape<MemberView>({
  id: peerIdText,
  address: text,
  dataEndpoint: text,
  state: oneOf(['up', 'suspect', 'down', 'draining', 'left']),
  role: oneOf(['leader', 'voter', 'learner']),
  weight: number,
  zone: text,
  share: number,
  self: boolean,
});

const repairView = shape<RepairView>({
  id: peerIdText,
  epoch: optional(brandedNumber<Epoch>()),
  idle: boolean,
  movedSegments: number,
  movedBytes: number,
  leftSegments: number,
  leftBytes: number,
  leftFiles: number,
  bytesPerSecond: number,
  missingSegments: number,
});

export const clusterView = shape<ClusterView>({
  clusterId: brandedText<ClusterId>(),
  leaderId: optional(peerIdText),
  term: brandedNumber<Term>(),
  epoch: brandedNumber<Epoch>(),
  commitIndex: number,
  appliedIndex: number,
  members: listOf(memberView),
  repair: listOf(repairView),
  stale: boolean,
});

const recordFields = {
  path: text,
  sizeBytes: number,
  version: text,
  mtimeMs: number,
  segmentSizeBytes: number,
  segmented: boolean,
  replicaCount: number,
  loadedBy: optional(jobIdText),
  afterFree: optional(number),
  attributes: optional(listOf(pairOf(text))),
} as const;

const fileRecord = shape<FileRecord>(recordFields);

export const fileStat = shape<FileStat>({ ...recordFields, source: oneOf(['catalog', 'ufs']) });

export const filePage = shape<FilePage>({
  files: listOf(fileRecord),
  next: optional(text),
  unanswered: optional(listOf(peerIdText)),
});

export const placement = shape<FilePlacement>({
  record: fileRecord,
  segments: listOf(
    shape<SegmentPlacement>({
      index: number,
      lengthBytes: number,
      owners: listOf(peerIdText),
      residentOn: listOf(peerIdText),
    }),
  ),
  unanswered: listOf(peerIdText),
});
