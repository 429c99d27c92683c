/** The rules of paths as the segment cache wants them: groups of paths, and what each is worth. */
import {
  DEFAULT_POLICY,
  RANK_HIGH,
  RANK_LOW,
  RANK_MEDIUM,
  RANK_PINNED,
  type GroupPolicy,
  type Retention,
} from '../cache/retention.ts';
import type { RuleBook } from '../cluster/rule-book.ts';

const RANKS = { high: RANK_HIGH, medium: RANK_MEDIUM, low: RANK_LOW } as const;

/**
 * @param share of each quota that is this peer's, 0 to 1: the shares of all peers are 1 together, so
 *   that a quota holds without anybody asking the others.
 */
export function retentionOf(book: RuleBook, share: number): Retention {
  const policies = new Map<string, GroupPolicy>();
  const policyOf = (group: string): GroupPolicy => {
    if (group === '') return DEFAULT_POLICY;
    const known = policies.get(group);
    if (known) return known;
    const { pinned, priority, ttlMs } = book.effective(group);
    const policy: GroupPolicy = {
      rank: pinned === true ? RANK_PINNED : RANKS[priority ?? 'medium'],
      ...(ttlMs !== undefined && { ttlMs }),
      quotas: book
        .quotasOf(group)
        .map(({ path, quotaBytes }) => ({ path, bytes: Math.floor(quotaBytes * share) })),
    };
    policies.set(group, policy);
    return policy;
  };
  const paths = book.rules.map(({ path }) => path).sort();
  return { groupOf: (path) => book.groupOf(path), policyOf, groupsKey: JSON.stringify(paths) };
}
