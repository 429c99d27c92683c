/**
 * A request of `/v1/load`, whatever its dialect: operation, path and options from the query, with
 * a JSON body filling what the query leaves out. Unknown names are ignored, as Alluxio does.
 */
import { RingloadError } from '../base/errors.ts';
import { jobPathOf, quoted } from '../job/canonical-path.ts';
import type { JobRef } from '../cluster/job-identity.ts';
import { canonicalPaths } from '../job/spec-paths.ts';
import { SPEC_SPELLINGS, specFieldOf } from '../job/spec-spellings.ts';
import { isJsonObject, type JsonObject } from './strict-json.ts';
import type { Query } from './query.ts';

export type LoadOperation = 'submit' | 'progress' | 'stop';
export type ReportFormat = 'TEXT' | 'JSON';

const INDEX_SPELLINGS = SPEC_SPELLINGS.filter((spelling) => specFieldOf(spelling) === 'index');
/** alluxiofs puts its own prefix before the real path. */
const CLIENT_PREFIX = 'alluxiofs://';

/** @throws invalid_argument when missing, unknown (naming it), or contradictory. */
export function operationOf(query: Query): LoadOperation {
  const given = query.get('opType');
  const alias = query.get('optType');
  if (given !== undefined && alias !== undefined && given !== alias) {
    throw new RingloadError('invalid_argument', 'parameters opType and optType differ');
  }
  const text = given ?? alias;
  if (text === undefined || text === '') {
    throw new RingloadError(
      'invalid_argument',
      'parameter opType is missing: use submit, progress or stop',
    );
  }
  const operation = text.toLowerCase();
  if (operation === 'submit' || operation === 'progress' || operation === 'stop') return operation;
  throw new RingloadError(
    'invalid_argument',
    `parameter opType ${quoted(text)} is unknown: use submit, progress or stop`,
  );
}

/** The path as given, without a client's prefix. @throws invalid_argument when missing. */
export function rawPathOf(query: Query, body: JsonObject | undefined): string {
  const given = query.get('path') ?? textMember(body, 'path');
  if (given === undefined || given === '') {
    throw new RingloadError('invalid_argument', 'parameter path is missing');
  }
  return withoutClientPrefix(given);
}

/** A job by what it loads: an index file, several paths, else a path. @throws invalid_argument */
export function loadRefOf(query: Query, body: JsonObject | undefined): LoadRef {
  for (const spelling of INDEX_SPELLINGS) {
    const index = query.get(spelling) ?? textMember(body, spelling);
    if (index !== undefined && index !== '')
      return { index: jobPathOf(withoutClientPrefix(index)) };
  }
  const paths: unknown = body?.['paths'];
  if (Array.isArray(paths) && query.get('path') === undefined) return pathsRefOf(paths);
  return { path: jobPathOf(rawPathOf(query, body)) };
}

/** @throws invalid_argument */
export function pathsRefOf(given: readonly unknown[]): LoadRef {
  const texts = given.filter((path) => typeof path === 'string' && path !== '') as string[];
  const paths = canonicalPaths(texts.map(withoutClientPrefix));
  const [path] = paths;
  if (path === undefined || texts.length < given.length) {
    throw new RingloadError('invalid_argument', 'paths must be a list of paths');
  }
  return paths.length === 1 ? { path } : { paths };
}

/** What answers call the load by: its path, or the path of its index file. */
export function loadName(ref: LoadRef): string {
  if ('index' in ref) return ref.index;
  return 'path' in ref ? ref.path : ref.paths.join(',');
}

export type LoadRef = Exclude<JobRef, { readonly id: unknown } | { readonly alias: string }>;

/** The input of `parseJobSpec`: the query's options, then those of the body it does not name. */
export function specInputOf(query: Query, body: JsonObject | undefined): JsonObject {
  const input: Record<string, unknown> = {};
  for (const spelling of SPEC_SPELLINGS) {
    const value = query.get(spelling);
    if (value !== undefined && value !== '') input[spelling] = value;
  }
  const named = new Set(Object.keys(input).map(specFieldOf));
  for (const [spelling, value] of Object.entries(optionsOf(body))) {
    const field = specFieldOf(spelling);
    if (field !== undefined && field !== 'path' && !named.has(field)) input[spelling] = value;
  }
  // Why: a body that names a list of paths must not be taken for a load of its path alone.
  for (const spelling of [...INDEX_SPELLINGS, 'paths', 'alias', 'priority']) {
    const value = body?.[spelling];
    const field = specFieldOf(spelling);
    if (value !== undefined && field !== undefined && !named.has(field)) input[spelling] = value;
  }
  if (input['paths'] !== undefined) input['paths'] = pathsWithoutPrefix(input['paths']);
  const isNamed = Object.keys(input).some((name) =>
    ['index', 'paths'].includes(specFieldOf(name) ?? ''),
  );
  const path = query.get('path') ?? textMember(body, 'path');
  if (!isNamed || path !== undefined) input['path'] = rawPathOf(query, body);
  return input;
}

function pathsWithoutPrefix(paths: unknown): unknown {
  if (!Array.isArray(paths)) return paths;
  return paths.map((path: unknown) =>
    typeof path === 'string' ? withoutClientPrefix(path) : path,
  );
}

export function withoutClientPrefix(path: string): string {
  return path.startsWith(CLIENT_PREFIX) ? path.slice(CLIENT_PREFIX.length) : path;
}

/** Whether reports are verbose; only the opposite of `fallback` has to be spelled right. */
export function verboseOf(query: Query, body: JsonObject | undefined, fallback: boolean): boolean {
  const given = query.get('verbose') ?? scalarMember(body, 'verbose');
  const text = given?.toLowerCase();
  return fallback ? text !== 'false' : text === 'true';
}

/** Undefined when not asked for. @throws invalid_argument on another format. */
export function formatOf(query: Query, body: JsonObject | undefined): ReportFormat | undefined {
  const given = query.get('progressFormat') ?? query.get('format') ?? textMember(body, 'format');
  if (given === undefined || given === '') return undefined;
  const format = given.toUpperCase();
  if (format === 'TEXT' || format === 'JSON') return format;
  throw new RingloadError('invalid_argument', `format ${quoted(given)} must be TEXT or JSON`);
}

function optionsOf(body: JsonObject | undefined): JsonObject {
  const options = body?.['options'];
  return isJsonObject(options) ? options : {};
}

function textMember(body: JsonObject | undefined, name: string): string | undefined {
  const value = body?.[name];
  return typeof value === 'string' ? value : undefined;
}

function scalarMember(body: JsonObject | undefined, name: string): string | undefined {
  const value = body?.[name];
  return typeof value === 'string' || typeof value === 'boolean' ? String(value) : undefined;
}
