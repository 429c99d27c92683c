/** `job list`, `status`, `stop`, `retry`, `verify`: jobs by id, or by path (the newest of it). */
import { RingloadError } from '../../base/errors.ts';
import { isUuid } from '../../base/ids.ts';
import { isActive, JOB_STATES, type JobState, type JobStatus } from '../../job/job-status.ts';
import type { RingloadClient } from '../client/client.ts';
import { type CommandInput, usageError } from '../input.ts';
import type { CliContext } from '../context.ts';
import {
  formatCount,
  formatDuration,
  formatPercent,
  formatSize,
  printable,
  tableLines,
} from '../format.ts';
import { jobReportLines, loadedText } from '../job-report.ts';
import { nearest } from '../../config/nearest.ts';
import { progressText, verifyReportLines } from '../verify-report.ts';
import { waitAndReport } from './load-run.ts';

const ANY_STATE = 'ALL';
const PROGRESS_INTERVAL_MS = 5000;

export async function runJobList(context: CliContext, input: CommandInput): Promise<number> {
  const state = stateOf(input.text('jobState'));
  const path = input.text('path');
  const { terminal } = context;
  const jobs = await context.withClient((client) =>
    client.jobs({ ...(state ? { state } : {}), ...(path === undefined ? {} : { path }) }),
  );
  if (context.json) await terminal.writeJson({ jobs });
  else if (input.flag('ids')) for (const job of jobs) await terminal.writeLine(job.id);
  else if (jobs.length === 0) terminal.message('no jobs');
  else
    for (const line of tableLines(LIST_COLUMNS, jobs.map(listRow))) await terminal.writeLine(line);
  return 0;
}

export async function runJobStatus(context: CliContext, input: CommandInput): Promise<number> {
  return context.withClient(async (client) => {
    const status = await findJob(client, input.argument(0));
    if (input.flag('wait') && isActive(status.state)) {
      return waitAndReport(context, client, status.id);
    }
    if (context.json) await context.terminal.writeJson(status);
    else for (const line of jobReportLines(status)) await context.terminal.writeLine(line);
    return 0;
  });
}

export async function runJobStop(context: CliContext, input: CommandInput): Promise<number> {
  return context.withClient(async (client) => {
    const status = await findJob(client, input.argument(0));
    const stopped = await client.stop(status.id);
    if (context.json) await context.terminal.writeJson({ jobId: status.id, stopped });
    else if (stopped) await context.terminal.writeLine(`stopped ${status.id}`);
    else context.terminal.error(`ringload: job ${status.id} is not running: ${status.state}`);
    return stopped ? 0 : 1;
  });
}

export async function runJobRetry(context: CliContext, input: CommandInput): Promise<number> {
  return context.withClient(async (client) => {
    const status = await findJob(client, input.argument(0));
    const jobId = await client.retry(status.id);
    if (input.flag('wait')) return waitAndReport(context, client, jobId);
    if (context.json) await context.terminal.writeJson({ jobId, retryOf: status.id });
    else await context.terminal.writeLine(jobId);
    return 0;
  });
}

/** Exit code 0 when all that was certified is there, repaired or not; 1 when it is not. */
export async function runJobVerify(context: CliContext, input: CommandInput): Promise<number> {
  const { terminal } = context;
  return context.withClient(async (client) => {
    const { id } = await findJob(client, input.argument(0));
    const meter = new RateLimitedLine((line) => {
      terminal.message(line);
    });
    const report = await client.verify(id, {
      repair: input.flag('repair'),
      onProgress: (progress) => {
        meter.tell(`checked ${progressText(progress)}`);
      },
    });
    if (context.json) await terminal.writeJson(report);
    else for (const line of verifyReportLines(report)) await terminal.writeLine(line);
    return report.equal ? 0 : 1;
  });
}

/** A line now and then: each is one more in a log. */
class RateLimitedLine {
  readonly #write: (line: string) => void;
  #nextMs = performance.now() + PROGRESS_INTERVAL_MS;

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  tell(line: string): void {
    if (performance.now() < this.#nextMs) return;
    this.#nextMs = performance.now() + PROGRESS_INTERVAL_MS;
    this.#write(line);
  }
}

/** @throws not_found */
async function findJob(client: RingloadClient, idOrPath: string): Promise<JobStatus> {
  if (isUuid(idOrPath)) return client.job(idOrPath);
  if (ALIAS.test(idOrPath)) return jobByAlias(client, idOrPath);
  if (!idOrPath.includes('/')) throw noName(idOrPath);
  const path = idOrPath.endsWith('/') ? idOrPath.slice(0, -1) : idOrPath;
  for (const filter of [{ path }, { index: path }]) {
    const jobs = await client.jobs(filter);
    const job = jobs.find((candidate) => isActive(candidate.state)) ?? jobs[0];
    if (job) return job;
  }
  throw new RingloadError('not_found', `no load of '${path}' is known`);
}

async function jobByAlias(client: RingloadClient, alias: string): Promise<JobStatus> {
  const jobs = await client.jobs({ alias });
  const job = jobs.find((candidate) => isActive(candidate.state)) ?? jobs[0];
  if (job) return job;
  throw new RingloadError('not_found', `no job has the id or alias '${alias}'`);
}

/** What may be asked for by its alias here; others are looked for by id. */
const ALIAS = /^[A-Za-z0-9][\w.-]*$/;

function noName(text: string): RingloadError {
  return usageError(
    `'${text}' is neither the id or alias of a job nor a path such as s3://bucket/key`,
  );
}

function stateOf(text: string | undefined): JobState | undefined {
  const upper = text?.toUpperCase();
  if (upper === undefined || upper === ANY_STATE) return undefined;
  const state = JOB_STATES.find((candidate) => candidate === upper);
  if (state) return state;
  const states = [...JOB_STATES, ANY_STATE];
  const close = nearest(upper, states);
  const hint = close === undefined ? '' : ` (did you mean ${close}?)`;
  throw usageError(`--job-state must be one of ${states.join(', ')}, not '${text ?? ''}'${hint}`);
}

const LIST_COLUMNS = [
  { title: 'JOB ID' },
  { title: 'STATE' },
  { title: 'DONE', align: 'right' },
  { title: 'FILES', align: 'right' },
  { title: 'BYTES', align: 'right' },
  { title: 'FAILED', align: 'right' },
  { title: 'ELAPSED', align: 'right' },
  { title: 'PATH' },
] as const;

function listRow(job: JobStatus): string[] {
  const { counters } = job;
  const doneFiles =
    counters.loadedFiles + counters.skippedFiles + counters.failedFiles + counters.filteredFiles;
  const done = job.listingDone ? formatPercent(doneFiles, counters.listedFiles) : '-';
  return [
    job.id,
    job.queuePlace === undefined ? job.state : `${job.state} (${job.queuePlace})`,
    job.state === 'SUCCEEDED' ? '100%' : done,
    formatCount(counters.listedFiles),
    formatSize(counters.listedBytes),
    formatCount(counters.failedFiles),
    formatDuration(job.elapsedMs),
    printable(loadedText(job.spec)),
  ];
}
