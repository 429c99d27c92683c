/**
 * Which frees let go of what. A free covers a path and all below it, as they were when the cluster
 * agreed on it: what a running job covered then, or a rule pinned, it does not cover, whatever
 * becomes of the job or the rule. So each peer comes to the same end, however late it hears of it.
 *
 * Frees are numbered. A record carries the number of the newest free that was known when its load
 * was ordered, and only a later free lets go of it.
 */
import type { JobId, PeerId } from '../base/ids.ts';
import { isAtOrBelow } from '../ufs/path.ts';
import type { FreeRecord } from './free-record.ts';
import { pathsUpwards } from './rule-book.ts';

/** A record, or an order: `afterFree` as in `FileRecord`. */
export interface Stamped {
  readonly path: string;
  readonly afterFree?: number;
  readonly loadedBy?: JobId;
}

/** Whether a free of a path above lets go of the record. */
export function coversRecord(
  free: FreeRecord,
  { path, afterFree = 0, loadedBy }: Stamped,
): boolean {
  return (
    free.number > afterFree &&
    (loadedBy === undefined || !free.jobs.includes(loadedBy)) &&
    keepReason(free, path) === undefined
  );
}

/** Why a free of a path above does not cover this one. */
export function keepReason(
  { inUse, pins }: Pick<FreeRecord, 'inUse' | 'pins'>,
  path: string,
): 'leased' | 'pinned' | undefined {
  if (inUse.some((root) => isAtOrBelow(root, path))) return 'leased';
  if (pins.length === 0) return undefined;
  for (const above of pathsUpwards(path)) {
    const pin = pins.find((each) => each.path === above);
    if (pin) return pin.pinned ? 'pinned' : undefined;
  }
  return undefined;
}

export class FreeRoll {
  readonly #lastFree: number;
  readonly #byPath = new Map<string, FreeRecord[]>();

  constructor(lastFree: number, frees: readonly FreeRecord[]) {
    this.#lastFree = lastFree;
    for (const free of frees) {
      const known = this.#byPath.get(free.path) ?? [];
      known.push(free);
      this.#byPath.set(free.path, known);
    }
  }

  /** A free that came after the record was ordered covers it. */
  isFreed(record: Stamped): boolean {
    if ((record.afterFree ?? 0) >= this.#lastFree) return false;
    return this.#above(record.path).some((free) => coversRecord(free, record));
  }

  /**
   * False: the peer has to let go of what lies at the path first, or has not heard yet of frees
   * that whoever ordered this knew.
   */
  mayStore(peer: PeerId, { path, afterFree = 0 }: Stamped): boolean {
    if (afterFree > this.#lastFree) return false;
    return !this.#above(path).some(
      (free) => free.waitsFor.includes(peer) && keepReason(free, path) === undefined,
    );
  }

  #above(path: string): FreeRecord[] {
    if (this.#byPath.size === 0) return [];
    const found: FreeRecord[] = [];
    for (const above of pathsUpwards(path)) found.push(...(this.#byPath.get(above) ?? []));
    return found;
  }
}
