/**
 * What a load command names: paths, an index file in the under store, or a list of paths in a
 * local file or on stdin, whose paths become those of the request.
 */
import { createReadStream } from 'node:fs';
import { RingloadError } from '../../base/errors.ts';
import { rootOfLine } from '../../job/index-line.ts';
import { JOB_LIMITS } from '../../job/spec.ts';
import { canonicalPaths } from '../../job/spec-paths.ts';
import type { LoadSource } from '../client/client.ts';
import { systemWords } from '../context.ts';
import { type CommandInput, usageError } from '../input.ts';

export interface NamedSource {
  readonly source: LoadSource;
  /** What messages call it. */
  readonly name: string;
}

const STDIN = '-';
/** Far more than the paths of one request may have: such a list is not read to its end. */
const LIST_MAX_BYTES = 16 * JOB_LIMITS.pathsMaxBytes;

/** @throws invalid_argument naming value and rule, in Alluxio's words where it has some. */
export async function sourceOf(
  input: CommandInput,
  paths: readonly string[],
): Promise<NamedSource> {
  const file = input.text('indexFile');
  if (file === undefined) {
    if (paths.length === 0) throw usageError('required flag(s) "path" not set');
    return named(paths);
  }
  if (paths.length > 0) {
    throw usageError(`--index-file '${file}' and the path '${paths[0] ?? ''}' exclude each other`);
  }
  if (file === '') throw usageError('--index-file must not be empty');
  if (file.includes('://')) {
    const index = withoutSlash(file);
    return { source: { index }, name: index };
  }
  const listed = await pathsIn(file);
  if (listed.length === 0) throw usageError(`${nameOf(file)} lists no path`);
  return named(listed);
}

function named(given: readonly string[]): NamedSource {
  for (const path of given) {
    if (path === '') throw usageError('the path must not be empty');
    if (path.includes('*')) throw usageError(`Load does not support wildcard path: '${path}'`);
  }
  const [only] = given;
  if (given.length === 1 && only !== undefined) {
    const path = withoutSlash(only);
    return { source: { path }, name: path };
  }
  const paths = canonicalPaths(given);
  const [first] = paths;
  if (first !== undefined && paths.length === 1) return { source: { path: first }, name: first };
  return { source: { paths }, name: paths.join(',') };
}

/** The paths of a local list. @throws invalid_argument with the bound, and what to do instead. */
async function pathsIn(file: string): Promise<readonly string[]> {
  const paths: string[] = [];
  let byteCount = 0;
  let rest = '';
  const take = (line: string): void => {
    const root = rootOfLine(line);
    if (root === undefined) return;
    paths.push(root);
    if (paths.length > JOB_LIMITS.pathsMaxCount) throw tooMany(file);
  };
  const decoder = new TextDecoder();
  try {
    const chunks = file === STDIN ? process.stdin : createReadStream(file);
    for await (const chunk of chunks as AsyncIterable<Uint8Array>) {
      byteCount += chunk.length;
      if (byteCount > LIST_MAX_BYTES) throw tooMany(file);
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(take);
    }
    take(rest + decoder.decode());
  } catch (thrown) {
    if (thrown instanceof RingloadError) throw thrown;
    throw usageError(`cannot read ${nameOf(file)}: ${systemWords(thrown)}`);
  }
  return paths;
}

function tooMany(file: string): RingloadError {
  const { pathsMaxCount, pathsMaxBytes } = JOB_LIMITS;
  return usageError(
    `${nameOf(file)} lists too much: at most ${pathsMaxCount} paths of together ${pathsMaxBytes} bytes are taken from here; put the list into the under store and name it there, such as --index-file s3://bucket/list`,
  );
}

function nameOf(file: string): string {
  return file === STDIN ? 'the list on stdin' : `the list ${file}`;
}

export function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
