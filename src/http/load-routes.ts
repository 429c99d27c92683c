/** Which dialect answers a request to `/v1/load`: by port, by parameter, by verb. */
import { RingloadError } from '../base/errors.ts';
import { readOptionalJsonObject } from './body.ts';
import type { HttpContext, HttpDeps, HttpRouter } from './context.ts';
import { operationOf, type LoadOperation } from './load-request.ts';
import { quoted } from '../job/canonical-path.ts';
import { RefusedRequest } from './problem.ts';
import { serveReferenceLoad } from './reference/load.ts';
import { serveWorkerLoad } from './worker/load.ts';

/** What the listening port speaks: `worker` on the port for the Python clients. */
export type PortRole = 'rest' | 'worker';

export function mountLoad(router: HttpRouter, deps: HttpDeps, port: PortRole): void {
  const serve = async (ctx: HttpContext): Promise<void> => {
    const operation = operationOf(ctx.state.query);
    if (ctx.method === 'HEAD' && operation !== 'progress') {
      ctx.set('Allow', 'GET, POST');
      throw new RefusedRequest(405, 'method_not_allowed', `HEAD does not ${operation} a load`);
    }
    const dialect = dialectOf(ctx, port, operation);
    const body = await readOptionalJsonObject(ctx, deps);
    const answer = dialect === 'worker' ? serveWorkerLoad : serveReferenceLoad;
    await answer(ctx, deps, { operation, body });
  };
  router.get('/v1/load', serve);
  router.post('/v1/load', serve);
}

function dialectOf(
  ctx: HttpContext,
  port: PortRole,
  operation: LoadOperation,
): 'reference' | 'worker' {
  const asked = ctx.state.query.get('dialect')?.toLowerCase();
  if (port === 'worker' || asked === 'worker') return 'worker';
  if (asked === 'reference') return 'reference';
  if (asked !== undefined) {
    throw new RingloadError(
      'invalid_argument',
      `parameter dialect ${quoted(asked)} is unknown: use worker or reference`,
    );
  }
  return ctx.method === 'GET' && operation !== 'progress' ? 'worker' : 'reference';
}
