/** What every route sees: the services, the edge's own dependencies, and Koa's context, typed. */
import type Router from '@koa/router';
import type { ParameterizedContext } from 'koa';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Query } from './query.ts';
import type { HttpServices } from './services.ts';

export interface HttpState {
  /** Echoed or created; safe in headers and logs. */
  requestId: string;
  /** Path of the request target, still percent-encoded. */
  path: string;
  query: Query;
  /** Errors carry the `message` that Alluxio's clients look for, whatever the path. */
  tellsMessage: boolean;
}

export type HttpContext = ParameterizedContext<HttpState>;
export type HttpRouter = Router<HttpState>;

export interface HttpDeps {
  readonly services: HttpServices;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Ringload's version, as `/version` tells it. */
  readonly version: string;
  /** Told of each answer, for metrics. */
  readonly onExchange: (exchange: HttpExchange) => void;
}

export interface HttpExchange {
  /** The route's pattern; what no route answers is `other`. */
  readonly route: string;
  readonly method: string;
  readonly status: number;
  readonly seconds: number;
}
