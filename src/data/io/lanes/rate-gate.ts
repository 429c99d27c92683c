/**
 * Holds the lanes of a group to a rate: bytes are taken as they come and paid for by waiting, so
 * the average holds; bursts stay below a tenth of a second's worth.
 */
const BURST_SECONDS = 0.1;
const IDLE_FORGET_MS = 60_000;

interface Bucket {
  /** May be negative: taken ahead of time. */
  tokens: number;
  updatedMs: number;
}

export class RateGate {
  readonly #buckets = new Map<string, Bucket>();

  /** @returns milliseconds to wait before more is received; 0: none. */
  take(
    { group, bytesPerSecond }: { readonly group: string; readonly bytesPerSecond: number },
    bytes: number,
    nowMs: number,
  ): number {
    const bucket = this.#bucketOf(group, nowMs);
    const refill = ((nowMs - bucket.updatedMs) / 1000) * bytesPerSecond;
    bucket.tokens = Math.min(bytesPerSecond * BURST_SECONDS, bucket.tokens + refill) - bytes;
    bucket.updatedMs = nowMs;
    return bucket.tokens < 0 ? (-bucket.tokens / bytesPerSecond) * 1000 : 0;
  }

  #bucketOf(group: string, nowMs: number): Bucket {
    let bucket = this.#buckets.get(group);
    if (!bucket) {
      for (const [name, { updatedMs }] of this.#buckets) {
        if (nowMs - updatedMs > IDLE_FORGET_MS) this.#buckets.delete(name);
      }
      this.#buckets.set(group, (bucket = { tokens: 0, updatedMs: nowMs }));
    }
    return bucket;
  }
}
