/**
 * What was evicted on trial lately: if it comes again, it is wanted, and not put on trial again.
 * Hashes only, bounded, the oldest forgotten first. A false hit costs nothing but a trial.
 */
import type { KeyHash } from './key-hash.ts';

const ENTRY_MAX_COUNT = 100_000;

export class GhostList {
  readonly #names = new Set<number>();

  add(hash: KeyHash): void {
    const name = nameOf(hash);
    this.#names.delete(name);
    this.#names.add(name);
    const oldest = this.#names.values().next().value;
    if (this.#names.size > ENTRY_MAX_COUNT && oldest !== undefined) this.#names.delete(oldest);
  }

  /** True, once, for what is on the list. */
  take(hash: KeyHash): boolean {
    return this.#names.delete(nameOf(hash));
  }
}

/** 53 bits of it. */
function nameOf(hash: KeyHash): number {
  return (hash[0] ?? 0) * 2 ** 21 + ((hash[1] ?? 0) >>> 11);
}
