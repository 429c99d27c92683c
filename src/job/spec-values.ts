/** Values of a load request, as text, numbers and sizes. Every refusal names value and rule. */
import { RingloadError } from '../base/errors.ts';
import { parseIsoTimeMs } from '../base/iso-time.ts';
import { parseBytes } from '../base/units.ts';
import { quoted } from './canonical-path.ts';

export interface Given {
  /** As the caller spelled it. */
  readonly name: string;
  readonly value: unknown;
}

export interface IntegerRule {
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
}

export function text(given: Given): string {
  if (typeof given.value !== 'string') throw refused(given, 'must be text');
  return given.value;
}

/** A list, or one text for a list of one. */
export function texts(given: Given): readonly string[] {
  const { value } = given;
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (!list.every((item) => typeof item === 'string'))
    throw refused(given, 'must be a list of text');
  return list;
}

export function wholeNumber(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined;
}

export function within(given: Given, value: number, rule: { min: number; max: number }): number {
  if (value < rule.min || value > rule.max) {
    throw refused(given, `must be between ${rule.min} and ${rule.max}`);
  }
  return value;
}

/** A whole number of bytes, or a size as text (`64MiB`). */
export function bytes(given: Given): number {
  const value = wholeNumber(given.value);
  if (value !== undefined) {
    if (value < 0) throw refused(given, 'must not be negative');
    return value;
  }
  if (typeof given.value !== 'string') throw refused(given, 'must be a size in bytes');
  try {
    return parseBytes(given.value);
  } catch (cause) {
    throw refused(given, 'must be a size such as 1048576 or 1MiB', cause);
  }
}

export function refused(given: Given, rule: string, cause?: unknown): RingloadError {
  const shown =
    typeof given.value === 'string' ? quoted(given.value) : quoted(JSON.stringify(given.value));
  return new RingloadError('invalid_argument', `${given.name} ${shown} ${rule}`, { cause });
}

/** Milliseconds since 1970, from such a number or a date with a time zone. */
export function timeMs(given: Given): number {
  const { value } = given;
  const number = wholeNumber(value);
  if (number !== undefined && number >= 0) return number;
  const ms = typeof value === 'string' ? parseIsoTimeMs(value) : undefined;
  if (ms !== undefined && ms >= 0) return ms;
  throw refused(
    given,
    'must be a time such as 2026-01-31, 2026-01-31T12:00:00Z or milliseconds since 1970',
  );
}
