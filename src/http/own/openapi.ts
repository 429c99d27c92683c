/**
 * `/openapi.json`: OpenAPI 3.1 of Ringload's own API. The dialects are described by those who
 * defined them. A test compares the paths with the router's.
 */
import type { HttpDeps, HttpRouter } from '../context.ts';
import { PROBLEM_TYPE } from '../problem.ts';
import { JSON_TYPE, replyText } from '../reply.ts';
import { LINES_TYPE } from '../stream-lines.ts';
import { ref, SCHEMAS } from './openapi-schemas.ts';

type Json = Readonly<Record<string, unknown>>;

interface Operation {
  readonly summary: string;
  readonly parameters?: readonly Json[];
  /** Name of the body's schema. */
  readonly takes?: string;
  /** Answers by status; all others are problems. */
  readonly gives: Readonly<Record<string, Json>>;
}

const idParameter = parameter('path', 'id', 'a UUID');
const pathParameter = parameter('query', 'path', 'a URI such as s3://bucket/key, encoded once');
const content: Json = {
  description: 'the bytes; the connection is cut when they cannot be delivered whole',
  content: { 'application/octet-stream': {} },
};

const OPERATIONS: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  '/v1/jobs': {
    post: {
      summary: 'Load paths, or what an index file lists. Idempotent while a job of it is active',
      takes: 'JobRequest',
      gives: { 202: json('JobAccepted', 'committed; Location names the job') },
    },
    get: {
      summary: 'List jobs',
      parameters: [
        parameter('query', 'state', 'states, separated by commas', false),
        parameter('query', 'path', 'jobs of this path only', false),
        parameter('query', 'index', 'jobs of this index file only', false),
        parameter('query', 'alias', 'jobs of this name only', false),
      ],
      gives: { 200: json('JobList', 'jobs') },
    },
  },
  '/v1/jobs/lookup': {
    post: {
      summary: 'Tell how the newest job of a path, of several, or of an index file is doing',
      takes: 'JobName',
      gives: { 200: json('JobStatus', 'the job') },
    },
  },
  '/v1/jobs/{id}': {
    get: {
      summary: 'Tell how a job is doing',
      parameters: [idParameter],
      gives: { 200: json('JobStatus', 'the job') },
    },
  },
  '/v1/jobs/{id}/stop': {
    post: {
      summary: 'Stop a job; submitting its path again resumes it',
      parameters: [idParameter],
      gives: { 200: json('Stopped', 'whether something was stopped') },
    },
  },
  '/v1/jobs/{id}/retry': {
    post: {
      summary: 'Load again what failed',
      parameters: [idParameter],
      gives: { 202: json('JobAccepted', 'committed; Location names the job') },
    },
  },
  '/v1/jobs/{id}/verify': {
    post: {
      summary: 'Read and check on every disk what the job was certified to have loaded',
      parameters: [
        idParameter,
        parameter('query', 'repair', 'true brings back what is missing or damaged', false),
      ],
      gives: {
        200: {
          description: 'one VerifyEvent a line: progress, and the report at the end',
          content: { [LINES_TYPE]: { schema: ref('VerifyEvent') } },
        },
      },
    },
  },
  '/v1/cluster': {
    get: { summary: 'Show members, leader and ring', gives: { 200: json('Cluster', 'cluster') } },
  },
  '/v1/cluster/transfer': {
    post: {
      summary: 'Hand leadership over',
      takes: 'TransferRequest',
      gives: { 200: json('Transferred', 'the new leader') },
    },
  },
  '/v1/cluster/members/{id}': {
    delete: {
      summary: 'Drain and remove a member',
      parameters: [
        idParameter,
        parameter('query', 'force', 'true skips the drain of a member that is dead', false),
      ],
      gives: { 200: json('Removed', 'removed') },
    },
  },
  '/v1/self': {
    get: { summary: 'Show this peer; needs no quorum', gives: { 200: json('Self', 'this peer') } },
  },
  '/v1/files': {
    get: {
      summary: "Show a file's metadata; with a Range header, serve those bytes",
      parameters: [pathParameter, parameter('header', 'Range', 'one range of bytes', false)],
      gives: { 200: json('FileStat', 'metadata'), 206: content },
    },
  },
  '/v1/files/content': {
    get: {
      summary: "Serve a file's bytes. Honours Range, If-Match, If-None-Match, If-Range and dates",
      parameters: [pathParameter, parameter('header', 'Range', 'one range of bytes', false)],
      gives: { 200: content, 206: content, 304: { description: 'the caller has this version' } },
    },
    head: {
      summary: "Tell size, ETag and date of a file's bytes",
      parameters: [pathParameter],
      gives: { 200: { description: 'headers only' }, 304: { description: 'not modified' } },
    },
  },
  '/v1/files/list': {
    get: {
      summary: 'List cached files of the cluster in order of UTF-8 bytes',
      parameters: [
        parameter('query', 'root', 'file or directory to list below'),
        parameter('query', 'after', '`next` of the previous page', false),
        parameter('query', 'limit', '1 to 1000, default 1000', false),
      ],
      gives: { 200: json('FileList', 'a page') },
    },
  },
  '/v1/files/placement': {
    get: {
      summary: 'Show where each segment of a file belongs and where it is',
      parameters: [pathParameter],
      gives: { 200: json('Placement', 'segments') },
    },
  },
  '/v1/cache/free': {
    post: {
      summary: 'Let go of all that is cached of a path, on all peers; the under store stays',
      takes: 'FreeRequest',
      gives: { 200: lines('FreeEvent', 'progress, and the report at the end') },
    },
  },
  '/v1/cache/check': {
    get: {
      summary: 'Tell how much of each file of a path is cached, in how many copies, and where',
      parameters: [
        parameter('query', 'path', 'file or directory'),
        parameter('query', 'store', 'false takes the files from the catalogues', false),
      ],
      gives: { 200: lines('CheckEvent', 'each file, and the report at the end') },
    },
  },
  '/v1/cache/rules': {
    get: {
      summary: 'List the rules of paths: pins, priorities, times, quotas, freshness',
      parameters: [
        parameter('query', 'path', 'only rules that say something about this path', false),
      ],
      gives: { 200: json('RuleList', 'rules') },
    },
    post: {
      summary: "Change a path's rule; null takes a field away, and a rule without fields is gone",
      takes: 'RuleChange',
      gives: { 200: json('RuleAnswer', 'what the rule is now') },
    },
  },
  '/healthz': {
    get: { summary: 'Tell that the process lives', gives: { 200: json('Health', 'alive') } },
  },
  '/livez': {
    get: { summary: 'Tell that the process lives', gives: { 200: json('Health', 'alive') } },
  },
  '/readyz': {
    get: {
      summary: 'Tell whether this peer can take loads, or serve cached reads',
      parameters: [parameter('query', 'check', 'load (default) or read', false)],
      gives: { 200: json('Readiness', 'ready'), 503: json('Readiness', 'not ready, and why') },
    },
  },
  '/metrics': {
    get: {
      summary: 'Metrics',
      gives: { 200: { description: 'Prometheus text', content: { 'text/plain': {} } } },
    },
  },
  '/version': {
    get: { summary: "Tell Ringload's version", gives: { 200: json('Version', 'version') } },
  },
  '/openapi.json': {
    get: {
      summary: 'This document',
      gives: { 200: { description: 'OpenAPI 3.1', content: { [JSON_TYPE]: {} } } },
    },
  },
};

export function mountOpenApi(router: HttpRouter, deps: HttpDeps): void {
  const body = JSON.stringify(openApiDocument(deps.version));
  router.get('/openapi.json', (ctx) => {
    replyText(ctx, JSON_TYPE, body);
  });
}

export function openApiDocument(version: string): Json {
  return {
    openapi: '3.1.0',
    info: { title: 'Ringload', version, license: { name: 'Apache-2.0' } },
    paths: mapValues(OPERATIONS, (item) => mapValues(item, describe)),
    components: { schemas: SCHEMAS },
  };
}

function describe(operation: Operation): Json {
  return {
    summary: operation.summary,
    ...(operation.parameters ? { parameters: operation.parameters } : {}),
    ...(operation.takes
      ? {
          requestBody: {
            required: true,
            content: { [JSON_TYPE]: { schema: ref(operation.takes) } },
          },
        }
      : {}),
    responses: {
      ...operation.gives,
      default: {
        description: 'a problem',
        content: { [PROBLEM_TYPE]: { schema: ref('Problem') } },
      },
    },
  };
}

function json(schema: string, description: string): Json {
  return { description, content: { [JSON_TYPE]: { schema: ref(schema) } } };
}

function lines(schema: string, what: string): Json {
  return {
    description: `one ${schema} a line: ${what}; the last line is repeated while nothing new comes`,
    content: { [LINES_TYPE]: { schema: ref(schema) } },
  };
}

function parameter(place: string, name: string, description: string, required = true): Json {
  return { in: place, name, required, description, schema: { type: 'string' } };
}

function mapValues<V, W>(
  record: Readonly<Record<string, V>>,
  map: (value: V) => W,
): Readonly<Record<string, W>> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
