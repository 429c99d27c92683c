/**
 * What users want of the cache for a path and all below it, and how it is written. Which rule is in
 * force for a path is `cluster/rule-book.ts`; each part of a rule is carried out by who owns it:
 * freshness by readers, the rest by the segment cache.
 */
import { RingloadError } from './errors.ts';
import { parseBytes, parseDurationMs } from './units.ts';

/** What is evicted first when room is needed: `low`; `medium` is what has no rule. */
export const PRIORITIES = ['high', 'medium', 'low'] as const;
export type Priority = (typeof PRIORITIES)[number];

/**
 * How far a reader trusts what is known of a file. `immutable`: what was loaded is served as it was
 * loaded. `revalidateAfterMs`: the under store is asked for the version again once that much time
 * has passed since the last answer; 0: for each read. `skip`: never cached.
 */
export type Freshness = 'immutable' | 'skip' | { readonly revalidateAfterMs: number };

export interface PathRule {
  /** Canonical, without trailing slash. */
  readonly path: string;
  /** Never evicted. */
  readonly pinned?: boolean;
  readonly priority?: Priority;
  /** Evicted once it has been in a cache for so long. */
  readonly ttlMs?: number;
  /** Bytes of all peers together, copies counted. */
  readonly quotaBytes?: number;
  readonly freshness?: Freshness;
}

/** What a rule may say, apart from its path. */
export const RULE_FIELDS = ['pinned', 'priority', 'ttlMs', 'quotaBytes', 'freshness'] as const;
export type RuleField = (typeof RULE_FIELDS)[number];

/** A change of one rule; `null` takes a field away. */
export type RuleChanges = {
  readonly [Field in RuleField]?: PathRule[Field] | null;
};

/** A year: what is to be kept longer needs no such rule. */
export const RULE_TIME_MAX_MS = 366 * 86_400_000;
/** Shorter times cannot be kept by a sweep that runs every few seconds. */
export const TTL_MIN_MS = 1000;

/** `immutable`, `always`, `skip`, or a duration such as `30s`. @throws invalid_argument */
export function parseFreshness(text: string): Freshness {
  if (text === 'immutable' || text === 'skip') return text;
  if (text === 'always') return { revalidateAfterMs: 0 };
  const revalidateAfterMs = Math.round(durationOf(text));
  if (revalidateAfterMs >= 0 && revalidateAfterMs <= RULE_TIME_MAX_MS) return { revalidateAfterMs };
  throw new RingloadError(
    'invalid_argument',
    `freshness '${text.slice(0, 50)}' is not immutable, always, skip, or a duration such as 30s`,
  );
}

/** The inverse of {@link parseFreshness}. */
export function formatFreshness(freshness: Freshness): string {
  if (typeof freshness === 'string') return freshness;
  const { revalidateAfterMs } = freshness;
  if (revalidateAfterMs === 0) return 'always';
  return revalidateAfterMs % 1000 === 0
    ? `${String(revalidateAfterMs / 1000)}s`
    : `${String(revalidateAfterMs)}ms`;
}

/** @throws invalid_argument */
export function parsePriority(text: string): Priority {
  const priority = PRIORITIES.find((known) => known === text.toLowerCase());
  if (priority) return priority;
  throw new RingloadError(
    'invalid_argument',
    `priority '${text.slice(0, 50)}' is not high, medium or low`,
  );
}

/** @throws invalid_argument */
export function parseTtlMs(text: string): number {
  const ttlMs = Math.round(durationOf(text));
  if (ttlMs >= TTL_MIN_MS && ttlMs <= RULE_TIME_MAX_MS) return ttlMs;
  throw new RingloadError(
    'invalid_argument',
    `ttl '${text.slice(0, 50)}' is not a duration from 1s to 366d`,
  );
}

/** @throws invalid_argument */
export function parseQuotaBytes(text: string): number {
  const quotaBytes = parseBytes(text);
  if (quotaBytes > 0) return quotaBytes;
  throw new RingloadError('invalid_argument', `quota '${text}' has to be a byte or more`);
}

function durationOf(text: string): number {
  try {
    return parseDurationMs(text);
  } catch {
    return Number.NaN;
  }
}
