/** What every request passes: its id, the log line, the one error handler, the parsed target. */
import { randomUUID } from 'node:crypto';
import type { Middleware } from 'koa';
import { RingloadError } from '../base/errors.ts';
import type { HttpDeps, HttpState } from './context.ts';
import type { PortRole } from './load-routes.ts';
import { parseTarget, Query } from './query.ts';
import { replyProblem } from './reply.ts';

type HttpMiddleware = Middleware<HttpState>;

const REQUEST_ID = /^[A-Za-z0-9._:+/=-]{1,64}$/;

/** Outermost: nothing below may answer without an id, throw past it, or go unlogged. */
export function answerErrors(deps: HttpDeps, port: PortRole): HttpMiddleware {
  return async (ctx, next) => {
    const given = ctx.get('X-Request-Id');
    ctx.state.requestId = REQUEST_ID.test(given) ? given : randomUUID();
    ctx.state.path = ctx.req.url?.split('?', 1)[0] ?? '/';
    ctx.state.query = Query.EMPTY;
    ctx.state.tellsMessage = port === 'worker';
    ctx.set('X-Request-Id', ctx.state.requestId);
    ctx.set('X-Content-Type-Options', 'nosniff');
    const startedMs = deps.clock.nowMs();
    ctx.res.once('close', () => {
      deps.onExchange({
        route: routeOf(ctx),
        method: ctx.method,
        status: ctx.res.statusCode,
        seconds: (deps.clock.nowMs() - startedMs) / 1000,
      });
      deps.logger.debug('answered', {
        requestId: ctx.state.requestId,
        method: ctx.method,
        path: ctx.state.path.slice(0, 256),
        status: ctx.res.statusCode,
        durationMs: Math.round(deps.clock.nowMs() - startedMs),
      });
    });
    try {
      await next();
    } catch (thrown) {
      const problem = replyProblem(ctx, thrown);
      if (problem.status >= 500) logFault(deps, ctx.state.requestId, thrown);
    }
  };
}

/** The pattern that the router matched, which has no keys or paths in it. */
function routeOf(ctx: object): string {
  const { _matchedRoute: route } = ctx as { readonly _matchedRoute?: unknown };
  return typeof route === 'string' ? route : 'other';
}

/** Refuses what is malformed or oversized before any route sees it. */
export function checkRequest(deps: HttpDeps, port: PortRole): HttpMiddleware {
  return async (ctx, next) => {
    const { limits } = deps.services;
    const target = parseTarget(ctx.req.url ?? '/', limits.queryMaxBytes, {
      // The clients of that port put paths into queries as they are.
      isLenient: port === 'worker',
    });
    ctx.state.path = target.path;
    ctx.state.query = target.query;
    // Why: Koa and the router parse the URL again, and must see what was checked, neither an origin
    // nor a query. The untouched one stays in ctx.originalUrl.
    ctx.req.url = target.path;
    if (Number(ctx.get('Content-Length')) > limits.bodyMaxBytes && !ctx.req.complete) {
      ctx.set('Connection', 'close');
    }
    await next();
  };
}

/** Innermost: no route has answered. */
export function refuseUnrouted(
  allowedMethods: (path: string) => readonly string[],
): HttpMiddleware {
  return (ctx) => {
    const methods = allowedMethods(ctx.state.path);
    if (methods.length === 0) {
      throw new RingloadError('not_found', `nothing is served at ${ctx.state.path.slice(0, 200)}`);
    }
    ctx.set('Allow', methods.join(', '));
    if (ctx.method === 'OPTIONS') {
      ctx.status = 204;
      return;
    }
    throw new RingloadError(
      'method_not_allowed',
      `method ${ctx.method} is not allowed here: use ${methods.join(', ')}`,
    );
  };
}

function logFault(deps: HttpDeps, requestId: string, thrown: unknown): void {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const fields = { requestId, error: error.message };
  if (thrown instanceof RingloadError && thrown.code !== 'internal') {
    deps.logger.warn('could not answer', { ...fields, code: thrown.code });
  } else {
    deps.logger.error('failed on a fault of our own', { ...fields, stack: error.stack });
  }
}
