/** Options that choose among the files below a path, and who is loaded first. */
import { parseBytes, parseDurationMs } from '../../base/units.ts';
import { globSource } from '../../job/glob.ts';
import { JOB_PRIORITIES } from '../../job/spec.ts';
import type { SubmitRequest } from '../client/client.ts';
import { type CommandInput, flagName, usageError } from '../input.ts';
import type { OptionSpec } from '../options.ts';

export const FILTER_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--include <glob>',
    description: "load only what matches, such as '*.parquet' or '/2026/**' (repeatable)",
    repeatable: true,
  },
  {
    flags: '--exclude <glob>',
    description: "leave out what matches, such as '_temporary/' (repeatable)",
    repeatable: true,
  },
  { flags: '--min-size <size>', description: 'leave out smaller files' },
  { flags: '--max-size <size>', description: 'leave out larger files' },
  {
    flags: '--modified-after <time>',
    description: 'leave out older files: a date, or an age such as 36h',
  },
  {
    flags: '--modified-before <time>',
    description: 'leave out newer files: a date, or an age such as 36h',
  },
  {
    flags: '--priority <priority>',
    description: 'high, medium (default) or low: who waits for a place to run is taken so',
    choices: JOB_PRIORITIES,
  },
  { flags: '--alias <name>', description: 'another name that the job can be asked for by' },
];

/** @throws invalid_argument naming option, value and rule. */
export function filtersOf(input: CommandInput): Partial<SubmitRequest> {
  const include = globsOf(input, 'include');
  const exclude = globsOf(input, 'exclude');
  const minSize = sizeOf(input, 'minSize');
  const maxSize = sizeOf(input, 'maxSize');
  const modifiedAfter = timeOf(input, 'modifiedAfter');
  const modifiedBefore = timeOf(input, 'modifiedBefore');
  const priority = input.text('priority')?.toLowerCase();
  const alias = input.text('alias');
  if (priority !== undefined && !JOB_PRIORITIES.some((known) => known === priority)) {
    throw usageError(`--priority must be ${JOB_PRIORITIES.join(', ')}, not '${priority}'`);
  }
  return {
    ...(include && { include }),
    ...(exclude && { exclude }),
    ...(minSize !== undefined && { minSize }),
    ...(maxSize !== undefined && { maxSize }),
    ...(modifiedAfter !== undefined && { modifiedAfter }),
    ...(modifiedBefore !== undefined && { modifiedBefore }),
    ...(priority !== undefined && { priority }),
    ...(alias !== undefined && { alias }),
  };
}

function globsOf(input: CommandInput, name: 'include' | 'exclude'): readonly string[] | undefined {
  const globs = input.list(name);
  if (globs.length === 0) return undefined;
  globs.forEach(globSource);
  return globs;
}

function sizeOf(input: CommandInput, name: string): number | undefined {
  const text = input.text(name);
  return text === undefined ? undefined : parseBytes(text);
}

/** A date as it is; an age becomes the time it was at now, by the clock of this host. */
function timeOf(input: CommandInput, name: string): number | string | undefined {
  const text = input.text(name);
  if (text === undefined || /^\d{4}-/.test(text)) return text;
  try {
    return Math.max(0, Date.now() - parseDurationMs(text));
  } catch {
    const example = '2026-01-31, 2026-01-31T12:00:00Z or an age such as 36h';
    throw usageError(`${flagName(name)} must be a time such as ${example}, not '${text}'`);
  }
}
