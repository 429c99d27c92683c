/**
 * What the cache keeps longer than the rest, and what it lets go of sooner. Paths that are treated
 * alike form a group; a segment knows its group, so that rules can change without a look at every
 * segment, unless the groups themselves change.
 */

import { RingloadError } from '../base/errors.ts';

/** Evicted in this order: 0 first. What was read through and not read again comes before all. */
export const RANK_ON_TRIAL = 0;
export const RANK_LOW = 1;
export const RANK_MEDIUM = 2;
export const RANK_HIGH = 3;
/** Never evicted. */
export const RANK_PINNED = 4;
export type Rank = 0 | 1 | 2 | 3 | 4;
export const RANK_COUNT = 5;

export interface Quota {
  /** Groups at or below it share the quota. */
  readonly path: string;
  /** This peer's part of it. */
  readonly bytes: number;
}

export interface GroupPolicy {
  readonly rank: Exclude<Rank, 0>;
  /** Let go of once it has been here for so long, unless it is pinned or leased. */
  readonly ttlMs?: number;
  readonly quotas: readonly Quota[];
}

export interface Retention {
  /** Where segments of the path belong; the same text as long as the groups are the same. */
  groupOf(path: string): string;
  policyOf(group: string): GroupPolicy;
  /** Changes whenever some path may belong to another group. */
  readonly groupsKey: string;
}

export const DEFAULT_POLICY: GroupPolicy = { rank: RANK_MEDIUM, quotas: [] };

export const NO_RETENTION: Retention = {
  groupOf: () => '',
  policyOf: () => DEFAULT_POLICY,
  groupsKey: '',
};

/**
 * What is on trial may fill this share of the cache before it is evicted ahead of everything else:
 * as the small queue of S3-FIFO.
 */
export const TRIAL_SHARE = 1 / 10;
/**
 * A segment that is read again counts as wanted only after this share of the cache has been written
 * since it came: the ranges of one pass over a file are one read.
 */
export const AGAIN_AFTER_SHARE = 1 / 64;

/** Ranks to evict up to, one after the other, until one of them gives room. */
export function evictionSteps(spaceAtRank: readonly number[], capacityBytes: number): Rank[] {
  const steps: Rank[] = [];
  if ((spaceAtRank[RANK_ON_TRIAL] ?? 0) > capacityBytes * TRIAL_SHARE) steps.push(RANK_ON_TRIAL);
  if ((spaceAtRank[RANK_LOW] ?? 0) > 0) steps.push(RANK_LOW);
  steps.push(RANK_MEDIUM);
  if ((spaceAtRank[RANK_HIGH] ?? 0) > 0) steps.push(RANK_HIGH);
  return steps;
}

/** What a reservation fails with that a quota leaves no room for. */
export function quotaFull(path: string, lengthBytes: number, quota: Quota): RingloadError {
  return new RingloadError(
    'cache_full',
    `find room for ${lengthBytes} bytes of ${path}: the quota of ${quota.path} gives this peer ` +
      `${quota.bytes} bytes, and what they hold is leased or pinned`,
    { details: { lengthBytes, quotaBytes: quota.bytes } },
  );
}
