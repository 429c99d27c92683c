/** In-memory doubles of the node behind the routes, and a server around an app. */
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { RingloadError } from '../../src/base/errors.ts';
import { clusterId, epoch, jobId, peerId, term, type JobId } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { identityOf, isMeant } from '../../src/cluster/job-identity.ts';
import { createHttpApp, type HttpAppOptions } from '../../src/http/app.ts';
import { answerClientError, SERVER_OPTIONS } from '../../src/http/server.ts';
import type {
  FileRange,
  FileService,
  FileStat,
  HttpServices,
  JobRef,
  JobService,
  SubmitOutcome,
} from '../../src/http/services.ts';
import {
  isActive,
  ZERO_COUNTERS,
  type JobState,
  type JobStatus,
} from '../../src/job/job-status.ts';
import type { JobSpec } from '../../src/job/spec.ts';
import type { VerifyEvent } from '../../src/verify/report.ts';
import { FakeCache } from './fake-cache.ts';

export const PEER_ID = '11111111-1111-4111-8111-111111111111';

export function jobIdNumber(index: number): JobId {
  return jobId(`00000000-0000-4000-8000-${String(index).padStart(12, '0')}`);
}

export function jobStatus(spec: JobSpec, overrides: Partial<JobStatus> = {}): JobStatus {
  return {
    id: jobIdNumber(1),
    spec,
    state: 'RUNNING',
    createdAtMs: 1_700_000_000_000,
    elapsedMs: 0,
    counters: ZERO_COUNTERS,
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
    ...overrides,
  };
}

/** Jobs by path, with the outcomes that the interface promises. */
export class FakeJobs implements JobService {
  readonly submitted: JobSpec[] = [];
  readonly jobs: JobStatus[] = [];
  /** Thrown by every call while set. */
  fault: Error | undefined;

  submit(spec: JobSpec): Promise<{ jobId: JobId; outcome: SubmitOutcome }> {
    return this.#answer(() => {
      if (spec.path.startsWith('s3://other')) {
        throw new RingloadError('path_not_mounted', `path '${spec.path}' lies outside s3://b`);
      }
      this.submitted.push(spec);
      const identity = identityOf(spec);
      const newest = this.jobs.findLast((job) => identityOf(job.spec) === identity);
      if (newest && isActive(newest.state)) {
        return { jobId: newest.id, outcome: 'already-running' };
      }
      if (newest?.state === 'STOPPED') {
        this.setState(newest.id, 'RUNNING');
        return { jobId: newest.id, outcome: 'resumed' };
      }
      const id = jobIdNumber(this.jobs.length + 1);
      this.jobs.push(jobStatus(spec, { id }));
      return { jobId: id, outcome: 'created' };
    });
  }

  status(ref: JobRef): Promise<JobStatus | undefined> {
    return this.#answer(() => this.#find(ref));
  }

  list(filter: { states?: readonly JobState[] }): Promise<readonly JobStatus[]> {
    return this.#answer(() =>
      this.jobs.filter((job) => filter.states?.includes(job.state) ?? true),
    );
  }

  stop(ref: JobRef): Promise<boolean> {
    return this.#answer(() => {
      const job = this.#find(ref);
      if (!job || !isActive(job.state)) return false;
      this.setState(job.id, 'STOPPED');
      return true;
    });
  }

  retry(ref: JobRef): Promise<{ jobId: JobId }> {
    return this.#answer(() => {
      const job = this.#find(ref);
      if (!job) throw new RingloadError('not_found', 'no such job');
      if (job.state !== 'FAILED') throw new RingloadError('conflict', 'nothing failed');
      return { jobId: job.id };
    });
  }

  /** What a verification tells, and with which options it was asked for. */
  verifyEvents: readonly VerifyEvent[] = [];
  readonly verified: { readonly repair: boolean }[] = [];
  /** Thrown after the last event while set. */
  verifyFault: Error | undefined;

  verify(ref: JobRef, options: { repair: boolean }): Promise<AsyncIterable<VerifyEvent>> {
    return this.#answer(() => {
      const job = this.#find(ref);
      if (!job) throw new RingloadError('not_found', 'no such job');
      if (job.state !== 'SUCCEEDED') throw new RingloadError('conflict', 'no certificate');
      this.verified.push({ repair: options.repair });
      return this.#verifyEvents();
    });
  }

  async *#verifyEvents(): AsyncGenerator<VerifyEvent> {
    await Promise.resolve();
    yield* this.verifyEvents;
    if (this.verifyFault) throw this.verifyFault;
  }

  setState(id: JobId, state: JobState): void {
    this.update(id, { state });
  }

  update(id: JobId, change: Partial<JobStatus>): void {
    const index = this.jobs.findIndex((job) => job.id === id);
    const job = this.jobs[index];
    if (job) this.jobs[index] = { ...job, ...change };
  }

  #find(ref: JobRef): JobStatus | undefined {
    return this.jobs.findLast((job) => ('id' in ref ? job.id === ref.id : isMeant(ref, job.spec)));
  }

  async #answer<T>(work: () => T): Promise<T> {
    await Promise.resolve();
    if (this.fault) throw this.fault;
    return work();
  }
}

export interface FakeFile {
  readonly bytes: Buffer;
  readonly version?: string;
  /** The source throws after so many bytes. */
  readonly failAfterBytes?: number;
  /** Waits before every chunk but the first. */
  readonly gate?: () => Promise<void>;
}

/** Files in memory; `strict` refuses ranges that end beyond the file instead of cutting them. */
export class FakeFiles implements FileService {
  readonly files = new Map<string, FakeFile>();
  readonly calls: string[] = [];
  strict = false;
  openCount = 0;
  chunkSizeBytes = 1000;
  /** Runs after each stat: the moment in which a file may change. */
  afterStat: () => void = () => undefined;

  async stat(path: string): Promise<FileStat> {
    this.calls.push(`stat ${path}`);
    await Promise.resolve();
    const stat: FileStat = { ...record(path, this.#file(path)), source: 'catalog' };
    this.afterStat();
    return stat;
  }

  async placement(path: string): ReturnType<FileService['placement']> {
    await Promise.resolve();
    const owner = peerId(PEER_ID);
    return {
      record: record(path, this.#file(path)),
      segments: [{ index: 0, lengthBytes: 1, owners: [owner], residentOn: [owner] }],
      unanswered: [],
    };
  }

  async list(request: Parameters<FileService['list']>[0]): ReturnType<FileService['list']> {
    await Promise.resolve();
    this.calls.push(`list ${request.root} after ${request.after ?? '-'} limit ${request.limit}`);
    const below = [...this.files]
      .filter(([path]) => path === request.root || path.startsWith(`${request.root}/`))
      .filter(([path]) => request.after === undefined || path > request.after)
      .sort(([one], [two]) => Buffer.compare(Buffer.from(one), Buffer.from(two)));
    const files = below.slice(0, request.limit).map(([path, file]) => record(path, file));
    const last = files.at(-1);
    return below.length > files.length && last ? { files, next: last.path } : { files };
  }

  async read(path: string, range?: { offset: number; length?: number }): Promise<FileRange> {
    this.calls.push(`read ${path}`);
    await Promise.resolve();
    const file = this.#file(path);
    const offset = range?.offset ?? 0;
    const rest = file.bytes.length - offset;
    const length = Math.min(range?.length ?? rest, rest);
    const beyond = this.strict && (range?.length ?? 0) > rest;
    if ((range !== undefined && rest <= 0) || beyond) {
      throw new RingloadError('range_not_satisfiable', `range lies outside '${path}'`);
    }
    return { record: record(path, file), offset, length, body: this.#chunks(file, offset, length) };
  }

  async *#chunks(file: FakeFile, offset: number, length: number): AsyncGenerator<Uint8Array> {
    this.openCount++;
    try {
      for (let sent = 0; sent < length; sent += this.chunkSizeBytes) {
        if (sent > 0) await file.gate?.();
        if (file.failAfterBytes !== undefined && sent >= file.failAfterBytes) {
          throw new RingloadError('ufs_unavailable', `source of ${length} bytes broke`);
        }
        const end = offset + Math.min(sent + this.chunkSizeBytes, length);
        yield file.bytes.subarray(offset + sent, end);
      }
    } finally {
      this.openCount--;
    }
  }

  #file(path: string): FakeFile {
    const file = this.files.get(path);
    if (!file) throw new RingloadError('ufs_not_found', `no object '${path}'`);
    return file;
  }
}

function record(path: string, file: FakeFile): Omit<FileStat, 'source'> {
  return {
    path,
    sizeBytes: file.bytes.length,
    version: file.version ?? '"etag-1"',
    mtimeMs: 1_700_000_000_500,
    segmentSizeBytes: 1024,
    segmented: true,
    replicaCount: 1,
  };
}

export interface FakeServices extends HttpServices {
  readonly jobs: FakeJobs;
  readonly files: FakeFiles;
  readonly cache: FakeCache;
  readonly removed: string[];
  notReady: readonly string[];
}

export function fakeServices(): FakeServices {
  const id = peerId(PEER_ID);
  const removed: string[] = [];
  const services: FakeServices = {
    jobs: new FakeJobs(),
    files: new FakeFiles(),
    cache: new FakeCache(),
    removed,
    notReady: [],
    cluster: {
      view: () =>
        Promise.resolve({
          clusterId: clusterId('22222222-2222-4222-8222-222222222222'),
          leaderId: id,
          term: term(3),
          epoch: epoch(2),
          commitIndex: 9,
          appliedIndex: 9,
          members: [],
          repair: [],
          stale: false,
        }),
      self: () => ({
        id,
        address: '127.0.0.1:1',
        usage: {
          capacityBytes: 1,
          usedBytes: 0,
          segmentCount: 0,
          leasedBytes: 0,
          pinnedBytes: 0,
          evictedSegmentCount: 0,
          corruptSegmentCount: 0,
          directories: [],
        },
        catalogCount: 0,
      }),
      transferLeadership: () => Promise.resolve(),
      remove: (member, { force }) => {
        removed.push(`${member} ${force}`);
        return Promise.resolve();
      },
    },
    health: {
      notReadyReasons: (purpose) => (purpose === 'reads' ? [] : services.notReady),
    },
    metrics: {
      contentType: 'text/plain; version=0.0.4; charset=utf-8',
      render: () => Promise.resolve('ringload_up 1\n'),
    },
    limits: {
      bodyMaxBytes: 64 * 1024,
      queryMaxBytes: 8 * 1024,
      defaultSegmentSizeBytes: 8 * 1024 * 1024,
    },
  };
  return services;
}

/** A real server on a free port, closed with everything that hangs on it. */
export class TestServer implements AsyncDisposable {
  readonly services: FakeServices;
  readonly url: string;
  readonly port: number;
  readonly #server: Server;

  private constructor(services: FakeServices, server: Server) {
    this.services = services;
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    this.url = `http://127.0.0.1:${this.port}`;
  }

  static async start(
    options: Partial<HttpAppOptions> = {},
    services: FakeServices = fakeServices(),
  ): Promise<TestServer> {
    const app = createHttpApp(services, { logger: silentLogger, ...options });
    const callback = app.callback();
    const server = createServer(SERVER_OPTIONS, (request, response) => {
      void callback(request, response);
    });
    server.on('clientError', answerClientError);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new TestServer(services, server);
  }

  /** Sends raw text and gives back everything until the server closes or `until` matches. */
  raw(text: string | Buffer, until?: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      let received = '';
      const socket: Socket = connect(this.port, '127.0.0.1', () => socket.write(text));
      const deadline = setTimeout(() => {
        socket.destroy();
        reject(new Error(`no answer in time; got ${JSON.stringify(received)}`));
      }, 20_000);
      const finish = (): void => {
        clearTimeout(deadline);
        socket.destroy();
        resolve(received);
      };
      socket.on('data', (chunk: Buffer) => {
        received += chunk.toString('latin1');
        if (until?.test(received)) finish();
      });
      socket.on('close', finish).on('error', finish);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Waits until `condition` holds. @throws after 10 s, naming what was awaited. */
export async function eventually(what: string, condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
