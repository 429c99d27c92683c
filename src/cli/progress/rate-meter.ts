/**
 * Speed of a job from its counters, over a sliding window.
 *
 * Counters may fall back when a new leader continues from a checkpoint: the window then starts
 * anew, so that no rate is ever negative or inflated by the bytes that are counted twice.
 */
const WINDOW_MS = 10_000;
const SAMPLE_MAX_COUNT = 128;

interface Sample {
  readonly atMs: number;
  readonly value: number;
}

export class RateMeter {
  #samples: Sample[] = [];

  /** Takes a counter's value at a monotonic time. */
  add(atMs: number, value: number): void {
    const last = this.#samples.at(-1);
    if (last && value < last.value) this.#samples = [];
    this.#samples.push({ atMs, value });
    while (
      this.#samples.length > SAMPLE_MAX_COUNT ||
      (this.#samples.length > 2 && atMs - (this.#samples[1]?.atMs ?? atMs) >= WINDOW_MS)
    ) {
      this.#samples.shift();
    }
  }

  /** Units per second; undefined before there is anything to compare. */
  perSecond(): number | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || last.atMs <= first.atMs) return undefined;
    return (1000 * (last.value - first.value)) / (last.atMs - first.atMs);
  }
}
