/** One comparison of owners' inventories with what they acknowledged: who was asked, who agrees. */
import type { PeerId } from '../base/ids.ts';
import { formatDigest } from '../cache/digest.ts';
import type { ExpectedInventory } from '../cluster/job-record.ts';
import type { InventoryReply } from './protocol.ts';

const NO_RECORDS = formatDigest(0n);

export class InventoryRound {
  readonly #expected: ReadonlyMap<PeerId, ExpectedInventory>;
  readonly #retryMs: number;
  readonly #askedMs = new Map<PeerId, number>();
  readonly #equal = new Set<PeerId>();

  constructor(expected: Readonly<Record<PeerId, ExpectedInventory>>, retryMs: number) {
    this.#expected = new Map(Object.entries(expected) as [PeerId, ExpectedInventory][]);
    this.#retryMs = retryMs;
  }

  /** Owners to ask now, again if they have not answered for a while. */
  takeDue(nowMs: number): PeerId[] {
    const due: PeerId[] = [];
    for (const peer of this.#expected.keys()) {
      const askedMs = this.#askedMs.get(peer) ?? -Infinity;
      if (this.#equal.has(peer) || nowMs - askedMs < this.#retryMs) continue;
      this.#askedMs.set(peer, nowMs);
      due.push(peer);
    }
    return due;
  }

  /** The process of `peer` is another one now: what it said before says nothing. */
  forget(peer: PeerId): void {
    this.#equal.delete(peer);
    this.#askedMs.delete(peer);
  }

  /** What `peer` should hold, when it holds something else; undefined when all is well. */
  mismatch(peer: PeerId, { inventory, records }: InventoryReply): ExpectedInventory | undefined {
    const expected = this.#expected.get(peer);
    if (!expected) return undefined;
    const isSame =
      inventory.segmentCount === expected.segmentCount &&
      inventory.digest === expected.digest &&
      (records?.recordCount ?? 0) === (expected.recordCount ?? 0) &&
      (records?.digest ?? NO_RECORDS) === (expected.recordDigest ?? NO_RECORDS);
    if (!isSame) return expected;
    this.#equal.add(peer);
    return undefined;
  }

  get isDone(): boolean {
    return this.#equal.size === this.#expected.size;
  }

  expected(): Iterable<ExpectedInventory> {
    return this.#expected.values();
  }
}
