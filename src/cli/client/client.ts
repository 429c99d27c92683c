/**
 * The client of a cluster: typed calls on the REST API of whichever peer answers
 * (`peer-caller.ts`). Every call is safe to send twice: where the answer to a repetition differs (a
 * job already stopped), what was meant is found out.
 */
import { type ErrorCode, RingloadError, toRingloadError } from '../../base/errors.ts';
import type { JobId, PeerId } from '../../base/ids.ts';
import type { ClusterView, FilePlacement, FileStat } from '../../http/services.ts';
import { isActive, type JobStatus } from '../../job/job-status.ts';
import type { CheckedFile, CheckReport, FreeReport, FreeStatus } from '../../residence/report.ts';
import type { VerifyProgress, VerifyReport } from '../../verify/report.ts';
import {
  clusterView,
  type FilePage,
  filePage,
  fileStat,
  jobList,
  jobStatus,
  placement,
  retryAnswer,
  stopAnswer,
  type SubmitAnswer,
  submitAnswer,
  verifyLine,
} from './answers.ts';
import {
  checkLine,
  freeLine,
  freeStatus,
  type RuleAnswer,
  ruleAnswer,
  ruleList,
  type RuleRequest,
} from './cache-answers.ts';
import { boolean, type Check, shape, text } from './decode.ts';
import { discard, linesOf, type PeerReply, type PeerRequest } from './exchange.ts';
import {
  type Answered,
  type ClientOptions,
  type CallOptions,
  PeerCaller,
  wasRepeated,
} from './peer-caller.ts';
import { addressOf } from './peer-list.ts';

/** As the API names a job by what it loads. */
export type LoadSource =
  { readonly path: string } | { readonly paths: readonly string[] } | { readonly index: string };

/** Body of `POST /v1/jobs`. */
export interface SubmitRequest {
  /** One of `path`, `paths` and `index`. */
  readonly path?: string;
  readonly paths?: readonly string[];
  readonly index?: string;
  readonly alias?: string;
  readonly replicas?: number;
  readonly segmentSize?: number;
  readonly segmented?: boolean;
  readonly skipIfExists?: boolean;
  readonly reload?: boolean;
  readonly metadataOnly?: boolean;
  readonly verify?: boolean;
  readonly partialListing?: boolean;
  readonly fileFilterRegex?: string;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly minSize?: number;
  readonly maxSize?: number;
  readonly modifiedAfter?: number | string;
  readonly modifiedBefore?: number | string;
  readonly priority?: string;
  readonly bandwidth?: number;
  readonly batchSize?: number;
}

export interface JobListFilter {
  readonly state?: string;
  /** At most one of these. */
  readonly path?: string;
  readonly index?: string;
  readonly alias?: string;
}

export class RingloadClient implements AsyncDisposable {
  readonly #caller: PeerCaller;

  constructor(options: ClientOptions) {
    this.#caller = new PeerCaller(options);
  }

  async submit(request: SubmitRequest): Promise<SubmitAnswer> {
    return (await this.#post('/v1/jobs', submitAnswer, request)).value;
  }

  async job(id: string, options?: CallOptions): Promise<JobStatus> {
    return this.#get(`/v1/jobs/${encodeURIComponent(id)}`, jobStatus, options);
  }

  /** The newest job of a path, of several, or of an index file. @throws not_found */
  async jobOf(source: LoadSource): Promise<JobStatus> {
    return (await this.#post('/v1/jobs/lookup', jobStatus, source)).value;
  }

  /** Newest first. */
  async jobs(filter: JobListFilter = {}): Promise<readonly JobStatus[]> {
    const { state, path, index, alias } = filter;
    const target = `/v1/jobs${queryOf({ state, path, index, alias })}`;
    return (await this.#get(target, jobList)).jobs;
  }

  /** False: nothing was running. */
  async stop(id: string): Promise<boolean> {
    const target = `/v1/jobs/${encodeURIComponent(id)}/stop`;
    const { value, repeated } = await this.#post(target, stopAnswer);
    if (value.stopped || !repeated) return value.stopped;
    return (await this.job(id)).state === 'STOPPED';
  }

  async retry(id: string): Promise<JobId> {
    const target = `/v1/jobs/${encodeURIComponent(id)}/retry`;
    try {
      return (await this.#post(target, retryAnswer)).value.jobId;
    } catch (error) {
      const running = await this.#runningAfterRepeatedRetry(id, error);
      if (running === undefined) throw error;
      return running;
    }
  }

  /** Resolves with the report; tells how far it is meanwhile. */
  async verify(
    id: string,
    options: { readonly repair: boolean; readonly onProgress: (progress: VerifyProgress) => void },
  ): Promise<VerifyReport> {
    const query = options.repair ? queryOf({ repair: 'true' }) : '';
    const target = `/v1/jobs/${encodeURIComponent(id)}/verify${query}`;
    const request: PeerRequest = { method: 'POST', target, body: {} };
    const { body, origin } = await this.#caller.openBody(request);
    try {
      for await (const line of linesOf(body)) {
        const { progress, report, error } = verifyLine(JSON.parse(line), '');
        if (error) throw new RingloadError(error.code, error.detail);
        if (progress) options.onProgress(progress);
        if (report) return report;
      }
    } catch (thrown) {
      throw this.brokenBody(origin, thrown);
    } finally {
      discard(body);
    }
    const message = `${addressOf(origin)} ended the verification without a report`;
    throw new RingloadError('peer_unreachable', message);
  }

  async cluster(options?: CallOptions): Promise<ClusterView> {
    const view = await this.#get('/v1/cluster', clusterView, options);
    this.#caller.learnFrom(view);
    return view;
  }

  async transferLeadership(to: PeerId): Promise<void> {
    await this.#caller.call(
      { method: 'POST', target: '/v1/cluster/transfer', body: { to } },
      anyAnswer,
    );
  }

  async removeMember(id: PeerId, options: { readonly force: boolean }): Promise<void> {
    const query = queryOf({ force: options.force ? 'true' : undefined });
    const target = `/v1/cluster/members/${encodeURIComponent(id)}${query}`;
    try {
      await this.#caller.call({ method: 'DELETE', target }, anyAnswer);
    } catch (error) {
      if (!(wasRepeated(error) && toRingloadError(error).code === 'not_found')) throw error;
    }
  }

  /** Resolves with the report. */
  async freePath(path: string, options: { readonly evenPinned: boolean }): Promise<FreeReport> {
    const body = { path, evenPinned: options.evenPinned };
    const request: PeerRequest = { method: 'POST', target: '/v1/cache/free', body };
    return this.#report(request, (line) => freeLine(line, ''));
  }

  async submitFree(path: string): Promise<FreeAnswer> {
    return (await this.#post('/api/v1/master/submit_job/free', freeAnswer, { path })).value;
  }

  async stopFree(path: string): Promise<FreeAnswer> {
    return (await this.#post('/api/v1/master/stop_job/free', freeAnswer, { path })).value;
  }

  async freeStatus(path: string): Promise<FreeStatus> {
    return this.#get(`/api/v1/master/progress_job/free${queryOf({ path })}`, freeStatus);
  }

  /** Resolves with the report, after each file was told. */
  async checkPath(
    path: string,
    options: {
      readonly asksStore: boolean;
      readonly onFile: (file: CheckedFile) => Promise<void>;
    },
  ): Promise<CheckReport> {
    const query = queryOf({ path, store: options.asksStore ? undefined : 'false' });
    const request: PeerRequest = { method: 'GET', target: `/v1/cache/check${query}` };
    let last: string | undefined;
    return this.#report(request, async (line) => {
      const told = checkLine(line, '');
      // Why: a line is repeated while nothing new comes; files come in order, each once.
      if (told.file && told.file.path !== last) await options.onFile(told.file);
      last = told.file?.path ?? last;
      return told;
    });
  }

  async rules(path?: string): Promise<readonly RuleAnswer[]> {
    return (await this.#get(`/v1/cache/rules${queryOf({ path })}`, ruleList)).rules;
  }

  async setRule(request: RuleRequest): Promise<RuleAnswer | null> {
    return (await this.#post('/v1/cache/rules', ruleAnswer, request)).value.rule;
  }

  async stat(path: string): Promise<FileStat> {
    return this.#get(`/v1/files${queryOf({ path })}`, fileStat);
  }

  async placement(path: string): Promise<FilePlacement> {
    return this.#get(`/v1/files/placement${queryOf({ path })}`, placement);
  }

  async listFiles(request: { root: string; after?: string; limit: number }): Promise<FilePage> {
    const { root, after, limit } = request;
    return this.#get(`/v1/files/list${queryOf({ root, after, limit: String(limit) })}`, filePage);
  }

  /** Opens the bytes of a file at the best peer; reading on after a failure is the caller's. */
  async openContent(
    path: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<PeerReply & { readonly origin: string }> {
    const request: PeerRequest = {
      method: 'GET',
      target: `/v1/files/content${queryOf({ path })}`,
      headers: { accept: 'application/octet-stream', ...headers },
    };
    return this.#caller.openBody(request);
  }

  /** A body broke off in the middle: the next call asks another peer first. */
  brokenBody(origin: string, thrown: unknown): RingloadError {
    return this.#caller.broken(origin, thrown);
  }

  /** Learns the members, for the day that the peer asked so far is gone. Never throws. */
  async learnPeers(options: CallOptions): Promise<void> {
    try {
      await this.cluster(options);
    } catch {
      // Why: knowing more peers is a help, not a need; the calls that matter report failures.
    }
  }

  async close(): Promise<void> {
    await this.#caller.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Reads lines until one has a report. */
  async #report<Report>(
    request: PeerRequest,
    read: (line: unknown) => LineOf<Report> | Promise<LineOf<Report>>,
  ): Promise<Report> {
    const { body, origin } = await this.#caller.openBody(request);
    try {
      for await (const line of linesOf(body)) {
        const { report, error } = await read(JSON.parse(line));
        if (error) throw new RingloadError(error.code, error.detail);
        if (report) return report;
      }
    } catch (thrown) {
      throw this.brokenBody(origin, thrown);
    } finally {
      discard(body);
    }
    const message = `${addressOf(origin)} ended its answer without a report`;
    throw new RingloadError('peer_unreachable', message);
  }

  async #get<T>(target: string, check: Check<T>, options?: CallOptions): Promise<T> {
    return (await this.#caller.call({ method: 'GET', target }, check, options)).value;
  }

  async #post<T>(target: string, check: Check<T>, body?: unknown): Promise<Answered<T>> {
    return this.#caller.call({ method: 'POST', target, body: body ?? {} }, check);
  }

  async #runningAfterRepeatedRetry(id: string, thrown: unknown): Promise<JobId | undefined> {
    if (!wasRepeated(thrown) || toRingloadError(thrown).code !== 'conflict') return undefined;
    const { spec } = await this.job(id);
    const { path, paths, index } = spec;
    const newest = await this.jobOf(index ? { index: path } : paths ? { paths } : { path });
    return isActive(newest.state) ? newest.id : undefined;
  }
}

interface LineOf<Report> {
  readonly report?: Report;
  readonly error?: { readonly code: ErrorCode; readonly detail: string };
}

export interface FreeAnswer {
  readonly success: boolean;
  readonly message: string;
}

const freeAnswer = shape<FreeAnswer>({ success: boolean, message: text });

const anyAnswer: Check<unknown> = (value) => value;

function queryOf(parameters: Readonly<Record<string, string | undefined>>): string {
  const parts = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
  );
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}
