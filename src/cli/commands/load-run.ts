/**
 * Doing what a load command asks for, in the words that Alluxio's command line uses, so that
 * scripts which read them keep working.
 */
import { RingloadError, toRingloadError } from '../../base/errors.ts';
import { isActive, type JobStatus } from '../../job/job-status.ts';
import { jsonReport } from '../../job/report-json.ts';
import { longReport, reportHeader, shortReport } from '../../job/report.ts';
import type { SubmitAnswer } from '../client/answers.ts';
import type { LoadSource, RingloadClient } from '../client/client.ts';
import type { CliContext } from '../context.ts';
import { printable } from '../format.ts';
import { jobReportLines } from '../job-report.ts';
import { ProgressReporter } from '../progress/reporter.ts';
import { waitForJob } from '../wait.ts';
import type { LoadOperation, LoadRequest } from './load-request.ts';

/** Failures of Alluxio's commands, whatever they are, end with this. */
const ALLUXIO_FAILURE_EXIT_CODE = 1;

const FAILURE_WORDS: Readonly<Record<LoadOperation, string>> = {
  submit: 'Failed to submit load job',
  progress: 'Failed to get progress for load job',
  stop: 'Failed to stop load job',
};

/** `job load`, `fs load`: Alluxio's texts and exit codes. */
export async function runAlluxioLoad(context: CliContext, request: LoadRequest): Promise<number> {
  // Why outside: a peer address that is none is a usage error, not a failed load.
  const client = await context.openClient();
  try {
    return await OPERATIONS[request.operation](context, client, request);
  } catch (thrown) {
    const error = toRingloadError(thrown);
    // Why: a signal, and a wait that came to its end, are not failures of the operation.
    if (error.code === 'cancelled' || error instanceof WaitEnded || context.json) throw error;
    const path = printable(request.path);
    const line = `${FAILURE_WORDS[request.operation]} ${path}: ${printable(error.message)}`;
    if (request.format === 'JSON') context.terminal.error(line);
    else await context.terminal.writeLine(line);
    return ALLUXIO_FAILURE_EXIT_CODE;
  } finally {
    await client.close();
  }
}

const OPERATIONS = { submit, progress, stop } as const;

/** `load`: submits and waits; results in our own words, exit codes of the error table. */
export async function runOwnLoad(context: CliContext, request: LoadRequest): Promise<number> {
  return context.withClient(async (client) => {
    const answer = await client.submit(request.submit);
    const path = printable(request.path);
    if (!request.wait) {
      if (context.json) await context.terminal.writeJson({ path: request.path, ...answer });
      else await context.terminal.writeLine(answer.jobId);
      return 0;
    }
    context.terminal.message(`${OUTCOME_WORDS[answer.outcome]} ${path}, job ${answer.jobId}`);
    return waitAndReport(context, client, answer.jobId, request.waitMaxMs);
  });
}

const OUTCOME_WORDS: Readonly<Record<SubmitAnswer['outcome'], string>> = {
  created: 'loading',
  'already-running': 'already loading',
  resumed: 'resuming',
};

async function submit(
  context: CliContext,
  client: RingloadClient,
  request: LoadRequest,
): Promise<number> {
  const answer = await client.submit(request.submit);
  const path = printable(request.path);
  if (context.json) {
    if (!request.wait) await context.terminal.writeJson({ path: request.path, ...answer });
  } else {
    await context.terminal.writeLine(
      answer.outcome === 'created'
        ? `Load '${path}' is successfully submitted. JobId: ${answer.jobId}`
        : `Load already running for path '${path}' `,
    );
  }
  if (!request.wait) return 0;
  return waitAndReport(context, client, answer.jobId, request.waitMaxMs);
}

async function progress(
  context: CliContext,
  client: RingloadClient,
  request: LoadRequest,
): Promise<number> {
  const status = await jobOf(client, request.source);
  const { terminal } = context;
  if (context.json) {
    if (!status) throw notFound(request.path);
    await terminal.writeJson(status);
    return 0;
  }
  const missing = `Load for path '${printable(request.path)}' cannot be found.`;
  const header = reportHeader(request.path);
  if (request.format === 'JSON') {
    terminal.message(header.trimEnd());
    if (!status) terminal.error(missing);
    else {
      const report = jsonReport(status, { verbose: request.verbose, processedInodes: true });
      await terminal.writeLine(report);
    }
  } else {
    await terminal.write(
      `${header}${status ? reportText(status, request.verbose) : `${missing}\n`}`,
    );
  }
  return status ? 0 : 1;
}

async function jobOf(client: RingloadClient, source: LoadSource): Promise<JobStatus | undefined> {
  try {
    return await client.jobOf(source);
  } catch (thrown) {
    if (toRingloadError(thrown).code === 'not_found') return undefined;
    throw thrown;
  }
}

function reportText(status: JobStatus, verbose: boolean): string {
  return verbose ? longReport(status, { verbose }) : shortReport(status);
}

async function stop(
  context: CliContext,
  client: RingloadClient,
  request: LoadRequest,
): Promise<number> {
  const newest = await jobOf(client, request.source);
  const running = newest && isActive(newest.state) ? newest : undefined;
  const stopped = running !== undefined && (await client.stop(running.id));
  const path = printable(request.path);
  if (context.json) {
    await context.terminal.writeJson({
      path: request.path,
      stopped,
      ...(running ? { jobId: running.id } : {}),
    });
  } else {
    await context.terminal.writeLine(
      stopped
        ? `Load '${path}' is successfully stopped.`
        : `Cannot find load job for path ${path}, it might have already been stopped or finished`,
    );
  }
  return stopped ? 0 : 1;
}

/** Shows progress until the job has ended, then its final report. */
export async function waitAndReport(
  context: CliContext,
  client: RingloadClient,
  jobId: string,
  waitMaxMs?: number,
): Promise<number> {
  const { terminal } = context;
  const reporter = new ProgressReporter(terminal);
  let status: JobStatus;
  try {
    status = await waitForJob(client, jobId, {
      reporter,
      outageMaxMs: context.outageMaxMs(),
      ...(waitMaxMs === undefined ? {} : { waitMaxMs }),
      signal: context.interrupt(),
    });
  } catch (thrown) {
    reporter.clear();
    const hint = `the job goes on; see it with 'ringload job status ${jobId}${context.peerFlag}', stop it with 'ringload job stop ${jobId}${context.peerFlag}'`;
    throw new WaitEnded(toRingloadError(thrown), hint);
  }
  reporter.clear();
  if (context.json) await terminal.writeJson(status);
  else for (const line of jobReportLines(status)) await terminal.writeLine(line);
  return status.state === 'SUCCEEDED' ? 0 : 1;
}

/** The wait ended before the job did: the error, and what the user can do about the job. */
class WaitEnded extends RingloadError {
  constructor(error: RingloadError, hint: string) {
    super(error.code, `${error.message}: ${hint}`, { details: error.details, cause: error });
  }
}

function notFound(path: string): RingloadError {
  return new RingloadError('not_found', `no load of '${path}' is known`);
}
