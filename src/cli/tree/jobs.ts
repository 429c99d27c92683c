/** Loads, and the jobs that they are. */
import type { CommandSpec } from '../command.ts';
import type { OptionSpec } from '../options.ts';
import { ALLUXIO_LOAD_OPTIONS, OWN_LOAD_OPTIONS } from '../commands/load-request.ts';

const JOB_ARGUMENT = {
  name: '<job>',
  description: 'id of the job, or its path: then the newest job of that path',
  completes: 'job',
} as const;

const WAIT_OPTION: OptionSpec = {
  flags: '--wait',
  description: 'show progress until it has ended',
};

export const alluxioLoad: CommandSpec = {
  name: 'load',
  summary: 'submit, watch or stop the load of a path, in the grammar of Alluxio',
  examples: [
    { line: 'job load --path s3://bucket/data --submit', does: 'start loading' },
    { line: 'job load s3://bucket/data --progress', does: 'report' },
    { line: 'job load s3://bucket/data --progress --format JSON', does: 'for programs' },
    { line: 'job load s3://bucket/data --stop', does: 'stop; a new submit resumes' },
    { line: 'job load s3://bucket/data --submit --wait', does: 'start, watch, report' },
  ],
  arguments: [{ name: '[paths...]', description: 'what to load, in place of --path' }],
  options: ALLUXIO_LOAD_OPTIONS,
  usageExitCode: 1,
  run: async (context, input) => {
    const { parseAlluxioLoad } = await import('../commands/load-request.ts');
    const request = await parseAlluxioLoad(input);
    const { runAlluxioLoad } = await import('../commands/load-run.ts');
    return runAlluxioLoad(context, request);
  },
};

export const load: CommandSpec = {
  name: 'load',
  summary: 'load a path into the caches of the cluster and wait until it is there',
  examples: [
    { line: 'load s3://bucket/data', does: 'load, show progress, report' },
    { line: 'load s3://bucket/data --replicas 2 --verify', does: 'two copies, checked' },
    { line: 'load s3://bucket/data -d', does: 'print the id of the job, do not wait' },
    { line: "load s3://b/a s3://b/c --exclude '*.tmp'", does: 'several paths, not all files' },
    { line: 'load --index-file s3://b/list.txt', does: 'what the list names, a path a line' },
  ],
  arguments: [
    { name: '[paths...]', description: 'files or directories, such as s3://bucket/data' },
  ],
  options: OWN_LOAD_OPTIONS,
  run: async (context, input) => {
    const { parseOwnLoad } = await import('../commands/load-request.ts');
    const request = await parseOwnLoad(input);
    const { runOwnLoad } = await import('../commands/load-run.ts');
    return runOwnLoad(context, request);
  },
};

const jobFree: CommandSpec = {
  name: 'free',
  summary: 'let go of all that is cached of a path, on all peers; the under store stays',
  examples: [
    { line: 'job free s3://bucket/data', does: 'and tell what was freed on which peer' },
    { line: 'job free --path s3://bucket/data --submit', does: 'do not wait' },
    { line: 'job free --path s3://bucket/data --progress', does: 'ask how it went' },
  ],
  arguments: [{ name: '[path]', description: 'file or directory, in place of --path' }],
  options: [
    { flags: '--path <path>', description: 'file or directory' },
    { flags: '--submit', description: 'begin and do not wait' },
    { flags: '--progress', description: 'tell how the latest one is doing' },
    { flags: '--stop', description: 'stop one that was begun at the same peer' },
    { flags: '--even-pinned', description: 'also what rules pin' },
  ],
  run: async (context, input) => (await import('../commands/cache.ts')).runJobFree(context, input),
};

export const job: CommandSpec = {
  name: 'job',
  summary: 'load jobs: load, list, status, stop, retry, verify, free',
  examples: [
    { line: 'job list', does: 'all jobs, newest first' },
    { line: 'job status s3://bucket/data', does: 'report on the newest load of a path' },
  ],
  subcommands: [
    alluxioLoad,
    {
      name: 'list',
      summary: 'list jobs, newest first',
      examples: [
        { line: 'job list', does: 'all jobs that are remembered' },
        { line: 'job list --job-state RUNNING', does: 'only those' },
        { line: 'job list --json', does: 'with every detail' },
      ],
      options: [
        {
          flags: '--job-state <state>',
          description: 'WAITING, RUNNING, VERIFYING, SUCCEEDED, FAILED, STOPPED or ALL (default)',
          choices: ['WAITING', 'RUNNING', 'VERIFYING', 'SUCCEEDED', 'FAILED', 'STOPPED', 'ALL'],
        },
        { flags: '--path <path>', description: 'only jobs of that path' },
        { flags: '--ids', description: 'print nothing but ids' },
      ],
      run: async (context, input) =>
        (await import('../commands/job.ts')).runJobList(context, input),
    },
    {
      name: 'status',
      summary: 'report on a job: figures, peers, failures',
      examples: [
        { line: 'job status s3://bucket/data', does: 'the newest load of the path' },
        { line: 'job status s3://bucket/data --wait', does: 'watch it to its end' },
      ],
      arguments: [JOB_ARGUMENT],
      options: [WAIT_OPTION],
      run: async (context, input) =>
        (await import('../commands/job.ts')).runJobStatus(context, input),
    },
    {
      name: 'stop',
      summary: 'stop a job; submitting its path again resumes it',
      examples: [{ line: 'job stop s3://bucket/data', does: 'exit 1 if nothing was running' }],
      arguments: [JOB_ARGUMENT],
      run: async (context, input) =>
        (await import('../commands/job.ts')).runJobStop(context, input),
    },
    {
      name: 'retry',
      summary: 'load again what a job could not load',
      examples: [{ line: 'job retry s3://bucket/data --wait', does: 'only the failed files' }],
      arguments: [JOB_ARGUMENT],
      options: [WAIT_OPTION],
      run: async (context, input) =>
        (await import('../commands/job.ts')).runJobRetry(context, input),
    },
    {
      name: 'verify',
      summary: 'check on every disk that what a job loaded is still there; exit 1 if not',
      examples: [
        { line: 'job verify s3://bucket/data', does: 'names each difference' },
        { line: 'job verify s3://bucket/data --repair', does: 'and brings back what is missing' },
      ],
      arguments: [JOB_ARGUMENT],
      options: [
        {
          flags: '--repair',
          description: 'bring back missing and damaged copies, from other peers first',
        },
      ],
      run: async (context, input) =>
        (await import('../commands/job.ts')).runJobVerify(context, input),
    },
    jobFree,
  ],
};
