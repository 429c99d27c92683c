/**
 * `/api/v1/load`, the API of Alluxio Enterprise 3.6 and later: one resource, three verbs. A second
 * load of a running path is 409 with the id of the first.
 *
 * Without an alias of its own a load's id is its alias. What cannot be honoured is refused, never
 * dropped in silence.
 */
import { RingloadError } from '../../base/errors.ts';
import { isUuid, jobId, type JobId } from '../../base/ids.ts';
import { jobPathOf, quoted } from '../../job/canonical-path.ts';
import { refText } from '../../cluster/job-identity.ts';
import type { JobStatus } from '../../job/job-status.ts';
import { parseJobSpec } from '../../job/parse-spec.ts';
import { readOptionalJsonObject } from '../body.ts';
import type { HttpContext, HttpDeps, HttpRouter } from '../context.ts';
import { pathsRefOf, withoutClientPrefix } from '../load-request.ts';
import { progressObject } from '../progress-object.ts';
import { replyJson } from '../reply.ts';
import type { Query } from '../query.ts';
import type { JobRef } from '../services.ts';
import { isJsonObject, type JsonObject } from '../strict-json.ts';

const ROUTE = '/api/v1/load';

export function mountLoadResource(router: HttpRouter, deps: HttpDeps): void {
  const { jobs, limits } = deps.services;

  router.post(ROUTE, async (ctx) => {
    const body = await readOptionalJsonObject(ctx, deps);
    if (body === undefined) throw refused('request body must be a JSON object');
    const spec = parseJobSpec(specInputOf(body), limits, 'alluxio');
    const { jobId: id, outcome } = await jobs.submit(spec);
    replyJson(ctx, { id, alias: spec.alias ?? id }, outcome === 'already-running' ? 409 : 200);
  });

  router.get(ROUTE, async (ctx) => {
    const ref = jobRefOf(ctx, await readOptionalJsonObject(ctx, deps));
    if (ref === undefined) {
      const page = pageOf(await jobs.list({}), ctx.state.query);
      replyJson(ctx, { ...page, results: page.results.map(progressObject) });
      return;
    }
    const status = await jobs.status(ref);
    if (status === undefined) replyNoJob(ctx, ref);
    else replyJson(ctx, progressObject(status));
  });

  router.delete(ROUTE, async (ctx) => {
    const ref = jobRefOf(ctx, await readOptionalJsonObject(ctx, deps));
    if (ref === undefined) throw refused('id, alias, index or path is missing');
    if (await jobs.stop(ref)) replyJson(ctx, { success: true });
    else replyNoJob(ctx, ref);
  });
}

function specInputOf(body: JsonObject): JsonObject {
  const options = isJsonObject(body['options']) ? body['options'] : {};
  if (options['sync'] === true || options['sync'] === 'true') {
    throw refused('options.sync is not supported: ask for the progress of the id');
  }
  const policy = options['loadPolicy'] ?? 'IF_CHANGED';
  if (policy !== 'IF_CHANGED') {
    throw refused(`options.loadPolicy ${quoted(JSON.stringify(policy))} must be IF_CHANGED`);
  }
  const index = body['index'] ?? body['indexFile'];
  const given = body['paths'] ?? (body['path'] === undefined ? undefined : [body['path']]);
  if (given !== undefined && index !== undefined) {
    throw refused('paths and index are both given: name one of them');
  }
  if (given === undefined && index === undefined) throw refused('paths or index is missing');
  if (given !== undefined && !Array.isArray(given))
    throw refused('paths must be an array of paths');
  const paths = given?.map((path: unknown) =>
    typeof path === 'string' ? withoutClientPrefix(path) : path,
  );
  return { ...options, alias: body['alias'], index, paths };
}

/** Newest first; `lastKey` is the id of the last job of the page before. */
function pageOf(
  all: readonly JobStatus[],
  query: Query,
): { readonly results: readonly JobStatus[]; readonly lastKey?: string } {
  const countText = query.get('count');
  const count =
    countText === undefined || /^\d{1,6}$/.test(countText) ? Number(countText ?? Infinity) : 0;
  if (count < 1) throw refused(`count ${quoted(countText ?? '')} must be a whole number from 1 on`);
  const lastKey = query.get('lastKey')?.toLowerCase();
  const at = lastKey === undefined ? -1 : all.findIndex(({ id }) => id === lastKey);
  if (lastKey !== undefined && at < 0)
    throw refused(`lastKey ${quoted(lastKey)} is no job of the list`);
  const results = all.slice(at + 1, at + 1 + count);
  const last = results.at(-1);
  return at + 1 + count < all.length && last ? { results, lastKey: last.id } : { results };
}

/** From the query, else the body; undefined when no job is named. */
function jobRefOf(ctx: HttpContext, body: JsonObject | undefined): JobRef | undefined {
  const { query } = ctx.state;
  const id = query.get('id') ?? body?.['id'];
  if (id !== undefined) return { id: idOf(id) };
  const alias = query.get('alias') ?? body?.['alias'];
  if (alias !== undefined) {
    if (typeof alias !== 'string' || alias === '') throw refused('alias must be text');
    return isUuid(alias.toLowerCase()) ? { id: idOf(alias) } : { alias };
  }
  const index = query.get('index') ?? body?.['index'] ?? body?.['indexFile'];
  if (index !== undefined) {
    if (typeof index !== 'string') throw refused('index must be a path');
    return { index: jobPathOf(withoutClientPrefix(index)) };
  }
  const path = query.get('path') ?? body?.['path'];
  if (path !== undefined) return pathsRefOf([path]);
  const paths = body?.['paths'];
  if (paths === undefined) return undefined;
  if (!Array.isArray(paths)) throw refused('paths must be an array of paths');
  return pathsRefOf(paths);
}

function idOf(given: unknown): JobId {
  const text = typeof given === 'string' ? given.toLowerCase() : '';
  if (!isUuid(text)) throw refused(`id ${quoted(text)} must be a job's id`);
  return jobId(text);
}

function replyNoJob(ctx: HttpContext, ref: JobRef): void {
  replyJson(ctx, { status: `No job found for ${refText(ref)}` }, 404);
}

function refused(message: string): RingloadError {
  return new RingloadError('invalid_argument', message);
}
