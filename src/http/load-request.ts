/**
 * A request of `/v1/load`, whatever its dialect: operation, path and options from the query, with
 * a JSON body filling what the query leaves out. Unknown names are ignored, as Alluxio does.
 */
import { RingloadError } from '../base/errors.ts';
import { jobPathOf, quoted } from '../job/canonical-path.ts';
import { SPEC_SPELLINGS, specFieldOf } from '../job/parse-spec.ts';
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

/** {@link rawPathOf} as jobs are known by. */
export function loadPathOf(query: Query, body: JsonObject | undefined): string {
  return jobPathOf(rawPathOf(query, body));
}

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
  for (const spelling of INDEX_SPELLINGS) {
    const value = body?.[spelling];
    if (value !== undefined && !named.has('index')) input[spelling] = value;
  }
  input['path'] = rawPathOf(query, body);
  return input;
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
