/**
 * What the flags of a load command ask for, checked as far as that is possible without a
 * cluster. Two grammars: Alluxio's (`job load`, `fs load`), where `--submit`, `--progress` or
 * `--stop` says what to do, and our own (`load`), which always submits.
 */
import { parseBytes } from '../../base/units.ts';
import { JOB_LIMITS } from '../../job/spec.ts';
import type { LoadSource, SubmitRequest } from '../client/client.ts';
import { type CommandInput, usageError } from '../input.ts';
import { FILTER_OPTIONS, filtersOf } from './filter-options.ts';
import { sourceOf, withoutSlash } from './load-source.ts';
import type { OptionSpec } from '../options.ts';
import { parseTimeoutMs } from '../context.ts';

export type LoadOperation = 'submit' | 'progress' | 'stop';

export interface LoadRequest {
  readonly operation: LoadOperation;
  /** What messages name: without one trailing slash, several paths joined by commas. */
  readonly path: string;
  readonly source: LoadSource;
  readonly submit: SubmitRequest;
  readonly wait: boolean;
  readonly waitMaxMs?: number;
  readonly format: 'TEXT' | 'JSON';
  readonly verbose: boolean;
}

const SUBMIT_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--replicas <count>',
    description: 'copies on that many distinct peers (default 1)',
  },
  {
    flags: '--bandwidth <size>',
    description: 'bytes per second that each peer may read, such as 100MB (default unlimited)',
  },
  { flags: '--verify', description: 'check every segment afterwards, load what is missing' },
  {
    flags: '--partial-listing',
    description: 'start before the listing ends; the total is unknown until then',
  },
  { flags: '--metadata-only', description: 'load the status of files, not their data' },
  { flags: '--skip-if-exists', description: 'skip files that are fully cached' },
  { flags: '--reload', description: 'fetch again even what is cached under the same version' },
  {
    flags: '--file-filter-regx <regex>',
    description: 'load only files whose name matches fully (RE2 syntax)',
  },
  {
    flags: '--file-filter-regex <regex>',
    description: 'other spelling of --file-filter-regx',
    hidden: true,
  },
  ...FILTER_OPTIONS,
  {
    flags: '--index-file <file>',
    description: 'list of paths to load: in the under store, a local file, or - for stdin',
  },
  { flags: '--batch-size <count>', description: 'tasks sent to a peer at once (default 200)' },
  { flags: '--segment-size <size>', description: 'size of a segment, such as 8MiB' },
  { flags: '--no-segmented', description: 'keep all of a file on the same peers' },
  {
    flags: '--max-wait <duration>',
    description: 'stop waiting after that time (exit 6); the job goes on',
  },
];

export const OWN_LOAD_OPTIONS: readonly OptionSpec[] = [
  ...SUBMIT_OPTIONS,
  { flags: '-d, --no-wait', description: 'print the id of the job and return at once' },
];

export const ALLUXIO_LOAD_OPTIONS: readonly OptionSpec[] = [
  { flags: '--path <path>', description: 'what to load, if it is not given as an argument' },
  { flags: '--submit', description: 'submit the load' },
  { flags: '--progress', description: 'report on the load of the path' },
  { flags: '--stop', description: 'stop the load of the path' },
  { flags: '--wait', description: 'show progress until the submitted load has ended' },
  {
    flags: '--format <format>',
    description: 'of --progress: TEXT (default) or JSON',
    choices: ['TEXT', 'JSON'],
  },
  { flags: '--verbose', description: 'of --progress: the long report, with recent failures' },
  ...SUBMIT_OPTIONS,
];

/** @throws invalid_argument naming value and rule. */
export async function parseOwnLoad(input: CommandInput): Promise<LoadRequest> {
  if (input.args.length === 0 && input.text('indexFile') === undefined) {
    throw usageError("missing required argument 'paths', or --index-file");
  }
  const submit = submitRequest(input);
  const { source, name } = await sourceOf(input, input.args);
  return {
    operation: 'submit',
    path: name,
    source,
    submit: { ...source, ...submit },
    wait: input.flag('wait'),
    ...waitLimit(input),
    format: 'TEXT',
    verbose: false,
  };
}

/** @throws invalid_argument naming value and rule, in Alluxio's words where it has some. */
export async function parseAlluxioLoad(input: CommandInput): Promise<LoadRequest> {
  const operation = operationOf(input);
  const paths = pathsOf(input);
  const wait = input.flag('wait');
  if (wait && operation !== 'submit') {
    throw usageError(`--wait goes with --submit, not with --${operation}`);
  }
  const submit = submitRequest(input);
  const { source, name } = await sourceOf(input, paths);
  return {
    operation,
    path: name,
    source,
    submit: {
      ...source,
      ...submit,
      // Why both: Alluxio's default asks for no report of skipped files, and for no reload either.
      skipIfExists: input.flag('skipIfExists'),
      reload: input.flag('reload'),
    },
    wait,
    ...waitLimit(input),
    format: formatOf(input),
    verbose: input.flag('verbose'),
  };
}

function operationOf(input: CommandInput): LoadOperation {
  const operations = ['progress', 'stop', 'submit'] as const;
  const given = operations.filter((operation) => input.flag(operation));
  const [first] = given;
  if (given.length > 1) {
    throw usageError(
      `if any flags in the group [progress stop submit] are set none of the others can be; [${given.join(' ')}] were all set`,
    );
  }
  if (first) return first;
  if (input.flag('wait')) return 'submit';
  throw usageError('Did not specify an operation flag: [progress stop submit]');
}

function pathsOf(input: CommandInput): readonly string[] {
  const option = input.text('path');
  if (option === undefined) return input.args;
  const other = input.args.find((path) => withoutSlash(path) !== withoutSlash(option));
  if (other !== undefined) {
    throw usageError(
      `the path is given twice: '${option}' by --path and '${other}' as an argument`,
    );
  }
  return [option];
}

function formatOf(input: CommandInput): 'TEXT' | 'JSON' {
  const format = input.text('format') ?? 'TEXT';
  if (format === 'TEXT' || format === 'JSON') return format;
  const meant = format.toUpperCase();
  const hint = meant === 'TEXT' || meant === 'JSON' ? ` (did you mean ${meant}?)` : '';
  throw usageError(`--format must be TEXT or JSON, not '${format}'${hint}`);
}

function submitRequest(input: CommandInput): SubmitRequest {
  const replicas = input.integer('replicas', { min: 1, max: JOB_LIMITS.replicaMaxCount });
  const batchSize = input.integer('batchSize', { min: 1, max: JOB_LIMITS.batchMaxSize });
  const bandwidth = sizeOf(input, 'bandwidth');
  const segmentSize = segmentSizeOf(input);
  const fileFilterRegex = regexOf(input);
  if (input.flag('skipIfExists') && input.flag('reload')) {
    throw usageError('--skip-if-exists and --reload exclude each other');
  }
  return {
    ...filtersOf(input),
    ...(replicas === undefined ? {} : { replicas }),
    ...(segmentSize === undefined ? {} : { segmentSize }),
    ...(input.flag('segmented') ? {} : { segmented: false }),
    ...(input.flag('skipIfExists') ? { skipIfExists: true } : {}),
    ...(input.flag('reload') ? { reload: true } : {}),
    ...(input.flag('metadataOnly') ? { metadataOnly: true } : {}),
    ...(input.flag('verify') ? { verify: true } : {}),
    ...(input.flag('partialListing') ? { partialListing: true } : {}),
    ...(fileFilterRegex === undefined ? {} : { fileFilterRegex }),
    ...(bandwidth === undefined ? {} : { bandwidth }),
    ...(batchSize === undefined ? {} : { batchSize }),
  };
}

function sizeOf(input: CommandInput, name: string): number | undefined {
  const text = input.text(name);
  return text === undefined || text === '' ? undefined : parseBytes(text);
}

function segmentSizeOf(input: CommandInput): number | undefined {
  const size = sizeOf(input, 'segmentSize');
  const { segmentSizeMinBytes: min, segmentSizeMaxBytes: max } = JOB_LIMITS;
  if (size === undefined || (size >= min && size <= max)) return size;
  throw usageError(
    `--segment-size must be from 64KiB to 1GiB, not '${input.text('segmentSize') ?? ''}'`,
  );
}

function regexOf(input: CommandInput): string | undefined {
  const one = input.text('fileFilterRegx');
  const other = input.text('fileFilterRegex');
  if (one !== undefined && other !== undefined && one !== other) {
    throw usageError(`--file-filter-regx '${one}' and --file-filter-regex '${other}' differ`);
  }
  const regex = one ?? other;
  if (regex !== undefined && regex.length > JOB_LIMITS.regexMaxLength) {
    throw usageError(
      `--file-filter-regx takes at most ${JOB_LIMITS.regexMaxLength} characters, not ${regex.length}`,
    );
  }
  return regex === '' ? undefined : regex;
}

function waitLimit(input: CommandInput): { waitMaxMs?: number } {
  const text = input.text('maxWait');
  return text === undefined ? {} : { waitMaxMs: parseTimeoutMs('--max-wait', text) };
}
