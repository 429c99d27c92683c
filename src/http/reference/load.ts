/**
 * The reference dialect of `/v1/load`: bare `true` or `false` for submit and stop, and a progress
 * report that is a JSON string containing JSON. A refusal is never `false`, always an error status.
 */
import { refText } from '../../cluster/job-identity.ts';
import { parseJobSpec } from '../../job/parse-spec.ts';
import { jsonReport } from '../../job/report-json.ts';
import { longReport, reportHeader } from '../../job/report.ts';
import type { HttpContext, HttpDeps } from '../context.ts';
import {
  formatOf,
  loadName,
  loadRefOf,
  specInputOf,
  verboseOf,
  type LoadOperation,
} from '../load-request.ts';
import { JSON_TYPE, replyJson, replyText } from '../reply.ts';
import type { JsonObject } from '../strict-json.ts';

export async function serveReferenceLoad(
  ctx: HttpContext,
  deps: HttpDeps,
  request: { readonly operation: LoadOperation; readonly body: JsonObject | undefined },
): Promise<void> {
  const { query } = ctx.state;
  const { jobs, limits } = deps.services;
  switch (request.operation) {
    case 'submit': {
      await jobs.submit(parseJobSpec(specInputOf(query, request.body), limits, 'alluxio'));
      replyText(ctx, JSON_TYPE, 'true');
      return;
    }
    case 'stop': {
      const stopped = await jobs.stop(loadRefOf(query, request.body));
      replyText(ctx, JSON_TYPE, String(stopped));
      return;
    }
    case 'progress':
      await serveProgress(ctx, deps, request.body);
  }
}

async function serveProgress(
  ctx: HttpContext,
  deps: HttpDeps,
  body: JsonObject | undefined,
): Promise<void> {
  const { query } = ctx.state;
  const ref = loadRefOf(query, body);
  const verbose = verboseOf(query, body, true);
  const format = formatOf(query, body) ?? 'JSON';
  const status = await deps.services.jobs.status(ref);
  if (status === undefined) {
    replyJson(ctx, { status: `No job found for ${refText(ref)}` }, 404);
    return;
  }
  const report =
    format === 'JSON'
      ? jsonReport(status, { verbose })
      : reportHeader(loadName(ref)) + longReport(status, { verbose });
  replyText(ctx, JSON_TYPE, JSON.stringify(report));
}
