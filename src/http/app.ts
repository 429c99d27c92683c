/**
 * The HTTP side of a peer as a Koa app: every dialect over the same services, no `listen()`.
 *
 * Order: the error handler sees everything, the request is checked before it is routed, and what
 * no route answers becomes 404 or 405 with Allow.
 */
import Router from '@koa/router';
import { METHODS } from 'node:http';
import Koa from 'koa';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { HttpDeps, HttpExchange, HttpState } from './context.ts';
import { mountLoad, type PortRole } from './load-routes.ts';
import { mountMaster } from './master/jobs.ts';
import { answerErrors, checkRequest, refuseUnrouted } from './middleware.ts';
import { mountCache } from './own/cache.ts';
import { mountCluster } from './own/cluster.ts';
import { mountFiles } from './own/files.ts';
import { mountHealth } from './own/health.ts';
import { mountJobs } from './own/jobs.ts';
import { mountOpenApi } from './own/openapi.ts';
import { mountLoadResource } from './resource/load.ts';
import type { HttpServices } from './services.ts';
import { systemClock } from './system-clock.ts';
import { mountWorkerDoors } from './worker/doors.ts';
import { mountWorkerHealth } from './worker/health.ts';
import type { WorkerServices } from './worker/services.ts';

export interface HttpAppOptions {
  readonly logger: Logger;
  /** Default: the real clock. */
  readonly clock?: Clock;
  /** Default `rest`; `worker` answers every `/v1/load` in the worker dialect. */
  readonly port?: PortRole;
  /** On the `worker` port: what is served there besides. */
  readonly worker?: WorkerServices;
  /** What `/version` tells. */
  readonly version?: string;
  readonly onExchange?: (exchange: HttpExchange) => void;
}

/** Mount with `http.createServer(SERVER_OPTIONS, createHttpApp(…).callback())`. */
export function createHttpApp(services: HttpServices, options: HttpAppOptions): Koa<HttpState> {
  const deps: HttpDeps = {
    services,
    logger: options.logger,
    clock: options.clock ?? systemClock,
    version: options.version ?? 'unknown',
    onExchange: options.onExchange ?? (() => undefined),
  };
  const port = options.port ?? 'rest';
  const router = createRouter(deps, options);
  const app = new Koa<HttpState>();
  app.on('error', (error: Error & { code?: string }) => {
    // Why: a client that leaves early is no fault of ours.
    const isGone = ['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(error.code ?? '');
    const level = isGone ? 'debug' : 'error';
    deps.logger[level]('answered outside of every route', { error: error.message });
  });
  app.use(answerErrors(deps, port));
  app.use(checkRequest(deps, port));
  app.use(router.routes());
  app.use(refuseUnrouted((path) => allowedMethods(router, path)));
  return app;
}

/** Every route as `METHOD /path`, for tests and the API document. */
export function routesOf(services: HttpServices, options: HttpAppOptions): readonly string[] {
  const clock = options.clock ?? systemClock;
  const onExchange = (): void => undefined;
  const deps = { services, logger: options.logger, clock, version: '', onExchange };
  return createRouter(deps, options).stack.flatMap((layer) =>
    layer.methods.map((method) => `${method} ${String(layer.path)}`),
  );
}

function createRouter(deps: HttpDeps, options: HttpAppOptions): Router<HttpState> {
  const { port = 'rest', worker } = options;
  const router = new Router<HttpState>({ methods: [...METHODS], sensitive: true });
  mountWorkerHealth(router, port);
  mountLoad(router, deps, port);
  mountMaster(router, deps);
  mountLoadResource(router, deps);
  if (worker) {
    // Paths of the own API mean something else here.
    mountWorkerDoors(router, deps, worker);
    mountHealth(router, deps);
    return router;
  }
  mountJobs(router, deps);
  mountCluster(router, deps);
  mountCache(router, deps);
  mountFiles(router, deps);
  mountHealth(router, deps);
  mountOpenApi(router, deps);
  return router;
}

function allowedMethods(router: Router<HttpState>, path: string): readonly string[] {
  const methods = router.match(path, 'OPTIONS').path.flatMap((layer) => layer.methods);
  return [...new Set(methods)].sort();
}
