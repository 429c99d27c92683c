/**
 * Token buckets in memory that the main thread and all lane threads share, so that a limit holds
 * over all of them together. Whoever receives charges what came and rests while a bucket that it
 * awaits is in debt; only the main thread fills buckets up.
 */
const SLOT_COUNT = 256;
const BALANCE_BYTES = BigInt64Array.BYTES_PER_ELEMENT;
const RATE_BYTES = Float64Array.BYTES_PER_ELEMENT;
/** Rests are no shorter, since timers have a price, and no longer, since rates change. */
const REST_MIN_MS = 5;
const REST_MAX_MS = 100;

/** Which buckets one body draws on. Plain values: it goes to lane threads. */
export interface BucketShare {
  readonly charged: readonly number[];
  /** Those of them whose debt is waited for. */
  readonly awaited: readonly number[];
}

export class BandwidthBuckets {
  static readonly slotCount = SLOT_COUNT;
  readonly memory: SharedArrayBuffer;
  readonly #balances: BigInt64Array;
  readonly #rates: Float64Array;

  constructor(memory = new SharedArrayBuffer(SLOT_COUNT * (BALANCE_BYTES + RATE_BYTES))) {
    this.memory = memory;
    this.#balances = new BigInt64Array(memory, 0, SLOT_COUNT);
    this.#rates = new Float64Array(memory, SLOT_COUNT * BALANCE_BYTES, SLOT_COUNT);
  }

  balanceOf(slot: number): number {
    return Number(Atomics.load(this.#balances, slot));
  }

  /** Adds tokens, to no more than `maxBytes` in all. Others only take, so the bound holds. */
  fill(slot: number, bytes: number, maxBytes: number): void {
    const room = maxBytes - this.balanceOf(slot);
    Atomics.add(this.#balances, slot, BigInt(Math.floor(Math.min(bytes, room))));
  }

  /** Bytes per second: only for guessing how long a debt takes to be paid. */
  tellRate(slot: number, rateBps: number): void {
    this.#rates[slot] = rateBps;
  }

  reset(slot: number): void {
    Atomics.store(this.#balances, slot, 0n);
  }

  /** @returns milliseconds to rest before asking again; 0: go on. */
  charge({ charged, awaited }: BucketShare, bytes: number): number {
    for (const slot of charged) Atomics.sub(this.#balances, slot, BigInt(bytes));
    return this.restMs(awaited);
  }

  restMs(awaited: readonly number[]): number {
    let restMs = 0;
    for (const slot of awaited) {
      const balance = this.balanceOf(slot);
      if (balance >= 0) continue;
      const paidMs = (-balance / Math.max(1, this.#rates[slot] ?? 0)) * 1000;
      restMs = Math.max(restMs, Math.min(REST_MAX_MS, Math.max(REST_MIN_MS, paidMs)));
    }
    return restMs;
  }
}
