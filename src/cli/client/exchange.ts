/**
 * One HTTP exchange with one peer, every phase under a timeout, every failure a RingloadError.
 * Whether to try another peer is decided by the caller; nothing here retries.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { Agent, type Dispatcher } from 'undici';
import {
  type ErrorCode,
  type ErrorDetails,
  isErrorCode,
  RingloadError,
} from '../../base/errors.ts';
import { addressOf } from './peer-list.ts';

/** Well above any answer about a job (1,000 failed files); a bound against a peer gone mad. */
const ANSWER_MAX_BYTES = 64 * 1024 * 1024;
const PROBLEM_MAX_BYTES = 64 * 1024;
const CONNECT_TIMEOUT_MS = 3_000;
const KEEP_ALIVE_MS = 10_000;

export interface PeerRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'DELETE';
  /** Path and query, percent-encoded. */
  readonly target: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface PeerReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Must be read to its end or destroyed. */
  readonly body: Readable;
}

export interface ExchangeLimits {
  /** Until the headers are there. */
  readonly headersTimeoutMs: number;
  /** Between two pieces of the body. */
  readonly bodyTimeoutMs: number;
  readonly signal?: AbortSignal;
}

/** The connections of one command; closed with it, so that the process can end. */
export class Exchanger {
  readonly #agent = new Agent({
    connect: { timeout: CONNECT_TIMEOUT_MS },
    keepAliveTimeout: KEEP_ALIVE_MS,
    connections: 8,
    maxHeaderSize: 64 * 1024,
  });
  readonly #authorization: string | undefined;

  constructor(token: string | undefined) {
    this.#authorization = token === undefined ? undefined : `Bearer ${token}`;
  }

  /**
   * Sends a request and resolves with a successful answer (2xx).
   * @throws peer_unreachable, deadline_exceeded, cancelled, or the error that the peer reported.
   */
  async send(origin: string, request: PeerRequest, limits: ExchangeLimits): Promise<PeerReply> {
    const reply = await this.#request(origin, request, limits);
    if (reply.status >= 200 && reply.status < 300) return reply;
    throw await problemOf(origin, reply);
  }

  /** {@link send}, with the body parsed as JSON. */
  async sendForJson(
    origin: string,
    request: PeerRequest,
    limits: ExchangeLimits,
  ): Promise<unknown> {
    const reply = await this.send(origin, request, limits);
    const text = await readText(origin, reply.body, ANSWER_MAX_BYTES);
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw new RingloadError(
        'peer_refused',
        `${addressOf(origin)} did not answer ${request.method} ${request.target} with JSON: is that the REST port of a Ringload peer?`,
        { cause: error },
      );
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #request(origin: string, request: PeerRequest, limits: ExchangeLimits): Promise<PeerReply> {
    const headers: Record<string, string> = { accept: 'application/json', ...request.headers };
    if (this.#authorization !== undefined) headers['authorization'] = this.#authorization;
    if (request.body !== undefined) headers['content-type'] = 'application/json';
    const options: Dispatcher.RequestOptions = {
      origin,
      path: request.target,
      method: request.method,
      headers,
      headersTimeout: limits.headersTimeoutMs,
      bodyTimeout: limits.bodyTimeoutMs,
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      ...(limits.signal === undefined ? {} : { signal: limits.signal }),
    };
    try {
      const { statusCode, headers: replyHeaders, body } = await this.#agent.request(options);
      return { status: statusCode, headers: replyHeaders, body };
    } catch (error) {
      throw transportError(origin, error, limits.signal);
    }
  }
}

/** Drops the rest of a body, and with it the connection. */
export function discard(body: Readable): void {
  // Why a listener: undici reports our own abort as an error of the stream.
  body.on('error', () => undefined);
  body.destroy();
}

/** The lines of a body, each bounded as a whole answer is. */
export async function* linesOf(body: Readable): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of body.setEncoding('utf8') as AsyncIterable<string>) {
    rest += chunk;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      yield rest.slice(0, end);
      rest = rest.slice(end + 1);
    }
    if (rest.length > ANSWER_MAX_BYTES) {
      throw new RingloadError('payload_too_large', `a line exceeds ${ANSWER_MAX_BYTES} bytes`);
    }
  }
}

/** A failure of the connection as an error that says what happened in plain words. */
export function transportError(
  origin: string,
  thrown: unknown,
  signal?: AbortSignal,
): RingloadError {
  if (thrown instanceof RingloadError) return thrown;
  if (signal?.aborted) {
    return signal.reason instanceof RingloadError
      ? signal.reason
      : new RingloadError('cancelled', 'interrupted', { cause: thrown });
  }
  const code = systemCodeOf(thrown);
  const message = `${addressOf(origin)}: ${TRANSPORT_WORDS.get(code) ?? (code || messageOf(thrown))}`;
  const details: ErrorDetails = { systemCode: code };
  return TIMEOUT_CODES.has(code)
    ? new RingloadError('deadline_exceeded', message, { details, cause: thrown })
    : new RingloadError('peer_unreachable', message, { details, cause: thrown });
}

const TIMEOUT_CODES: ReadonlySet<string> = new Set([
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
]);

const TRANSPORT_WORDS: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'connection refused'],
  ['ECONNRESET', 'connection reset'],
  ['EPIPE', 'connection closed'],
  ['ENOTFOUND', 'unknown host name'],
  ['EAI_AGAIN', 'host name not resolved'],
  ['EHOSTUNREACH', 'host unreachable'],
  ['ENETUNREACH', 'network unreachable'],
  ['ETIMEDOUT', 'connection timed out'],
  ['UND_ERR_CONNECT_TIMEOUT', 'connection timed out'],
  ['UND_ERR_HEADERS_TIMEOUT', 'no answer in time'],
  ['UND_ERR_BODY_TIMEOUT', 'answer stalled'],
  ['UND_ERR_SOCKET', 'connection closed'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'answer cut short'],
]);

function systemCodeOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.errors.length > 0) {
    return systemCodeOf(thrown.errors[0]);
  }
  if (thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string') {
    return thrown.code;
  }
  return '';
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error && thrown.message !== '' ? thrown.message : 'connection failed';
}

/** What a peer says when it does not do as asked (RFC 9457), as the error it stands for. */
async function problemOf(origin: string, reply: PeerReply): Promise<RingloadError> {
  const problem = await readProblem(reply);
  const field = (name: string): string | undefined => {
    const value = problem.get(name);
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const told = field('code');
  const code = told !== undefined && isErrorCode(told) ? told : codeOfStatus(reply.status);
  const requestId = field('requestId');
  const retryAfterSeconds = Number(reply.headers['retry-after'] ?? Number.NaN);
  const message =
    field('detail') ?? field('title') ?? `${addressOf(origin)} answered HTTP ${reply.status}`;
  return new RingloadError(code, message, {
    details: {
      httpStatus: reply.status,
      ...(requestId === undefined ? {} : { requestId }),
      ...(retryAfterSeconds > 0 ? { retryAfterMs: retryAfterSeconds * 1000 } : {}),
    },
  });
}

async function readProblem(reply: PeerReply): Promise<ReadonlyMap<string, unknown>> {
  try {
    const value = JSON.parse(await readText('', reply.body, PROBLEM_MAX_BYTES)) as unknown;
    return new Map(typeof value === 'object' && value !== null ? Object.entries(value) : []);
  } catch {
    // Why: the status alone tells enough; a proxy's HTML page is of no use to anybody.
    return new Map();
  }
}

function codeOfStatus(status: number): ErrorCode {
  const codes: Readonly<Record<number, ErrorCode>> = {
    400: 'invalid_argument',
    401: 'unauthenticated',
    403: 'forbidden',
    404: 'not_found',
    405: 'method_not_allowed',
    409: 'conflict',
    413: 'payload_too_large',
    414: 'payload_too_large',
    416: 'range_not_satisfiable',
    429: 'overloaded',
    502: 'peer_unreachable',
    503: 'no_leader',
    504: 'deadline_exceeded',
  };
  if (status >= 300 && status < 400) return 'peer_refused';
  return codes[status] ?? (status < 500 ? 'invalid_argument' : 'internal');
}

async function readText(origin: string, body: Readable, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        throw new RingloadError('payload_too_large', `an answer exceeds ${maxBytes} bytes`);
      }
      chunks.push(chunk);
    }
  } catch (error) {
    throw transportError(origin, error);
  }
  return Buffer.concat(chunks).toString('utf8');
}
