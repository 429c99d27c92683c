/**
 * Token buckets that hold fills to a rate: one bucket per group (a job), refilled by the clock.
 * A taker waits until its bytes are covered, so the average holds and bursts stay below a quarter
 * of a second's worth.
 */
import { sleep, type Clock } from '../base/clock.ts';

const BURST_SECONDS = 0.25;
/** Buckets of groups that have been idle so long are forgotten. */
const IDLE_FORGET_MS = 60_000;

interface Bucket {
  /** May be negative: bytes taken ahead of time, paid for by waiting. */
  tokens: number;
  updatedMs: number;
}

export class BandwidthLimiter {
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when `bytes` may have been received at `rateBps` bytes per second. */
  async take(group: string, rateBps: number, bytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const bucket = this.#bucketOf(group, rateBps, nowMs);
    const refill = ((nowMs - bucket.updatedMs) / 1000) * rateBps;
    bucket.tokens = Math.min(rateBps * BURST_SECONDS, bucket.tokens + refill) - bytes;
    bucket.updatedMs = nowMs;
    if (bucket.tokens < 0) await sleep(this.#clock, (-bucket.tokens / rateBps) * 1000, signal);
  }

  #bucketOf(group: string, rateBps: number, nowMs: number): Bucket {
    const known = this.#buckets.get(group);
    if (known) return known;
    for (const [name, bucket] of this.#buckets) {
      if (nowMs - bucket.updatedMs > IDLE_FORGET_MS) this.#buckets.delete(name);
    }
    const bucket = { tokens: rateBps * BURST_SECONDS, updatedMs: nowMs };
    this.#buckets.set(group, bucket);
    return bucket;
  }
}
