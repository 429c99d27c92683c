/**
 * Finds places for new segments in one directory, emptying regions when it is full: what is leased
 * or of a higher rank than what is being evicted, and some that was read, is moved first, the rest
 * is evicted. Ranks go one after the other, as long as they give room without too much moving.
 *
 * Invariant: a leased or pinned segment is never evicted, and a moved one is durable in its new
 * place before its old region is reset.
 */
import type { RingloadError } from '../../base/errors.ts';
import { spaceOf } from '../layout.ts';
import type { Place, Region } from '../region.ts';
import { paddingOf } from '../region-set.ts';
import { evictionSteps, RANK_LOW, RANK_MEDIUM, type Rank } from '../retention.ts';
import type { EntryId } from '../segment-index.ts';
import type { CacheDirectory } from './cache-directory.ts';
import { moveSegment } from './move-segment.ts';
import type { StoreParts } from './store-parts.ts';

/** `busy`: waiting for readers or writers may help; `full`: only ending leases or pins does. */
export type NoRoom = 'busy' | 'full';

/** Regions emptied for one reservation before it is told that there is no room. */
const ROUND_MAX_COUNT = 8;
/** Moves in flight: enough for one sync to cover many. */
const MOVE_BATCH_COUNT = 64;

interface RoomRequest {
  readonly space: number;
  readonly room: number;
  readonly mayTakeOpen: boolean;
}

/** A region to be emptied of what is not leased and not above the rank. */
interface Victim {
  readonly region: Region;
  readonly rank: Rank;
}

export class RoomMaker {
  readonly #directory: CacheDirectory;
  readonly #store: StoreParts;
  #queue: Promise<unknown> = Promise.resolve();
  #queueLength = 0;

  constructor(directory: CacheDirectory, store: StoreParts) {
    this.#directory = directory;
    this.#store = store;
  }

  /** A place in the open region, unless others wait for one already. The region gets pinned. */
  tryPlace(lengthBytes: number): Place | undefined {
    return this.#queueLength === 0 ? this.#allocate(lengthBytes) : undefined;
  }

  /** A place after emptying what has to be, in the order of the calls. @throws cache_io */
  makePlace(lengthBytes: number): Promise<Place | NoRoom> {
    this.#queueLength++;
    const place = this.#queue.then(() => this.#makePlace(lengthBytes));
    this.#queue = place
      .catch(() => undefined)
      .finally(() => {
        this.#queueLength--;
      });
    return place;
  }

  /** Resolves when no call is under way. */
  async idle(): Promise<void> {
    await this.#queue;
  }

  #allocate(lengthBytes: number): Place | undefined {
    const region = this.#directory.set.open;
    const offset = region?.allocate(lengthBytes);
    if (!region || offset === undefined) return undefined;
    this.#directory.pin(region);
    this.#directory.reservedBytes += spaceOf(lengthBytes);
    return { region, offset };
  }

  async #makePlace(lengthBytes: number): Promise<Place | NoRoom> {
    for (let round = 0; round < ROUND_MAX_COUNT; round++) {
      this.#directory.checkServing();
      const place = this.#allocate(lengthBytes);
      if (place) return place;
      const obstacle = await this.#advance(spaceOf(lengthBytes));
      if (obstacle) return obstacle;
    }
    return 'busy';
  }

  /** One step towards an open region with that much space; returns what forbids it. */
  async #advance(space: number): Promise<NoRoom | undefined> {
    const { set } = this.#directory;
    if (set.freeCount === 0) {
      // After a crash, an abandoned region or a slow reader: there is no spare to compact into.
      const room = set.open?.tailSpace ?? 0;
      const choice = this.#chooseVictim({ space: 0, room, mayTakeOpen: false });
      return typeof choice === 'string' ? choice : this.#reclaim(choice, room);
    }
    if (set.freeCount > 1) {
      await this.#directory.openNextRegion();
      return undefined;
    }
    const room = set.regions[0]?.sizeBytes ?? 0;
    const choice = this.#chooseVictim({ space, room, mayTakeOpen: true });
    if (typeof choice === 'string') return choice;
    await this.#directory.openNextRegion();
    return this.#reclaim(choice, room - space);
  }

  /** The lowest rank that gives a region; what is above the medium one is touched at last only. */
  #chooseVictim(request: RoomRequest): Victim | NoRoom {
    const { table, capacityBytes } = this.#directory;
    let obstacle: NoRoom = 'full';
    // Why: while segments are being told which rules they fall under, any may be pinned.
    if (!this.#store.retention.isKnown) return 'busy';
    for (const rank of evictionSteps(table.spaceAtRank, capacityBytes)) {
      const choice = this.#chooseAtRank(request, rank);
      if (typeof choice !== 'string') return choice;
      if (choice === 'busy') obstacle = 'busy';
    }
    return obstacle;
  }

  #chooseAtRank(request: RoomRequest, rank: Rank): Victim | NoRoom {
    const { set, table } = this.#directory;
    const count = (region: Region): number => {
      const bytes = table.keptSpaceOf(region.slot, rank);
      region.keptSpace[rank] = { bytes, atReleaseCount: table.releaseCount };
      return bytes;
    };
    const known = (region: Region): number | undefined => {
      const kept = region.keptSpace[rank];
      return kept?.atReleaseCount === table.releaseCount ? kept.bytes : undefined;
    };
    for (;;) {
      const choice = set.chooseVictim({
        ...request,
        isSparing: rank < RANK_MEDIUM,
        keptSpaceOf: (region) => known(region) ?? count(region),
      });
      if (choice.kind !== 'victim') return choice.kind;
      // Why: leases may have been added since the region was counted, never taken away.
      const before = known(choice.region);
      if (count(choice.region) === before) return { region: choice.region, rank };
    }
  }

  /** Moves what is worth it within `room` bytes, evicts the rest, and frees the region. */
  async #reclaim({ region: victim, rank }: Victim, room: number): Promise<NoRoom | undefined> {
    const { table } = this.#directory;
    const remaining = new Set(table.index.takeRegion(victim.slot));
    let isEmptied = false;
    try {
      // Why twice: a segment may get its first lease while others are being moved.
      if (await this.#moveKept(remaining, rank)) {
        await this.#moveHot(remaining, room);
        isEmptied = await this.#moveKept(remaining, rank);
      }
    } finally {
      if (isEmptied || this.#directory.state === 'failed') {
        this.#store.counters.evicted += table.purge(remaining);
      } else {
        table.putBack(remaining);
      }
    }
    if (!isEmptied) return 'busy';
    await this.#directory.retire(victim);
    return undefined;
  }

  /** False when there is no room for one of them. On true, nothing that remains is to be kept. */
  async #moveKept(remaining: Set<EntryId>, rank: Rank): Promise<boolean> {
    const { table } = this.#directory;
    for (;;) {
      if (!this.#store.retention.isKnown) return false;
      const kept = [...remaining].filter((id) => table.index.isLive(id) && table.isKept(id, rank));
      if (kept.length === 0) return true;
      if (!(await this.#moveAll(kept, remaining))) return false;
    }
  }

  /** Moves segments that were read, oldest first, as far as half a region allows. */
  async #moveHot(remaining: Set<EntryId>, room: number): Promise<void> {
    const { table, set } = this.#directory;
    const half = (set.regions[0]?.sizeBytes ?? 0) / 2;
    const used = room - (set.open?.tailSpace ?? 0);
    let budget = Math.min(half, room) - Math.max(0, used) - paddingOf(1);
    const hot = [...remaining].filter((id) => {
      if (!table.index.isLive(id) || table.index.heatOf(id) === 0) return false;
      // Why not those: what goes first goes, however often the ranges of one pass touched it.
      if (table.rankOf(id) <= RANK_LOW) return false;
      budget -= spaceOf(table.index.lengthOf(id));
      return budget >= 0;
    });
    await this.#moveAll(hot, remaining);
  }

  /** False when the open region has no more room for one of them. */
  async #moveAll(ids: readonly EntryId[], remaining: Set<EntryId>): Promise<boolean> {
    const { index } = this.#directory.table;
    // Why: with the large ones first, alignment wastes at most one page.
    const sorted = [...ids].sort((left, right) => index.lengthOf(right) - index.lengthOf(left));
    for (let start = 0; start < sorted.length; start += MOVE_BATCH_COUNT) {
      const batch = sorted.slice(start, start + MOVE_BATCH_COUNT);
      const moves = batch.map((id) => this.#move(id, remaining));
      const outcomes = await Promise.allSettled(moves);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') throw outcome.reason as RingloadError;
        if (!outcome.value) return false;
      }
    }
    return true;
  }

  async #move(id: EntryId, remaining: Set<EntryId>): Promise<boolean> {
    const place = this.#allocate(this.#directory.table.index.lengthOf(id));
    if (!place) return false;
    try {
      await moveSegment({ id, place, directory: this.#directory, store: this.#store, remaining });
    } finally {
      this.#directory.unpin(place.region);
    }
    return true;
  }
}
