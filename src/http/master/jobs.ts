/**
 * `/api/v1/master/*`, the API of Alluxio Enterprise 3.3 to 3.5: JSON bodies on every verb, option
 * values quoted or typed. Its reply bodies were never published; these are Ringload's.
 */
import { RingloadError } from '../../base/errors.ts';
import { isUuid, jobId, type JobId } from '../../base/ids.ts';
import { quoted } from '../../job/canonical-path.ts';
import { JOB_STATES, type JobState } from '../../job/job-status.ts';
import { parseJobSpec } from '../../job/parse-spec.ts';
import { jsonReport } from '../../job/report-json.ts';
import { longReport } from '../../job/report.ts';
import { readOptionalJsonObject } from '../body.ts';
import type { HttpContext, HttpDeps, HttpRouter } from '../context.ts';
import { progressObject } from '../progress-object.ts';
import {
  formatOf,
  loadName,
  loadRefOf,
  specInputOf,
  verboseOf,
  type LoadRef,
} from '../load-request.ts';
import { JSON_TYPE, replyJson, replyText } from '../reply.ts';
import type { JsonObject } from '../strict-json.ts';
import { stopAnswer, submitMessage } from '../worker/load.ts';
import { mountMasterFree } from './free.ts';

const BASE = '/api/v1/master';

export function mountMaster(router: HttpRouter, deps: HttpDeps): void {
  const { jobs, limits } = deps.services;
  mountMasterFree(router, deps, BASE);

  router.post(`${BASE}/submit_job/load`, async (ctx) => {
    const body = await readOptionalJsonObject(ctx, deps);
    const spec = parseJobSpec(specInputOf(ctx.state.query, body), limits, 'alluxio');
    const path = loadName(loadRefOf(ctx.state.query, body));
    const { jobId: id, outcome } = await jobs.submit(spec);
    replyJson(ctx, {
      success: true,
      jobId: id,
      job_id: id,
      path,
      target_path: path,
      message: submitMessage(path, id, outcome),
    });
  });

  router.get(`${BASE}/progress_job/load`, async (ctx) => {
    const body = await readOptionalJsonObject(ctx, deps);
    const ref = jobRefOf(ctx, body);
    const status = await jobs.status(ref);
    if (status === undefined) {
      throw new RingloadError('not_found', `Load for path '${nameOf(ref)}' cannot be found.`);
    }
    const verbose = verboseOf(ctx.state.query, body, false);
    if ((formatOf(ctx.state.query, body) ?? 'TEXT') === 'TEXT') {
      replyText(ctx, 'text/plain', longReport(status, { verbose }));
    } else {
      replyText(ctx, JSON_TYPE, jsonReport(status, { verbose, processedInodes: true }));
    }
  });

  router.post(`${BASE}/stop_job/load`, async (ctx) => {
    const ref = jobRefOf(ctx, await readOptionalJsonObject(ctx, deps));
    replyJson(ctx, stopAnswer(nameOf(ref), await jobs.stop(ref)));
  });

  router.get(`${BASE}/list_job`, async (ctx) => {
    const { query } = ctx.state;
    const type = query.get('job-type')?.toUpperCase() ?? 'LOAD';
    if (type !== 'LOAD' && type !== 'ALL') {
      throw new RingloadError('invalid_argument', `parameter job-type ${quoted(type)}: use LOAD`);
    }
    const state = stateOf(query.get('job-state'));
    const found = await jobs.list(state === undefined ? {} : { states: [state] });
    replyJson(ctx, { results: found.map(progressObject) });
  });
}

/** A job by `job_id` or by path, from the query or the body. */
function jobRefOf(ctx: HttpContext, body: JsonObject | undefined): MasterRef {
  const given = ctx.state.query.get('job_id') ?? body?.['job_id'];
  if (given === undefined || given === null || given === '') {
    return loadRefOf(ctx.state.query, body);
  }
  const id = typeof given === 'string' ? given.toLowerCase() : '';
  if (!isUuid(id)) {
    throw new RingloadError('invalid_argument', `job_id ${quoted(id)} must be a job's id`);
  }
  return { id: jobId(id) };
}

type MasterRef = LoadRef | { readonly id: JobId };

function nameOf(ref: MasterRef): string {
  return 'id' in ref ? ref.id : loadName(ref);
}

function stateOf(text: string | undefined): JobState | undefined {
  const upper = text?.toUpperCase() ?? 'ALL';
  if (upper === 'ALL' || upper === '') return undefined;
  const state = JOB_STATES.find((known) => known === upper);
  if (state !== undefined) return state;
  throw new RingloadError(
    'invalid_argument',
    `parameter job-state ${quoted(upper)} is unknown: use ${JOB_STATES.join(', ')} or ALL`,
  );
}
