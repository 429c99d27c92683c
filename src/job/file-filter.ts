/**
 * The filters of a job: a pattern that a file's last path component must match fully, globs for
 * its path, bounds of its size and age.
 *
 * Patterns come from users and meet every listed name, so they run on RE2: time linear in the
 * name, no look-around, no back-references (https://github.com/google/re2/wiki/Syntax). A dot also
 * matches a newline, since names may contain one.
 */
import { RE2JS, RE2JSException } from 're2js';
import { RingloadError } from '../base/errors.ts';
import { globSource } from './glob.ts';
import { JOB_LIMITS, type JobSpec } from './spec.ts';

/** True when the file is kept. */
export type FileFilter = (file: FilteredFile) => boolean;

export interface FilteredFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

export type FilterSpec = Pick<
  JobSpec,
  | 'fileFilterRegex'
  | 'include'
  | 'exclude'
  | 'minSizeBytes'
  | 'maxSizeBytes'
  | 'modifiedAfterMs'
  | 'modifiedBeforeMs'
>;

/**
 * Compiled instructions of the largest pattern. Linear time still multiplies by them: a pattern of
 * 1,024 characters can reach 50,000, which costs 50 ms a name.
 */
const PROGRAM_MAX_INSTRUCTIONS = 4_000;

/** @throws invalid_argument with RE2's reason when a pattern is invalid or too large. */
export function compileFilters(spec: FilterSpec): FileFilter {
  const { fileFilterRegex, include, exclude } = spec;
  const { minSizeBytes = 0, maxSizeBytes = Infinity } = spec;
  const { modifiedAfterMs = -Infinity, modifiedBeforeMs = Infinity } = spec;
  const isNamed = fileFilterRegex === undefined ? undefined : compileNameFilter(fileFilterRegex);
  const isIncluded = include && compileGlobs(include, 'include');
  const isExcluded = exclude && compileGlobs(exclude, 'exclude');
  return ({ path, sizeBytes, mtimeMs }) =>
    sizeBytes >= minSizeBytes &&
    sizeBytes <= maxSizeBytes &&
    mtimeMs > modifiedAfterMs &&
    mtimeMs < modifiedBeforeMs &&
    (isNamed?.(path) ?? true) &&
    (isIncluded?.(path) ?? true) &&
    !(isExcluded?.(path) ?? false);
}

/** True when the last component of the path matches all of `pattern`. @throws invalid_argument */
export function compileNameFilter(pattern: string): (path: string) => boolean {
  if (pattern.length > JOB_LIMITS.regexMaxLength) {
    const rule = `must be at most ${JOB_LIMITS.regexMaxLength} characters, is ${pattern.length}`;
    throw refused('fileFilterRegex', rule);
  }
  const program = compile('fileFilterRegex', pattern);
  return (path) => program.testExact(lastComponent(path));
}

/** True when the path matches one of `patterns`. @throws invalid_argument */
export function compileGlobs(
  patterns: readonly string[],
  field: 'include' | 'exclude',
): (path: string) => boolean {
  const long = patterns.find(({ length }) => length === 0 || length > JOB_LIMITS.regexMaxLength);
  if (long !== undefined) {
    const rule = `must have globs of 1 to ${JOB_LIMITS.regexMaxLength} characters, has one of ${long.length}`;
    throw refused(field, rule);
  }
  const program = compile(field, patterns.map((glob) => `(?:${globSource(glob)})`).join('|'));
  return (path) => program.testExact(path);
}

/** What follows the last `/`; for a key that ends in `/`, the component before it. */
export function lastComponent(path: string): string {
  const end = path.endsWith('/') ? path.length - 1 : path.length;
  return path.slice(path.lastIndexOf('/', end - 1) + 1, end);
}

function compile(field: string, pattern: string): RE2JS {
  let program: RE2JS;
  try {
    program = RE2JS.compile(pattern, RE2JS.DOTALL);
  } catch (thrown) {
    if (!(thrown instanceof RE2JSException)) throw thrown;
    throw refused(field, `is not an RE2 pattern: ${thrown.message}`, thrown);
  }
  if (program.programSize() > PROGRAM_MAX_INSTRUCTIONS) {
    throw refused(field, 'is too complex: use fewer or smaller repetitions');
  }
  return program;
}

function refused(field: string, rule: string, cause?: unknown): RingloadError {
  return new RingloadError('invalid_argument', `${field} ${rule}`, { cause });
}
