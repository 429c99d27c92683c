/** Ringload's own API for load jobs: `/v1/jobs`. */
import { RingloadError } from '../../base/errors.ts';
import { isUuid, jobId as toJobId, type JobId } from '../../base/ids.ts';
import { isMeant, refText, type JobRef } from '../../cluster/job-identity.ts';
import { jobPathOf, quoted } from '../../job/canonical-path.ts';
import { JOB_STATES, type JobState } from '../../job/job-status.ts';
import { parseJobSpec } from '../../job/parse-spec.ts';
import { readJsonObject } from '../body.ts';
import type { HttpContext, HttpDeps, HttpRouter } from '../context.ts';
import { loadRefOf } from '../load-request.ts';
import { Query } from '../query.ts';
import { replyJson } from '../reply.ts';
import { streamLines } from '../stream-lines.ts';

export function mountJobs(router: HttpRouter, deps: HttpDeps): void {
  const { jobs, limits } = deps.services;

  router.post('/v1/jobs', async (ctx) => {
    ctx.state.query.allowOnly();
    const submitted = await jobs.submit(parseJobSpec(await readJsonObject(ctx, deps), limits));
    replyAccepted(ctx, submitted);
  });

  router.get('/v1/jobs', async (ctx) => {
    const query = ctx.state.query.allowOnly('state', 'path', 'index', 'alias');
    const states = statesOf(query.get('state'));
    const ref = listedRefOf(query);
    const all = await jobs.list(states === undefined ? {} : { states });
    replyJson(ctx, {
      jobs: ref === undefined ? all : all.filter((job) => isMeant(ref, job.spec)),
    });
  });

  router.post('/v1/jobs/lookup', async (ctx) => {
    ctx.state.query.allowOnly();
    const ref = loadRefOf(Query.EMPTY, await readJsonObject(ctx, deps));
    const status = await jobs.status(ref);
    if (status === undefined)
      throw new RingloadError('not_found', `no job found for ${refText(ref)}`);
    replyJson(ctx, status);
  });

  router.get('/v1/jobs/:id', async (ctx) => {
    ctx.state.query.allowOnly();
    const id = idOf(ctx.params);
    const status = await jobs.status({ id });
    if (status === undefined) throw noSuchJob(id);
    replyJson(ctx, status);
  });

  router.post('/v1/jobs/:id/stop', async (ctx) => {
    ctx.state.query.allowOnly();
    const id = idOf(ctx.params);
    const stopped = await jobs.stop({ id });
    if (!stopped && (await jobs.status({ id })) === undefined) throw noSuchJob(id);
    replyJson(ctx, { stopped });
  });

  router.post('/v1/jobs/:id/retry', async (ctx) => {
    ctx.state.query.allowOnly();
    const { jobId } = await jobs.retry({ id: idOf(ctx.params) });
    replyAccepted(ctx, { jobId });
  });

  router.post('/v1/jobs/:id/verify', async (ctx) => {
    const repair = ctx.state.query.allowOnly('repair').boolean('repair', false);
    const gone = new AbortController();
    ctx.res.once('close', () => {
      gone.abort(new RingloadError('cancelled', 'the client went away'));
    });
    const events = await jobs.verify({ id: idOf(ctx.params) }, { repair }, gone.signal);
    await streamLines(ctx, events, gone.signal, deps);
  });
}

function replyAccepted(ctx: HttpContext, answer: { readonly jobId: JobId }): void {
  ctx.set('Location', `/v1/jobs/${encodeURIComponent(answer.jobId)}`);
  replyJson(ctx, answer, 202);
}

function listedRefOf(query: Query): Exclude<JobRef, { readonly id: JobId }> | undefined {
  const path = query.get('path');
  const index = query.get('index');
  const alias = query.get('alias');
  if ([path, index, alias].filter((given) => given !== undefined).length > 1) {
    throw new RingloadError('invalid_argument', 'parameters path, index, alias: use one of them');
  }
  if (path !== undefined) return { path: jobPathOf(path) };
  if (index !== undefined) return { index: jobPathOf(index) };
  return alias === undefined ? undefined : { alias };
}

/** @throws not_found: what is not an id names no job. */
function idOf(params: Readonly<Record<string, string>>): JobId {
  const text = (params['id'] ?? '').toLowerCase();
  if (!isUuid(text)) throw noSuchJob(text);
  return toJobId(text);
}

/** States from a comma-separated list in any case; undefined when none is named. */
function statesOf(text: string | undefined): readonly JobState[] | undefined {
  if (text === undefined || text === '') return undefined;
  return text.split(',').map((part) => {
    const state = JOB_STATES.find((known) => known === part.trim().toUpperCase());
    if (state !== undefined) return state;
    throw new RingloadError(
      'invalid_argument',
      `parameter state ${quoted(part)} is unknown: use ${JOB_STATES.join(', ')}`,
    );
  });
}

function noSuchJob(id: string): RingloadError {
  return new RingloadError('not_found', `no job has the id ${quoted(id)}`);
}
