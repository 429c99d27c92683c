/**
 * What a test cluster knows: jobs, members and files in memory, behind the interfaces that the
 * real HTTP routes call. Several test peers may share one world, as peers share a cluster.
 */
import { isMeant } from '../../../src/cluster/job-identity.ts';
import { RingloadError } from '../../../src/base/errors.ts';
import { clusterId, epoch, jobId, peerId, term, type PeerId } from '../../../src/base/ids.ts';
import type { FileRecord } from '../../../src/cache/file-catalog.ts';
import type {
  ClusterView,
  FileRange,
  HttpServices,
  JobRef,
  MemberView,
  RepairView,
  SegmentPlacement,
} from '../../../src/http/services.ts';
import { isActive, type JobStatus, ZERO_COUNTERS } from '../../../src/job/job-status.ts';
import { JOB_DEFAULTS, type JobSpec } from '../../../src/job/spec.ts';
import type { VerifyEvent } from '../../../src/verify/report.ts';
import { FakeCache } from '../../http/fake-cache.ts';

export const PEER_A = peerId('aaaaaaaa-0000-4000-8000-000000000001');
export const PEER_B = peerId('bbbbbbbb-0000-4000-8000-000000000002');
export const PEER_C = peerId('cccccccc-0000-4000-8000-000000000003');
export const CREATED_AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

export const jobNumber = (index: number): string =>
  `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;

export function specOf(path: string, overrides: Partial<JobSpec> = {}): JobSpec {
  return { ...JOB_DEFAULTS, path, ...overrides };
}

export function statusOf(
  index: number,
  path: string,
  overrides: Partial<JobStatus> = {},
): JobStatus {
  return {
    id: jobId(jobNumber(index)),
    spec: specOf(path),
    state: 'RUNNING',
    createdAtMs: CREATED_AT_MS,
    elapsedMs: 0,
    counters: ZERO_COUNTERS,
    listingDone: false,
    pass: 1,
    retryQueueLength: 0,
    peers: [],
    failedFiles: [],
    recentFailedTasks: [],
    recentRetryingTasks: [],
    term: term(3),
    epoch: epoch(2),
    leaderId: PEER_A,
    stale: false,
    ...overrides,
  };
}

export function memberOf(
  id: PeerId,
  address: string,
  overrides: Partial<MemberView> = {},
): MemberView {
  return {
    id,
    address,
    dataEndpoint: address,
    state: 'up',
    role: id === PEER_A ? 'leader' : 'voter',
    weight: 1,
    zone: '',
    share: 1 / 3,
    self: id === PEER_A,
    ...overrides,
  };
}

export interface WorldFile {
  readonly bytes: Buffer;
  readonly version: string;
  readonly segments?: readonly SegmentPlacement[];
  readonly unanswered?: readonly PeerId[];
}

export class World {
  /** Newest first. */
  jobs: JobStatus[] = [];
  members: MemberView[] = [];
  repair: RepairView[] = [];
  leaderId: PeerId | undefined = PEER_A;
  stale = false;
  readonly files = new Map<string, WorldFile>();
  readonly cache = new FakeCache();
  readonly submitted: JobSpec[] = [];
  readonly stopped: string[] = [];
  readonly removed: string[] = [];
  readonly transferred: string[] = [];

  /** What a verification tells. */
  verifyEvents: (repair: boolean) => readonly VerifyEvent[] = () => [];

  addFile(path: string, bytes: Buffer | string, more: Partial<WorldFile> = {}): void {
    this.files.set(path, { bytes: Buffer.from(bytes), version: 'v1', ...more });
  }

  update(id: string, change: Partial<JobStatus>): void {
    this.jobs = this.jobs.map((job) => (job.id === id ? { ...job, ...change } : job));
  }

  /** The interfaces that one peer's routes call. */
  services(): HttpServices {
    return {
      jobs: {
        submit: async (spec) => answer(() => this.#submit(spec)),
        status: async (ref) => answer(() => this.#find(ref)),
        list: async ({ states }) =>
          answer(() => this.jobs.filter((job) => states?.includes(job.state) ?? true)),
        stop: async (ref) => answer(() => this.#stop(ref)),
        retry: async (ref) => answer(() => this.#retry(ref)),
        verify: async (ref, { repair }) => answer(() => this.#verify(ref, repair)),
      },
      cluster: {
        view: async () => answer(() => this.#view()),
        self: () => ({ id: PEER_A, address: '127.0.0.1:1', usage: NO_USAGE, catalogCount: 0 }),
        transferLeadership: async (to) =>
          answer(() => {
            this.transferred.push(to);
          }),
        remove: async (id, { force }) =>
          answer(() => {
            this.removed.push(`${id} ${force ? 'forced' : 'drained'}`);
          }),
      },
      cache: this.cache,
      files: {
        stat: async (path) => answer(() => ({ ...this.#record(path), source: 'catalog' as const })),
        placement: async (path) =>
          answer(() => {
            const { segments = [], unanswered = [] } = this.#file(path);
            return { record: this.#record(path), segments, unanswered };
          }),
        list: async (request) => answer(() => this.#list(request)),
        read: async (path, range) => answer(() => this.#read(path, range)),
      },
      health: { notReadyReasons: () => [] },
      metrics: { contentType: 'text/plain', render: () => Promise.resolve('') },
      limits: {
        bodyMaxBytes: 64 * 1024,
        queryMaxBytes: 16 * 1024,
        defaultSegmentSizeBytes: JOB_DEFAULTS.segmentSizeBytes,
      },
    };
  }

  #submit(spec: JobSpec) {
    this.submitted.push(spec);
    const newest = this.#find({ path: spec.path });
    if (newest && isActive(newest.state)) {
      return { jobId: newest.id, outcome: 'already-running' as const };
    }
    if (newest?.state === 'STOPPED') {
      this.update(newest.id, { state: 'RUNNING' });
      return { jobId: newest.id, outcome: 'resumed' as const };
    }
    const created = statusOf(this.jobs.length + 1, spec.path, { spec });
    this.jobs = [created, ...this.jobs];
    return { jobId: created.id, outcome: 'created' as const };
  }

  #stop(ref: JobRef): boolean {
    const job = this.#find(ref);
    if (!job || !isActive(job.state)) return false;
    this.stopped.push(job.id);
    this.update(job.id, { state: 'STOPPED' });
    return true;
  }

  #retry(ref: JobRef) {
    const job = this.#find(ref);
    if (!job) throw new RingloadError('not_found', 'no such job');
    if (isActive(job.state)) throw new RingloadError('conflict', `job ${job.id} still runs`);
    const again = statusOf(this.jobs.length + 1, job.spec.path, { spec: job.spec });
    this.jobs = [again, ...this.jobs];
    return { jobId: again.id };
  }

  async *#verify(ref: JobRef, repair: boolean): AsyncGenerator<VerifyEvent> {
    await Promise.resolve();
    if (!this.#find(ref)) throw new RingloadError('not_found', 'no such job');
    yield* this.verifyEvents(repair);
  }

  #find(ref: JobRef): JobStatus | undefined {
    return this.jobs.find((job) => ('id' in ref ? job.id === ref.id : isMeant(ref, job.spec)));
  }

  #view(): ClusterView {
    return {
      clusterId: clusterId('dddddddd-0000-4000-8000-00000000000d'),
      ...(this.leaderId === undefined ? {} : { leaderId: this.leaderId }),
      term: term(3),
      epoch: epoch(2),
      // A figure that has a thousands separator.
      commitIndex: 1042,
      appliedIndex: 1041,
      members: this.members,
      repair: this.repair,
      stale: this.stale,
    };
  }

  #file(path: string): WorldFile {
    const file = this.files.get(path);
    if (!file) throw new RingloadError('ufs_not_found', `object ${path} does not exist`);
    return file;
  }

  #record(path: string): FileRecord {
    const { bytes, version } = this.#file(path);
    return {
      path,
      sizeBytes: bytes.length,
      version,
      mtimeMs: CREATED_AT_MS,
      segmentSizeBytes: JOB_DEFAULTS.segmentSizeBytes,
      segmented: true,
      replicaCount: 2,
      loadedBy: jobId(jobNumber(1)),
    };
  }

  #list({ root, after, limit }: { root: string; after?: string; limit: number }) {
    const order = (one: string, two: string): number =>
      Buffer.compare(Buffer.from(one), Buffer.from(two));
    const below = [...this.files.keys()]
      .filter((path) => path === root || path.startsWith(`${root}/`))
      .filter((path) => after === undefined || order(path, after) > 0)
      .sort(order);
    const page = below.slice(0, Math.min(limit, PAGE_MAX));
    const last = page.at(-1);
    const files = page.map((path) => this.#record(path));
    return below.length > page.length && last !== undefined ? { files, next: last } : { files };
  }

  #read(path: string, range?: { offset: number; length?: number }): FileRange {
    const { bytes } = this.#file(path);
    const offset = range?.offset ?? 0;
    const length = Math.min(range?.length ?? bytes.length, bytes.length - offset);
    if (range && length <= 0) {
      throw new RingloadError('range_not_satisfiable', `file ${path} has ${bytes.length} bytes`);
    }
    return { record: this.#record(path), offset, length, body: chunks(bytes, offset, length) };
  }
}

/** Small, so that a listing has several pages. */
const PAGE_MAX = 3;
const CHUNK_BYTES = 4096;

const NO_USAGE = {
  capacityBytes: 1,
  usedBytes: 0,
  segmentCount: 0,
  leasedBytes: 0,
  pinnedBytes: 0,
  evictedSegmentCount: 0,
  corruptSegmentCount: 0,
  directories: [],
};

async function* chunks(bytes: Buffer, offset: number, length: number): AsyncIterable<Uint8Array> {
  for (let sent = 0; sent < length; sent += CHUNK_BYTES) {
    yield await Promise.resolve(
      bytes.subarray(offset + sent, offset + Math.min(sent + CHUNK_BYTES, length)),
    );
  }
}

async function answer<T>(work: () => T): Promise<T> {
  await Promise.resolve();
  return work();
}
