/** The ways to answer: always an exact Content-Length, never chunked. */
import { isTemporary, PROBLEM_TYPE, problemOf, RETRY_AFTER_S, type Problem } from './problem.ts';
import type { HttpContext } from './context.ts';

export const JSON_TYPE = 'application/json';

/** Sends `body` as it is. */
export function replyText(ctx: HttpContext, type: string, body: string): void {
  // Why set(): ctx.type would add a charset that the dialects do not have.
  ctx.set('Content-Type', type);
  ctx.body = body;
}

export function replyJson(ctx: HttpContext, value: unknown, status = 200): void {
  ctx.status = status;
  replyText(ctx, JSON_TYPE, JSON.stringify(value));
}

/**
 * Answers with the problem that `thrown` is.
 * @returns the problem, for the log.
 */
export function replyProblem(ctx: HttpContext, thrown: unknown): Problem {
  const problem = problemOf(thrown, ctx.state.requestId);
  ctx.status = problem.status;
  if (isTemporary(problem.status)) ctx.set('Retry-After', String(RETRY_AFTER_S));
  // Why: Alluxio's clients look for `message`; RFC 9457 lets a problem carry it.
  const body =
    ctx.state.tellsMessage || isDialectPath(ctx.state.path)
      ? { message: problem.detail, ...problem }
      : problem;
  replyText(ctx, PROBLEM_TYPE, JSON.stringify(body));
  return problem;
}

function isDialectPath(path: string): boolean {
  return path === '/v1/load' || path.startsWith('/v1/load/') || path.startsWith('/api/v1/');
}
