/**
 * `/api/v1/load`, the API of Alluxio Enterprise 3.6 and later: one resource, three verbs. A second
 * load of a running path is 409 with the id of the first.
 *
 * A load is one path here, and its alias is its id: what cannot be honoured is refused, never
 * dropped in silence.
 */
import { RingloadError } from '../../base/errors.ts';
import { isUuid, jobId } from '../../base/ids.ts';
import { jobPathOf, quoted } from '../../job/canonical-path.ts';
import { parseJobSpec } from '../../job/parse-spec.ts';
import { readOptionalJsonObject } from '../body.ts';
import type { HttpContext, HttpDeps, HttpRouter } from '../context.ts';
import { withoutClientPrefix } from '../load-request.ts';
import { progressObject } from '../progress-object.ts';
import { replyJson } from '../reply.ts';
import type { JobRef } from '../services.ts';
import { isJsonObject, type JsonObject } from '../strict-json.ts';

const ROUTE = '/api/v1/load';

export function mountLoadResource(router: HttpRouter, deps: HttpDeps): void {
  const { jobs, limits } = deps.services;

  router.post(ROUTE, async (ctx) => {
    const body = await readOptionalJsonObject(ctx, deps);
    if (body === undefined) throw refused('request body must be a JSON object');
    const { jobId: id, outcome } = await jobs.submit(
      parseJobSpec(specInputOf(body), limits, 'alluxio'),
    );
    replyJson(ctx, { id, alias: id }, outcome === 'already-running' ? 409 : 200);
  });

  router.get(ROUTE, async (ctx) => {
    const ref = jobRefOf(ctx, await readOptionalJsonObject(ctx, deps));
    if (ref === undefined) {
      replyJson(ctx, { results: (await jobs.list({})).map(progressObject) });
      return;
    }
    const status = await jobs.status(ref);
    if (status === undefined) replyNoJob(ctx, ref);
    else replyJson(ctx, progressObject(status));
  });

  router.delete(ROUTE, async (ctx) => {
    const ref = jobRefOf(ctx, await readOptionalJsonObject(ctx, deps));
    if (ref === undefined) throw refused('id, alias or path is missing');
    if (await jobs.stop(ref)) replyJson(ctx, { success: true });
    else replyNoJob(ctx, ref);
  });
}

function specInputOf(body: JsonObject): JsonObject {
  const options = isJsonObject(body['options']) ? body['options'] : {};
  if (body['alias'] !== undefined) throw refused('alias is not supported: use the id');
  if (options['sync'] === true || options['sync'] === 'true') {
    throw refused('options.sync is not supported: ask for the progress of the id');
  }
  const policy = options['loadPolicy'] ?? 'IF_CHANGED';
  if (policy !== 'IF_CHANGED') {
    throw refused(`options.loadPolicy ${quoted(JSON.stringify(policy))} must be IF_CHANGED`);
  }
  return { ...options, index: body['index'] ?? body['indexFile'], path: onlyPathOf(body) };
}

function onlyPathOf(body: JsonObject): string {
  const paths: unknown = body['paths'] ?? (body['path'] === undefined ? [] : [body['path']]);
  const first: unknown = Array.isArray(paths) ? paths[0] : undefined;
  if (!Array.isArray(paths) || paths.length !== 1 || typeof first !== 'string') {
    throw refused('paths must be an array of one path');
  }
  return withoutClientPrefix(first);
}

/** From the query, else the body; undefined when no job is named. */
function jobRefOf(ctx: HttpContext, body: JsonObject | undefined): JobRef | undefined {
  const { query } = ctx.state;
  const id = query.get('id') ?? query.get('alias') ?? body?.['id'] ?? body?.['alias'];
  if (id !== undefined) {
    const text = typeof id === 'string' ? id.toLowerCase() : '';
    if (!isUuid(text)) throw refused(`id ${quoted(text)} must be a job's id`);
    return { id: jobId(text) };
  }
  const index = query.get('index') ?? body?.['index'];
  if (index !== undefined) throw refused('index is not supported: name the path');
  const path = query.get('path');
  if (path !== undefined) return { path: jobPathOf(withoutClientPrefix(path)) };
  if (body?.['paths'] === undefined && body?.['path'] === undefined) return undefined;
  return { path: jobPathOf(onlyPathOf(body)) };
}

function replyNoJob(ctx: HttpContext, ref: JobRef): void {
  const name = 'path' in ref ? `path '${ref.path}'` : `id '${ref.id}'`;
  replyJson(ctx, { status: `No job found for ${name}` }, 404);
}

function refused(message: string): RingloadError {
  return new RingloadError('invalid_argument', message);
}
