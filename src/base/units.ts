/**
 * Sizes and durations as people write them. Inside the program a size is a whole number of bytes
 * and a duration a number of milliseconds; text is parsed and printed at the edge only.
 */
import { RingloadError } from './errors.ts';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

const BYTE_UNITS: Readonly<Record<string, number>> = { k: 1, m: 2, g: 3, t: 4, p: 5 };
const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * `4096`, `64k`, `64KiB`, `1.5gb`: powers of 1024, any case, no blank, cut to whole bytes.
 * @throws invalid_argument with Alluxio's wording, `Fail to parse <value> to bytes`.
 */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(?:b|([kmgtp])(?:b|i|ib)?)?$/i.exec(text);
  const bytes = match
    ? Math.floor(Number(match[1]) * 1024 ** (BYTE_UNITS[(match[2] ?? '').toLowerCase()] ?? 0))
    : Number.NaN;
  if (!Number.isSafeInteger(bytes)) {
    throw new RingloadError('invalid_argument', `Fail to parse ${text} to bytes`);
  }
  return bytes;
}

/** Alluxio's format: a value keeps its unit until it exceeds 5×1024 of it. 5121 → `5.00KB`. */
export function formatBytes(bytes: number): string {
  if (bytes <= 5 * 1024) return `${Math.trunc(bytes)}B`;
  let value = bytes;
  for (const unit of ['KB', 'MB', 'GB', 'TB', 'PB']) {
    value /= 1024;
    if (value <= 5 * 1024) return `${value.toFixed(2)}${unit}`;
  }
  return `${(value / 1024).toFixed(2)}EB`;
}

/** `250ms`, `2s`, `1.5m`, `1h`, `7d`, or a plain number of milliseconds. */
export function parseDurationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  const durationMs = match
    ? Number(match[1]) * (DURATION_UNITS_MS[match[2] ?? 'ms'] ?? 1)
    : Number.NaN;
  if (!Number.isFinite(durationMs)) {
    throw new RingloadError(
      'invalid_argument',
      `'${text}' is not a duration such as 250ms, 2s or 1h`,
    );
  }
  return durationMs;
}
