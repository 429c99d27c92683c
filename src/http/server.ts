/**
 * What `node:http` itself has to be told: time limits, and how to refuse what never becomes a
 * request. The node opens the server; this file only says how.
 */
import {
  STATUS_CODES,
  type IncomingMessage,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '../base/errors.ts';
import { PROBLEM_TYPE, RETRY_AFTER_S, type Problem } from './problem.ts';
import { JSON_TYPE } from './reply.ts';

/** Slow and oversized requests end here; far above what any client of the API needs. */
export const SERVER_OPTIONS = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 16 * 1024,
} as const satisfies ServerOptions;

/**
 * For `server.on('request', …)` until the app is there: the port is open while a peer still waits
 * to join. Without it, requests of that time would never be answered.
 */
export function answerWhileStarting(request: IncomingMessage, response: ServerResponse): void {
  const pathname = request.url?.split('?', 1)[0];
  const isAlive = pathname === '/healthz' || pathname === '/livez';
  const detail = 'this peer is starting: it is not a member of a cluster yet';
  const problem: Problem = {
    type: 'about:blank',
    title: STATUS_CODES[503] ?? '',
    status: 503,
    detail,
    code: 'no_leader',
    requestId: randomUUID(),
  };
  const body =
    pathname === '/readyz'
      ? { status: 'not ready', check: 'loads', reasons: [detail] }
      : isAlive
        ? { status: 'ok' }
        : problem;
  const text = JSON.stringify(body);
  response.writeHead(isAlive ? 200 : 503, {
    'Content-Type': body === problem ? PROBLEM_TYPE : JSON_TYPE,
    'Content-Length': Buffer.byteLength(text),
    ...(isAlive ? {} : { 'Retry-After': RETRY_AFTER_S }),
  });
  response.end(request.method === 'HEAD' ? undefined : text);
  request.resume();
}

/**
 * For requests over connections that are too many. Whether the process lives is still told: it does.
 */
export function answerTooMany(
  request: IncomingMessage,
  response: ServerResponse,
  detail: string,
): void {
  response.shouldKeepAlive = false;
  const pathname = request.url?.split('?', 1)[0];
  const isAlive = pathname === '/healthz' || pathname === '/livez';
  const text = JSON.stringify(isAlive ? { status: 'ok' } : tooManyProblem(detail));
  response.writeHead(isAlive ? 200 : 503, {
    'Content-Type': isAlive ? JSON_TYPE : PROBLEM_TYPE,
    'Content-Length': Buffer.byteLength(text),
    ...(isAlive ? {} : { 'Retry-After': RETRY_AFTER_S }),
  });
  response.end(request.method === 'HEAD' ? undefined : text);
  request.resume();
}

/** The same as it is written to a connection whose request nobody waits for. */
export function tooManyText(detail: string): string {
  const problem = tooManyProblem(detail);
  const headers = { 'Retry-After': String(RETRY_AFTER_S) };
  return textOf(problem, headers);
}

function tooManyProblem(detail: string): Problem {
  return {
    type: 'about:blank',
    title: STATUS_CODES[503] ?? '',
    status: 503,
    detail,
    code: 'overloaded',
    requestId: randomUUID(),
  };
}

/** A whole answer, after which the connection ends. */
function textOf(problem: Problem, headers: Readonly<Record<string, string>> = {}): string {
  const body = JSON.stringify(problem);
  const lines = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    'Connection: close',
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** For `server.on('clientError', …)`: a problem document instead of Node's empty 400. */
export function answerClientError(error: Error & { code?: string }, socket: Duplex): void {
  // Why: in the middle of another answer the document would pass for its body.
  const current = (socket as Duplex & { _httpMessage?: { headersSent: boolean } | null })
    ._httpMessage;
  if (error.code === 'ECONNRESET' || !socket.writable || current?.headersSent) {
    socket.destroy();
    return;
  }
  const { status, code, detail } = refusalOf(error.code);
  const problem: Problem = {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Bad Request',
    status,
    detail,
    code,
    requestId: randomUUID(),
  };
  socket.end(textOf(problem));
}

function refusalOf(code: string | undefined): { status: number; code: ErrorCode; detail: string } {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, code: 'payload_too_large', detail: 'request headers are too large' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, code: 'deadline_exceeded', detail: 'request did not arrive in time' };
    case 'HPE_INVALID_URL':
      return {
        status: 400,
        code: 'invalid_argument',
        detail: 'request target holds characters that must be percent-encoded',
      };
    default:
      return { status: 400, code: 'invalid_argument', detail: 'request is not valid HTTP/1.1' };
  }
}
