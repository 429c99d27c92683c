/**
 * The regions of one cache directory: which are free, which one is filled, and which is to be
 * reclaimed next. First in, first out, passing over what is in use or to be kept. Decisions only; the
 * directory carries them out.
 *
 * One region is always kept free to compact into: a region is opened only when another can be
 * emptied (or is free), so what is to be kept can be moved before its region is reused.
 */
import { invariant } from '../base/invariant.ts';
import { LARGE_ALIGNMENT_BYTES } from './layout.ts';
import type { Region } from './region.ts';

/** Compacting a region must win at least this share of it, else the cache counts as full. */
const GAIN_MIN_SHARE = 1 / 16;

export interface VictimRequest {
  /** Room that must be left after what the victim keeps has been moved. */
  readonly space: number;
  /** Room for moved segments and `space` together. */
  readonly room: number;
  /** Whether the region being filled may be chosen: not when it is to receive what is moved. */
  readonly mayTakeOpen: boolean;
  /** Bytes of a region that must not be evicted. */
  readonly keptSpaceOf: (region: Region) => number;
  /** Only regions of which at most half has to be moved. */
  readonly isSparing?: boolean;
}

/** `busy`: somebody uses a region that could go. `full`: all of it is to be kept. */
export type VictimChoice =
  { readonly kind: 'victim'; readonly region: Region } | { readonly kind: 'busy' | 'full' };

/** Room lost to alignment when that much is moved: before the large segments and after the small. */
export function paddingOf(movedSpace: number): number {
  return movedSpace > 0 ? 2 * LARGE_ALIGNMENT_BYTES : 0;
}

export class RegionSet {
  readonly regions: readonly Region[];
  readonly #free: Region[] = [];
  /** Oldest first. */
  readonly #sealed: Region[] = [];
  #open: Region | undefined;
  #sequence = 0;
  #abandonedCount = 0;

  constructor(regions: readonly Region[]) {
    this.regions = regions;
  }

  get open(): Region | undefined {
    return this.#open;
  }
  get freeCount(): number {
    return this.#free.length;
  }
  get free(): readonly Region[] {
    return [...this.#free];
  }
  get abandonedCount(): number {
    return this.#abandonedCount;
  }
  get isDraining(): boolean {
    return this.regions.some((region) => region.state === 'draining');
  }

  nextSequence(): number {
    return ++this.#sequence;
  }

  /** Takes over what recovery found filled: the newest region is filled further. */
  adopt(filled: Region[]): void {
    filled.sort((left, right) => left.sequence - right.sequence);
    this.#sequence = filled.at(-1)?.sequence ?? 0;
    const newest = filled.pop();
    for (const region of filled) this.#seal(region);
    if (newest) {
      newest.state = 'open';
      this.#open = newest;
    }
    for (const region of this.regions) if (region.state === 'free') this.#free.push(region);
  }

  /** Seals the region being filled, if any, and returns the free one to fill next. */
  openNext(): Region {
    const next = this.#free.shift();
    if (!next) invariant(false, 'a free region is there to be opened');
    if (this.#open) this.#seal(this.#open);
    next.state = 'open';
    this.#open = next;
    return next;
  }

  /** The region being filled could not be begun: it is free again, and the next one to open. */
  takeBack(region: Region): void {
    invariant(region === this.#open, `region ${region.id} is being filled`);
    this.#open = undefined;
    region.state = 'free';
    this.#free.unshift(region);
  }

  /** The region to empty next. */
  chooseVictim(request: VictimRequest): VictimChoice {
    const candidates =
      request.mayTakeOpen && this.#open ? [...this.#sealed, this.#open] : this.#sealed;
    let isBusy = this.isDraining;
    let best: { region: Region; kept: number } | undefined;
    for (const region of candidates) {
      const kept = request.keptSpaceOf(region);
      const isWorth = region.sizeBytes - kept >= region.sizeBytes * GAIN_MIN_SHARE;
      if (!isWorth || kept + paddingOf(kept) + request.space > request.room) continue;
      if (region.pinCount > 0) {
        isBusy = true;
        continue;
      }
      // Why: the oldest goes first, but moving more than half of a region is a last resort.
      if (kept <= region.sizeBytes / 2) return { kind: 'victim', region };
      if (!best || kept < best.kept) best = { region, kept };
    }
    if (best && request.isSparing !== true) return { kind: 'victim', region: best.region };
    return { kind: isBusy ? 'busy' : 'full' };
  }

  /** The region is emptied, but perhaps still read. */
  drain(region: Region): void {
    this.#forget(region);
    region.state = 'draining';
  }

  /** A drained region was reset: it may be filled again. */
  release(region: Region): void {
    invariant(region.state === 'draining', `region ${region.id} was drained before its release`);
    region.state = 'free';
    this.#free.push(region);
  }

  /** Takes a region out of the order for good. */
  abandon(region: Region): void {
    this.#forget(region);
    region.state = 'abandoned';
    this.#abandonedCount++;
  }

  #seal(region: Region): void {
    region.state = 'sealed';
    this.#sealed.push(region);
  }

  #forget(region: Region): void {
    if (this.#open === region) this.#open = undefined;
    for (const list of [this.#sealed, this.#free]) {
      const position = list.indexOf(region);
      if (position >= 0) list.splice(position, 1);
    }
  }
}
