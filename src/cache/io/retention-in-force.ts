/**
 * Which rules of retention hold in a file store, and that every resident segment is in the group
 * that they put its path into. Nothing is evicted while that is not known of all of them.
 */
import { spaceOf } from '../layout.ts';
import { NO_RETENTION, RANK_PINNED, type Quota, type Retention } from '../retention.ts';
import type { EntryId } from '../segment-index.ts';
import type { KeyHash } from '../key-hash.ts';
import { decodeBody } from '../sidecar-format.ts';
import { recordDrop } from './drop-copy.ts';
import { listEntries } from './list-segments.ts';
import type { SegmentCopy, StoreParts } from './store-parts.ts';

/** Let go of in one go, so that not every reservation looks at all segments. */
const QUOTA_STEP_SHARE = 1 / 32;
/** Entries looked at between two pauses. */
const SLICE_ENTRIES = 32 * 1024;

export class RetentionInForce {
  #rules: Retention = NO_RETENTION;
  /** Grows with each change: work for an older one ends. */
  #generation = 0;
  #pending = 0;
  #isAwaited: boolean;
  /** Space of open reservations, by group. */
  readonly #reserved = new Map<string, number>();

  /** @param isAwaited nothing is evicted before rules were set once. */
  constructor(isAwaited: boolean) {
    this.#isAwaited = isAwaited;
  }

  get isKnown(): boolean {
    return !this.#isAwaited && this.#pending === 0;
  }

  groupOf(path: string): string {
    return this.#rules.groupOf(path);
  }

  /** Resolves when the rules hold for all that is resident. @throws cache_io */
  async set(store: StoreParts, rules: Retention): Promise<void> {
    const isRegrouping = rules.groupsKey !== this.#rules.groupsKey;
    this.#rules = rules;
    this.#isAwaited = false;
    store.table.setPolicy((group) => rules.policyOf(group));
    if (!isRegrouping) return;
    const generation = ++this.#generation;
    this.#pending += 1;
    try {
      for await (const { id, record } of listEntries(store)) {
        if (generation !== this.#generation) return;
        store.table.regroup(id, rules.groupOf(decodeBody(record).key.path));
      }
    } finally {
      this.#pending -= 1;
    }
  }

  /** Lets go of what has been here for longer than its rule allows; returns how many that were. */
  async expire(store: StoreParts, nowStamp: number, pause: () => Promise<void>): Promise<number> {
    const { table } = store;
    let count = 0;
    for (let id: EntryId = 1; id <= table.index.highestId; id += 1) {
      if (id % SLICE_ENTRIES === 0) await pause();
      if (!table.index.isLive(id) || table.isLeased(id)) continue;
      const { ttlMs } = table.policyOf(id);
      const ageMs = 1000 * (nowStamp - table.index.stampOf(id));
      if (ttlMs === undefined || ageMs < ttlMs || isPinned(store, id)) continue;
      letGo(store, id);
      count += 1;
    }
    return count;
  }

  /**
   * Room for that much more under each quota of the path, letting go of what came first. It counts
   * until it is given back.
   * @returns the quota that leaves no room, if one does
   */
  reserve(store: StoreParts, path: string, space: number): Quota | undefined {
    const group = this.groupOf(path);
    const { quotas } = this.#rules.policyOf(group);
    const full = quotas.find((quota) => !this.#shrink(store, quota, space));
    if (!full) this.#reserved.set(group, (this.#reserved.get(group) ?? 0) + space);
    return full;
  }

  /** @param group as it was when it was reserved */
  giveBack(group: string, space: number): void {
    const left = (this.#reserved.get(group) ?? 0) - space;
    if (left > 0) this.#reserved.set(group, left);
    else this.#reserved.delete(group);
  }

  #shrink(store: StoreParts, quota: Quota, space: number): boolean {
    let used = space;
    const isInside = (group: string): boolean =>
      this.#rules.policyOf(group).quotas.some(({ path }) => path === quota.path);
    for (const sums of [store.table.spaceByGroup(), this.#reserved])
      for (const [group, bytes] of sums) if (isInside(group)) used += bytes;
    if (used <= quota.bytes) return true;
    if (space > quota.bytes) return false;
    const wanted = Math.max(used - quota.bytes, quota.bytes * QUOTA_STEP_SHARE);
    return letGoOldest(store, isInside, wanted) >= used - quota.bytes;
  }
}

function isPinned(store: StoreParts, id: EntryId): boolean {
  return store.table.policyOf(id).rank === RANK_PINNED;
}

/** Of the lowest rank and the oldest first, until that many bytes are gone. */
function letGoOldest(
  store: StoreParts,
  isInside: (group: string) => boolean,
  wanted: number,
): number {
  const { table } = store;
  const found: { readonly id: EntryId; readonly order: number }[] = [];
  for (let id: EntryId = 1; id <= table.index.highestId; id += 1) {
    if (!table.index.isLive(id) || table.isLeased(id) || isPinned(store, id)) continue;
    if (isInside(table.groupOf(id)))
      found.push({ id, order: table.rankOf(id) * 2 ** 32 + table.index.stampOf(id) });
  }
  found.sort((a, b) => a.order - b.order || a.id - b.id);
  let gone = 0;
  for (const { id } of found) {
    if (gone >= wanted) break;
    gone += spaceOf(table.index.lengthOf(id));
    letGo(store, id);
  }
  return gone;
}

function letGo(store: StoreParts, id: EntryId): void {
  const { table, regions, directories, counters } = store;
  const location = table.locationOf(id);
  const hash: KeyHash = table.index.hashOf(id);
  table.evict(id);
  counters.evicted += 1;
  const region = regions[location.slot];
  const directory = region && directories[region.directoryIndex];
  if (!directory) return;
  const copy: SegmentCopy = { hash, location, region, directory };
  recordDrop(store, copy, location.recordOffset).catch(() => undefined);
}
