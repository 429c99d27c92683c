/**
 * Where a new segment goes: the emptiest directory first, another one when that has no room, and
 * how long a reservation waits for either.
 */
import type { Clock } from '../../base/clock.ts';
import { RingloadError } from '../../base/errors.ts';
import type { Place } from '../region.ts';
import { RANK_PINNED } from '../retention.ts';
import type { CacheDirectory } from './cache-directory.ts';
import type { ChangeSignal } from './change-signal.ts';
import { RoomMaker } from './room-maker.ts';
import type { StoreParts } from './store-parts.ts';

export interface RoomFinderOptions {
  readonly parts: StoreParts;
  readonly changes: ChangeSignal;
  readonly clock: Clock;
  readonly roomWaitMs: number;
  /** @throws cache_io once the store is closed. */
  readonly checkOpen: () => void;
}

export interface FoundRoom {
  readonly directory: CacheDirectory;
  readonly place: Place;
}

export class RoomFinder {
  readonly #options: RoomFinderOptions;
  readonly #rooms: readonly RoomMaker[];

  constructor(options: RoomFinderOptions) {
    const { parts } = options;
    this.#options = options;
    this.#rooms = parts.directories.map((each) => new RoomMaker(each, parts));
  }

  /** @throws cache_full, cache_io */
  async find(lengthBytes: number): Promise<FoundRoom> {
    const deadlineMs = this.#options.clock.nowMs() + this.#options.roomWaitMs;
    for (;;) {
      this.#options.checkOpen();
      const changeCount = this.#options.changes.count;
      const found = this.#tryPlace(lengthBytes) ?? (await this.#makePlace(lengthBytes));
      if (typeof found === 'object') return found;
      const leftMs = deadlineMs - this.#options.clock.nowMs();
      if (found === 'full' || leftMs <= 0) throw this.#cacheFull(lengthBytes);
      await this.#options.changes.wait(changeCount, this.#options.clock, leftMs);
    }
  }

  /** Serving directories, the emptiest in proportion first. @throws cache_io */
  #inOrder(): CacheDirectory[] {
    const serving = this.#options.parts.directories.filter(({ state }) => state === 'ok');
    if (serving.length === 0) {
      throw new RingloadError('cache_io', 'reserve space: every cache directory failed');
    }
    const share = (each: CacheDirectory): number =>
      each.reservedBytes / Math.max(1, each.capacityBytes);
    return serving.sort((left, right) => share(left) - share(right));
  }

  #tryPlace(lengthBytes: number): FoundRoom | undefined {
    for (const directory of this.#inOrder()) {
      const place = this.#rooms[directory.index]?.tryPlace(lengthBytes);
      if (place) return { directory, place };
    }
    return undefined;
  }

  async #makePlace(lengthBytes: number): Promise<FoundRoom | 'busy' | 'full'> {
    let obstacle: 'busy' | 'full' | undefined;
    let failure: unknown;
    for (const directory of this.#inOrder()) {
      try {
        const place = await this.#rooms[directory.index]?.makePlace(lengthBytes);
        if (typeof place === 'object') return { directory, place };
        if (place && obstacle !== 'busy') obstacle = place;
      } catch (error) {
        failure = error;
      }
    }
    if (obstacle === undefined && failure !== undefined) throw failure as RingloadError;
    return obstacle ?? 'full';
  }

  #cacheFull(lengthBytes: number): RingloadError {
    const { parts } = this.#options;
    const { leasedBytes } = parts.table;
    const pinnedBytes = parts.table.spaceAtRank[RANK_PINNED] ?? 0;
    const capacityBytes = capacityOf(parts);
    return new RingloadError(
      'cache_full',
      `find room for ${lengthBytes} bytes: of ${capacityBytes}, running loads have leased ` +
        `${leasedBytes} and rules pin ${pinnedBytes}; the rest is in use`,
      { details: { lengthBytes, capacityBytes, leasedBytes, pinnedBytes } },
    );
  }

  /** Nothing makes room any more. */
  async idle(): Promise<void> {
    await Promise.all(this.#rooms.map((room) => room.idle()));
  }
}

/** Bytes that the directories in service can hold. */
export function capacityOf({ directories }: StoreParts): number {
  const serving = directories.filter(({ state }) => state !== 'failed');
  return serving.reduce((sum, { capacityBytes }) => sum + capacityBytes, 0);
}
