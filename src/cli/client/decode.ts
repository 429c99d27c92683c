/**
 * Checks on values that arrived from outside. A check returns the very value it was given, so
 * fields that a newer peer added survive into the JSON output; it throws {@link MalformedAnswer}
 * naming the first place that is not as promised.
 */

export type Check<T> = (value: unknown, at: string) => T;

export class MalformedAnswer extends Error {}

export const text: Check<string> = (value, at) => {
  if (typeof value !== 'string') throw wrong(at, 'a text');
  return value;
};

export const number: Check<number> = (value, at) => {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(at, 'a number');
  return value;
};

export const boolean: Check<boolean> = (value, at) => {
  if (typeof value !== 'boolean') throw wrong(at, 'true or false');
  return value;
};

export function oneOf<const T extends string>(values: readonly T[]): Check<T> {
  return (value, at) => {
    const known = values.find((candidate) => candidate === value);
    if (known === undefined) throw wrong(at, `one of ${values.join(', ')}`);
    return known;
  };
}

/** A branded text: checked as a text, typed as the brand. */
export function brandedText<T extends string>(): Check<T> {
  return (value, at) => {
    text(value, at);
    return value as T;
  };
}

export function brandedNumber<T extends number>(): Check<T> {
  return (value, at) => {
    number(value, at);
    return value as T;
  };
}

export function listOf<T>(check: Check<T>): Check<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) throw wrong(at, 'a list');
    value.forEach((item, index) => check(item, `${at}[${index}]`));
    return value as readonly T[];
  };
}

export function pairOf<T>(check: Check<T>): Check<readonly [T, T]> {
  const list = listOf(check);
  return (value, at) => {
    if (list(value, at).length !== 2) throw wrong(at, 'a pair');
    return value as [T, T];
  };
}

export function optional<T>(check: Check<T>): Check<T | undefined> {
  return (value, at) => (value === undefined ? undefined : check(value, at));
}

/** An object whose every field named in T passes its check; further fields are let be. */
export function shape<T extends object>(fields: {
  readonly [K in keyof T]-?: Check<T[K]> | Check<T[K] | undefined>;
}): Check<T> {
  const checks: [string, Check<unknown>][] = Object.entries(fields);
  return (value, at) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw wrong(at, 'an object');
    }
    const given = new Map<string, unknown>(Object.entries(value));
    for (const [name, check] of checks) {
      check(given.get(name), at === '' ? name : `${at}.${name}`);
    }
    return value as T;
  };
}

function wrong(at: string, wanted: string): MalformedAnswer {
  return new MalformedAnswer(`${at === '' ? 'the answer' : at} is not ${wanted}`);
}
