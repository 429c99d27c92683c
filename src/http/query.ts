/**
 * Request target and query, read from the request line as it came and decoded exactly once.
 *
 * Not `new URL()`: it folds `/b/a/../c` into `/b/c`, and keys are kept byte for byte.
 *
 * `+` in a query: form encoders write it for a blank, people who type `?path=s3://b/a+b` mean a
 * plus. A form encoder always encodes `:` and `/`, so a query whose `path` holds a raw `://` was
 * typed and keeps its pluses; in any other query `+` is a blank. `%2B` is a plus everywhere.
 */
import { RingloadError } from '../base/errors.ts';
import { quoted } from '../job/canonical-path.ts';
import { RefusedRequest } from './problem.ts';

export interface RequestTarget {
  /** Still percent-encoded; proven to decode, without NUL. */
  readonly path: string;
  readonly query: Query;
}

/**
 * @param url the request line's target; Node has refused all but printable ASCII.
 * @throws invalid_argument (400), payload_too_large (414)
 */
export function parseTarget(
  url: string,
  queryMaxBytes: number,
  { isLenient = false }: { readonly isLenient?: boolean } = {},
): RequestTarget {
  const local = url.replace(/^https?:\/\/[^/?]*/i, '');
  const mark = local.indexOf('?');
  const rawPath = mark === -1 ? local : local.slice(0, mark);
  const rawQuery = mark === -1 ? '' : local.slice(mark + 1);
  if (rawQuery.length > queryMaxBytes || rawPath.length > queryMaxBytes) {
    throw new RefusedRequest(
      414,
      'payload_too_large',
      `request target is over its limit of ${queryMaxBytes} bytes of query`,
    );
  }
  const path = rawPath === '' ? '/' : rawPath;
  decode(path, 'path of the URL');
  return { path, query: Query.parse(rawQuery, isLenient) };
}

/** Decoded parameters by name, in no particular order. Names are case-sensitive. */
export class Query {
  static readonly EMPTY = new Query(new Map());
  readonly #values: ReadonlyMap<string, readonly string[]>;

  private constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values;
  }

  /**
   * @param isLenient takes what has bad percent-encoding as it is.
   * @throws invalid_argument on bad percent-encoding or NUL, also in parameters nobody reads.
   */
  static parse(rawQuery: string, isLenient = false): Query {
    const pairs = rawQuery
      .split('&')
      .filter((part) => part !== '')
      .map((part): readonly [string, string] => {
        const equals = part.indexOf('=');
        return equals === -1 ? [part, ''] : [part.slice(0, equals), part.slice(equals + 1)];
      });
    const typed = pairs.some(([name, value]) => name === 'path' && value.includes('://'));
    const values = new Map<string, string[]>();
    for (const [rawName, rawValue] of pairs) {
      const name = isLenient ? leniently(rawName, typed) : decodeParameter(rawName, typed);
      const value = isLenient ? leniently(rawValue, typed) : decodeParameter(rawValue, typed);
      const earlier = values.get(name);
      if (earlier) earlier.push(value);
      else values.set(name, [value]);
    }
    return new Query(values);
  }

  /** @throws invalid_argument when the parameter is given more than once. */
  get(name: string): string | undefined {
    const values = this.#values.get(name);
    if (values !== undefined && values.length > 1) {
      throw new RingloadError('invalid_argument', `parameter ${name} is given more than once`);
    }
    return values?.[0];
  }

  /** @throws invalid_argument when missing, empty, or given more than once. */
  require(name: string): string {
    const value = this.get(name);
    if (value === undefined || value === '') {
      throw new RingloadError('invalid_argument', `parameter ${name} is missing`);
    }
    return value;
  }

  /** For Ringload's own API: a misspelt parameter must not be ignored. @throws invalid_argument */
  allowOnly(...names: readonly string[]): this {
    for (const name of this.#values.keys()) {
      if (names.includes(name)) continue;
      const known = names.length === 0 ? 'this resource has none' : `use ${names.join(', ')}`;
      throw new RingloadError('invalid_argument', `parameter ${quoted(name)} is unknown: ${known}`);
    }
    return this;
  }

  /** `true` or `false` in any case; omitted is `fallback`. @throws invalid_argument */
  boolean(name: string, fallback: boolean): boolean {
    const value = this.get(name)?.toLowerCase();
    if (value === undefined) return fallback;
    if (value === 'true') return true;
    if (value === 'false') return false;
    throw new RingloadError(
      'invalid_argument',
      `parameter ${name} ${quoted(value)} must be true or false`,
    );
  }
}

function leniently(raw: string, typed: boolean): string {
  try {
    return decodeParameter(raw, typed);
  } catch {
    return raw;
  }
}

function decodeParameter(raw: string, typed: boolean): string {
  return decode(typed ? raw : raw.replaceAll('+', ' '), 'query');
}

function decode(encoded: string, place: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(encoded);
  } catch (cause) {
    throw new RingloadError(
      'invalid_argument',
      `${place} has bad percent-encoding near ${quoted(encoded.slice(0, 80))}`,
      { cause },
    );
  }
  if (decoded.includes('\0')) {
    throw new RingloadError('invalid_argument', `${place} must not contain NUL`);
  }
  return decoded;
}
