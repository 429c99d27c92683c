/**
 * The worker dialect of `/v1/load`, as the Python clients speak it: one object per operation, HTTP
 * 200 also for refusals by the cluster, text/plain. A request that is wrong in itself answers 400,
 * a cluster that cannot answer now 503, where Alluxio drops the connection.
 */
import { toRingloadError, type ErrorCode } from '../../base/errors.ts';
import type { JobStatus } from '../../job/job-status.ts';
import { parseJobSpec } from '../../job/parse-spec.ts';
import { jsonReport } from '../../job/report-json.ts';
import { jobStateText, longReport, longReportRows, reportHeader } from '../../job/report.ts';
import type { HttpContext, HttpDeps } from '../context.ts';
import {
  formatOf,
  loadName,
  loadRefOf,
  specInputOf,
  verboseOf,
  type LoadOperation,
  type ReportFormat,
} from '../load-request.ts';
import { problemOf } from '../problem.ts';
import { replyText } from '../reply.ts';
import type { SubmitOutcome } from '../services.ts';
import type { JsonObject } from '../strict-json.ts';

/** The cluster did not decide: an error status, not a refusal. */
const NO_ANSWER: ReadonlySet<ErrorCode> = new Set([
  'no_leader',
  'not_leader',
  'peer_unreachable',
  'deadline_exceeded',
  'internal',
]);

export async function serveWorkerLoad(
  ctx: HttpContext,
  deps: HttpDeps,
  request: { readonly operation: LoadOperation; readonly body: JsonObject | undefined },
): Promise<void> {
  const answer = await answerOf(ctx, deps, request);
  replyText(ctx, 'text/plain', JSON.stringify(answer));
}

async function answerOf(
  ctx: HttpContext,
  deps: HttpDeps,
  request: { readonly operation: LoadOperation; readonly body: JsonObject | undefined },
): Promise<object> {
  const { query } = ctx.state;
  const ref = loadRefOf(query, request.body);
  const path = loadName(ref);
  switch (request.operation) {
    case 'submit':
      return submit(ctx, deps, path, specInputOf(query, request.body));
    case 'stop':
      return stopAnswer(path, await deps.services.jobs.stop(ref));
    case 'progress': {
      const format = formatOf(query, request.body) ?? 'TEXT';
      const verbose = verboseOf(query, request.body, false);
      const status = await deps.services.jobs.status(ref);
      return progressAnswer(path, status, { format, verbose });
    }
  }
}

async function submit(
  ctx: HttpContext,
  deps: HttpDeps,
  path: string,
  input: JsonObject,
): Promise<object> {
  const { jobs, limits } = deps.services;
  const spec = parseJobSpec(input, limits, 'alluxio');
  try {
    const { jobId, outcome } = await jobs.submit(spec);
    return { success: true, jobId, path, message: submitMessage(path, jobId, outcome) };
  } catch (thrown) {
    const error = toRingloadError(thrown);
    if (NO_ANSWER.has(error.code)) throw thrown;
    const reason = problemOf(thrown, ctx.state.requestId).detail;
    const message = `Failed to submit load job ${path}: ${reason}`;
    return { success: false, jobId: 'NONE', path, message };
  }
}

/** The line of the command line and of the worker dialect, newline included. */
export function submitMessage(path: string, jobId: string, outcome: SubmitOutcome): string {
  return outcome === 'created'
    ? `Load '${path}' is successfully submitted. JobId: ${jobId}\n`
    : `Load already running for path '${path}' \n`;
}

export function stopAnswer(path: string, stopped: boolean): object {
  const message = stopped
    ? `Load '${path}' is successfully stopped.\n`
    : `Cannot find load job for path ${path}, it might have already been stopped or finished\n`;
  return { success: stopped, path, message };
}

function progressAnswer(
  path: string,
  status: JobStatus | undefined,
  options: { readonly format: ReportFormat; readonly verbose: boolean },
): object {
  if (status === undefined) {
    const message = `Load for path '${path}' cannot be found.`;
    return { jobState: 'FAILED', path, message, respProperties: {} };
  }
  const reportOptions = { verbose: options.verbose, states: 'classic' } as const;
  const report =
    options.format === 'JSON'
      ? jsonReport(status, { ...reportOptions, processedInodes: true })
      : longReport(status, reportOptions);
  return {
    jobState: jobStateText(status, 'classic'),
    path,
    message: reportHeader(path) + report,
    respProperties: Object.fromEntries(
      longReportRows(status, reportOptions).map(({ key, value }) => [key, value.trim()]),
    ),
  };
}
