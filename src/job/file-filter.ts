/**
 * The file filter of a job: a pattern that a file's last path component must match fully.
 *
 * Patterns come from users and meet every listed name, so they run on RE2: time linear in the
 * name, no look-around, no back-references (https://github.com/google/re2/wiki/Syntax). A dot also
 * matches a newline, since names may contain one.
 */
import { RE2JS, RE2JSException } from 're2js';
import { RingloadError } from '../base/errors.ts';
import { JOB_LIMITS } from './spec.ts';

/** True when the file at `path` is kept. */
export type FileFilter = (path: string) => boolean;

/**
 * Compiled instructions of the largest pattern. Linear time still multiplies by them: a pattern of
 * 1,024 characters can reach 50,000, which costs 50 ms a name.
 */
const PROGRAM_MAX_INSTRUCTIONS = 4_000;

/** @throws invalid_argument with RE2's reason when `pattern` is invalid or too large. */
export function compileFileFilter(pattern: string): FileFilter {
  if (pattern.length > JOB_LIMITS.regexMaxLength) {
    throw refused(`must be at most ${JOB_LIMITS.regexMaxLength} characters, is ${pattern.length}`);
  }
  const program = compile(pattern);
  if (program.programSize() > PROGRAM_MAX_INSTRUCTIONS) {
    throw refused('is too complex: use fewer or smaller repetitions');
  }
  return (path) => program.testExact(lastComponent(path));
}

/** What follows the last `/`; for a key that ends in `/`, the component before it. */
export function lastComponent(path: string): string {
  const end = path.endsWith('/') ? path.length - 1 : path.length;
  return path.slice(path.lastIndexOf('/', end - 1) + 1, end);
}

function compile(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern, RE2JS.DOTALL);
  } catch (thrown) {
    if (!(thrown instanceof RE2JSException)) throw thrown;
    throw refused(`is not an RE2 pattern: ${thrown.message}`, thrown);
  }
}

function refused(rule: string, cause?: unknown): RingloadError {
  return new RingloadError('invalid_argument', `fileFilterRegex ${rule}`, { cause });
}
