/** The REST API of one peer as tests call it: thin, typed by the contracts, every call bounded. */
import type {
  ClusterService,
  ClusterView,
  FileService,
  SubmitOutcome,
} from '../../src/http/services.ts';
import type { JobStatus } from '../../src/job/job-status.ts';

const CALL_DEADLINE_MS = 10_000;
/** Asked again and again, so a probe that hangs must not hold up the next. */
const READY_DEADLINE_MS = 1_000;

export interface SubmitRequest {
  readonly path: string;
  readonly replicas?: number;
  readonly segmentSize?: number | string;
  readonly [option: string]: unknown;
}

/** An answer other than 2xx, with what the peer said. */
export class PeerAnswerError extends Error {
  readonly status: number;
  readonly body: string;

  constructor(what: string, status: number, body: string) {
    super(`${what} answered ${status}: ${body.slice(0, 500)}`);
    this.status = status;
    this.body = body;
  }
}

export class PeerApi {
  /** `http://127.0.0.1:port` */
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  async ready(): Promise<boolean> {
    return (await this.#fetch('/readyz', {}, READY_DEADLINE_MS)).ok;
  }

  cluster(): Promise<ClusterView> {
    return this.json('GET', '/v1/cluster');
  }

  submit(request: SubmitRequest): Promise<{ jobId: string; outcome: SubmitOutcome }> {
    return this.json('POST', '/v1/jobs', request);
  }

  job(id: string): Promise<JobStatus> {
    return this.json('GET', `/v1/jobs/${encodeURIComponent(id)}`);
  }

  async newestJobOf(path: string): Promise<JobStatus | undefined> {
    const { jobs } = await this.json<{ jobs: readonly JobStatus[] }>(
      'GET',
      `/v1/jobs?path=${encodeURIComponent(path)}`,
    );
    return jobs[0];
  }

  async jobsOf(path: string): Promise<readonly JobStatus[]> {
    const query = `path=${encodeURIComponent(path)}`;
    return (await this.json<{ jobs: readonly JobStatus[] }>('GET', `/v1/jobs?${query}`)).jobs;
  }

  retry(id: string): Promise<{ jobId: string }> {
    return this.json('POST', `/v1/jobs/${encodeURIComponent(id)}/retry`, {});
  }

  /** Where each segment of a file is and should be. */
  placement(path: string): ReturnType<FileService['placement']> {
    return this.json('GET', `/v1/files/placement?path=${encodeURIComponent(path)}`);
  }

  self(): Promise<Pick<ReturnType<ClusterService['self']>, 'id'>> {
    return this.json('GET', '/v1/self');
  }

  stop(id: string): Promise<{ stopped: boolean }> {
    return this.json('POST', `/v1/jobs/${encodeURIComponent(id)}/stop`, {});
  }

  transferLeadership(to: string): Promise<unknown> {
    return this.json('POST', '/v1/cluster/transfer', { to });
  }

  removeMember(id: string, force = false): Promise<unknown> {
    return this.json('DELETE', `/v1/cluster/members/${id}${force ? '?force=true' : ''}`);
  }

  /** The whole file, or one range of it; a body that is cut short is an error. */
  async readFile(path: string, range?: { offset: number; length: number }): Promise<Buffer> {
    const headers: Record<string, string> = range
      ? { range: `bytes=${range.offset}-${range.offset + range.length - 1}` }
      : {};
    const target = `/v1/files/content?path=${encodeURIComponent(path)}`;
    const response = await this.#fetch(target, { headers }, 60_000);
    if (!response.ok) throw new PeerAnswerError(target, response.status, await response.text());
    const body = Buffer.from(await response.arrayBuffer());
    const announced = Number(response.headers.get('content-length') ?? Number.NaN);
    if (announced !== body.length) {
      throw new Error(`read ${path}: ${announced} bytes were announced, ${body.length} came`);
    }
    return body;
  }

  async metrics(): Promise<string> {
    return (await this.#fetch('/metrics')).text();
  }

  async json<T>(method: string, target: string, body?: unknown): Promise<T> {
    const response = await this.#fetch(target, {
      method,
      ...(body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new PeerAnswerError(`${method} ${target}`, response.status, text);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** A connection for each request: one that was kept may lead to a process that is gone. */
  async #fetch(
    target: string,
    init: Omit<RequestInit, 'headers'> & { headers?: Record<string, string> } = {},
    deadlineMs = CALL_DEADLINE_MS,
  ): Promise<Response> {
    try {
      return await fetch(`${this.url}${target}`, {
        redirect: 'manual',
        ...init,
        headers: { ...init.headers, connection: 'close' },
        signal: AbortSignal.timeout(deadlineMs),
      });
    } catch (error) {
      const { cause } = error as Error;
      if (!(cause instanceof Error)) throw error;
      const what = `${init.method ?? 'GET'} ${this.url}${target}`;
      throw new TypeError(`fetch failed: ${what}: ${cause.message}`, { cause });
    }
  }
}
