/**
 * Which of two links of one pair of peers survives. Pure.
 *
 * Both ends see the same two links, perhaps in another order, and must agree without a word:
 * the link dialled by the peer with the smaller id wins. A later start of a process always wins
 * over an earlier one, and a later dial of a process over its earlier ones.
 */
import type { PeerId } from '../base/ids.ts';
import type { RefusalReason } from './refusal.ts';
import type { RemotePeer } from './wire.ts';

export interface LinkFacts {
  readonly remote: RemotePeer;
  readonly dialledBySelf: boolean;
  readonly dialNumber: number;
}

export type LinkChoice =
  /** The remote process is a new one, or has lost the existing link: close that. */
  | { readonly kind: 'replace'; readonly restarted: boolean }
  /** The candidate wins a duplicate: the existing link finishes what it carries. */
  | { readonly kind: 'switch' }
  /** The existing link wins a duplicate. */
  | { readonly kind: 'keep' }
  | { readonly kind: 'refuse'; readonly reason: RefusalReason };

export function chooseLink(existing: LinkFacts, candidate: LinkFacts, self: PeerId): LinkChoice {
  const from = existing.remote;
  const to = candidate.remote;
  if (to.generation < from.generation) return { kind: 'refuse', reason: 'stale_generation' };
  if (to.generation > from.generation) return { kind: 'replace', restarted: true };
  if (to.instance !== from.instance) return { kind: 'refuse', reason: 'duplicate_id' };
  // Why: nobody dials while it has a link, so a later dial from one side means the earlier is lost.
  // What was dialled earlier and arrives later was held up on the way: its dialler gave it up.
  if (existing.dialledBySelf === candidate.dialledBySelf) {
    return candidate.dialNumber > existing.dialNumber
      ? { kind: 'replace', restarted: false }
      : { kind: 'refuse', reason: 'stale_dial' };
  }
  return isPreferred(candidate, self) ? { kind: 'switch' } : { kind: 'keep' };
}

function isPreferred(link: LinkFacts, self: PeerId): boolean {
  return link.dialledBySelf === self < link.remote.id;
}
