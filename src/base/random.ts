/** Randomness as the core sees it: injected, so that one seed replays a run. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

/** Uniform integer in [0, bound); `bound` >= 1. */
export function randomInt(random: Random, bound: number): number {
  return Math.floor(random.next() * bound);
}

/** `delayMs` spread over [delayMs/2, delayMs): retries of many peers must not meet. */
export function jitter(random: Random, delayMs: number): number {
  return delayMs / 2 + (random.next() * delayMs) / 2;
}

/** mulberry32 (Tommy Ettinger, public domain): small, fast, and good enough to pick faults with. */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }
}
