/**
 * The client of a cluster: typed calls on the REST API of whichever peer answers.
 *
 * A call that meets a dead peer, or one without a leader, goes to the next peer, round after
 * round, until it is answered or its time is used up. Every call is safe to send twice: where the
 * answer to a repetition differs (a job already stopped), the caller is told that it was repeated.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { RingloadError, toRingloadError } from '../../base/errors.ts';
import type { JobId, PeerId } from '../../base/ids.ts';
import type { ClusterView, FilePlacement, FileStat } from '../../http/services.ts';
import { isActive, type JobStatus } from '../../job/job-status.ts';
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
import { type Check, MalformedAnswer } from './decode.ts';
import {
  discard,
  Exchanger,
  linesOf,
  type PeerReply,
  type PeerRequest,
  transportError,
} from './exchange.ts';
import {
  describeFailure,
  mayHaveArrived,
  pauseMs,
  roundsMax,
  summaryOf,
  tellingFailure,
} from './fail-over.ts';
import { addressOf, PeerList } from './peer-list.ts';

/** One attempt at one peer: long enough for a commit behind an election, short enough to go on. */
const ATTEMPT_MAX_MS = 10_000;
const ATTEMPT_MIN_MS = 500;
const BODY_TIMEOUT_MS = 30_000;

export interface ClientOptions {
  /** Origins of the peers to ask, at least one. */
  readonly peers: readonly string[];
  readonly token?: string;
  /** How long one call may take, over all peers and rounds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Hears of peers that do not answer. */
  readonly onNotice?: (text: string) => void;
}

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Body of `POST /v1/jobs`. */
export interface SubmitRequest {
  readonly path: string;
  readonly replicas?: number;
  readonly segmentSize?: number;
  readonly segmented?: boolean;
  readonly skipIfExists?: boolean;
  readonly reload?: boolean;
  readonly metadataOnly?: boolean;
  readonly verify?: boolean;
  readonly partialListing?: boolean;
  readonly fileFilterRegex?: string;
  readonly bandwidth?: number;
  readonly batchSize?: number;
}

interface Answered<T> {
  readonly value: T;
  /** An earlier attempt may have been carried out although its answer never came. */
  readonly repeated: boolean;
}

export class RingloadClient implements AsyncDisposable {
  readonly #options: ClientOptions;
  readonly #peers: PeerList;
  readonly #exchanger: Exchanger;
  readonly #noticed = new Set<string>();

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#peers = new PeerList(options.peers);
    this.#exchanger = new Exchanger(options.token);
  }

  async submit(request: SubmitRequest): Promise<SubmitAnswer> {
    return (await this.#post('/v1/jobs', submitAnswer, request)).value;
  }

  async job(id: string, options?: CallOptions): Promise<JobStatus> {
    return this.#get(`/v1/jobs/${encodeURIComponent(id)}`, jobStatus, options);
  }

  /** Newest first. */
  async jobs(filter: { state?: string; path?: string } = {}): Promise<readonly JobStatus[]> {
    const target = `/v1/jobs${queryOf({ state: filter.state, path: filter.path })}`;
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
    const { body, origin } = await this.#openBody(request);
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
    this.#learnFrom(view);
    return view;
  }

  async transferLeadership(to: PeerId): Promise<void> {
    await this.#call({ method: 'POST', target: '/v1/cluster/transfer', body: { to } }, anyAnswer);
  }

  async removeMember(id: PeerId, options: { readonly force: boolean }): Promise<void> {
    const query = queryOf({ force: options.force ? 'true' : undefined });
    const target = `/v1/cluster/members/${encodeURIComponent(id)}${query}`;
    try {
      await this.#call({ method: 'DELETE', target }, anyAnswer);
    } catch (error) {
      if (!(wasRepeated(error) && toRingloadError(error).code === 'not_found')) throw error;
    }
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
    return this.#openBody(request);
  }

  /** A body broke off in the middle: the next call asks another peer first. */
  brokenBody(origin: string, thrown: unknown): RingloadError {
    this.#peers.demote(origin);
    return transportError(origin, thrown, this.#options.signal);
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
    await this.#exchanger.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The answer of the best peer, its body still to be read. */
  async #openBody(request: PeerRequest): Promise<PeerReply & { readonly origin: string }> {
    const { value } = await this.#failOver(
      this.#callOptions(),
      async (origin, headersTimeoutMs) => {
        const reply = await this.#exchanger.send(origin, request, {
          headersTimeoutMs,
          bodyTimeoutMs: BODY_TIMEOUT_MS,
          ...signalOf(this.#options.signal),
        });
        return { ...reply, origin };
      },
    );
    return value;
  }

  async #get<T>(target: string, check: Check<T>, options?: CallOptions): Promise<T> {
    return (await this.#call({ method: 'GET', target }, check, options)).value;
  }

  async #post<T>(target: string, check: Check<T>, body?: unknown): Promise<Answered<T>> {
    return this.#call({ method: 'POST', target, body: body ?? {} }, check);
  }

  async #call<T>(
    request: PeerRequest,
    check: Check<T>,
    options?: CallOptions,
  ): Promise<Answered<T>> {
    const callOptions = this.#callOptions(options);
    return this.#failOver(callOptions, async (origin, timeoutMs) => {
      const answer = await this.#withDeadline(timeoutMs, callOptions.signal, (signal) =>
        this.#exchanger.sendForJson(origin, request, {
          headersTimeoutMs: timeoutMs,
          bodyTimeoutMs: timeoutMs,
          signal,
        }),
      );
      try {
        return check(answer, '');
      } catch (error) {
        if (!(error instanceof MalformedAnswer)) throw error;
        throw new RingloadError(
          'peer_refused',
          `${addressOf(origin)} answered ${request.method} ${request.target} in an unknown form (${error.message}): is it a Ringload peer of this version?`,
          { cause: error },
        );
      }
    });
  }

  async #failOver<T>(
    options: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
    attempt: (origin: string, timeoutMs: number) => Promise<T>,
  ): Promise<Answered<T>> {
    const deadlineMs = performance.now() + options.timeoutMs;
    const failures = new Map<string, RingloadError>();
    let repeated = false;
    for (let round = 1; ; round++) {
      for (const origin of this.#peers.order()) {
        const remainingMs = deadlineMs - performance.now();
        if (remainingMs <= 0) break;
        try {
          const value = await attempt(origin, this.#attemptMs(remainingMs));
          this.#peers.prefer(origin);
          return { value, repeated };
        } catch (thrown) {
          const error = toRingloadError(thrown);
          if (!error.retryable) throw repeated ? markRepeated(error) : error;
          repeated ||= mayHaveArrived(error);
          this.#peers.demote(origin);
          failures.set(origin, error);
          this.#notice(origin, error);
        }
      }
      const waitMs = pauseMs(round, failures);
      if (round >= roundsMax(failures) || performance.now() + waitMs >= deadlineMs) {
        throw summaryOf(failures, options.timeoutMs);
      }
      const isAnswered = tellingFailure(failures)?.details['httpStatus'] !== undefined;
      if (round === 1 && isAnswered) await this.#learnFromAny();
      await sleepUnlessAborted(waitMs, options.signal);
    }
  }

  /** A peer that is paused answers nothing and refuses nothing: it must not eat all the time. */
  #attemptMs(remainingMs: number): number {
    const share = this.#peers.order().length > 1 ? remainingMs / 2 : remainingMs;
    return Math.min(ATTEMPT_MAX_MS, remainingMs, Math.max(ATTEMPT_MIN_MS, share));
  }

  /** A peer that cannot serve the call still knows who the others are. */
  async #learnFromAny(): Promise<void> {
    for (const origin of this.#peers.order()) {
      try {
        const request: PeerRequest = { method: 'GET', target: '/v1/cluster' };
        const limits = { headersTimeoutMs: 2_000, bodyTimeoutMs: 2_000 };
        const view = await this.#exchanger.sendForJson(origin, request, {
          ...limits,
          ...signalOf(this.#options.signal),
        });
        this.#learnFrom(clusterView(view, ''));
        return;
      } catch {
        // Why: best effort; the round that follows reports what matters.
      }
    }
  }

  #learnFrom(view: ClusterView): void {
    const rank = { leader: 0, voter: 1, learner: 2 } as const;
    const members = view.members
      .filter((member) => member.state === 'up' || member.state === 'suspect')
      .sort((a, b) => rank[a.role] - rank[b.role]);
    this.#peers.learn(members.map((member) => member.address));
  }

  async #runningAfterRepeatedRetry(id: string, thrown: unknown): Promise<JobId | undefined> {
    if (!wasRepeated(thrown) || toRingloadError(thrown).code !== 'conflict') return undefined;
    const { spec } = await this.job(id);
    const [newest] = await this.jobs({ path: spec.path });
    return newest && isActive(newest.state) ? newest.id : undefined;
  }

  #callOptions(options: CallOptions = {}): {
    timeoutMs: number;
    signal: AbortSignal | undefined;
  } {
    return {
      timeoutMs: options.timeoutMs ?? this.#options.timeoutMs,
      signal: options.signal ?? this.#options.signal,
    };
  }

  /** The attempt as a whole, body included, ends after `timeoutMs`. */
  async #withDeadline<T>(
    timeoutMs: number,
    signal: AbortSignal | undefined,
    action: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const controller = new AbortController();
    const onAbort = (): void => {
      controller.abort(signal?.reason);
    };
    const timer = setTimeout(() => {
      controller.abort(new RingloadError('deadline_exceeded', 'no answer in time'));
    }, timeoutMs);
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await action(controller.signal);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Once per peer and kind of failure; a lone peer that refuses is reported by the error alone. */
  #notice(origin: string, error: RingloadError): void {
    const isLone = this.#peers.order().length === 1;
    if (isLone && error.details['httpStatus'] === undefined) return;
    const key = `${origin} ${error.code}`;
    if (this.#noticed.has(key)) return;
    this.#noticed.add(key);
    const text = describeFailure(origin, error);
    this.#options.onNotice?.(`${text}; ${isLone ? 'trying again' : 'asking another peer'}`);
  }
}

const anyAnswer: Check<unknown> = (value) => value;

function queryOf(parameters: Readonly<Record<string, string | undefined>>): string {
  const parts = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
  );
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

function signalOf(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

const repetitions = new WeakSet<RingloadError>();

function markRepeated(error: RingloadError): RingloadError {
  repetitions.add(error);
  return error;
}

function wasRepeated(thrown: unknown): boolean {
  return thrown instanceof RingloadError && repetitions.has(thrown);
}

async function sleepUnlessAborted(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(delayMs, undefined, signalOf(signal));
  } catch (error) {
    throw signal?.reason instanceof RingloadError ? signal.reason : error;
  }
}
