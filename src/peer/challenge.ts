/**
 * One-time challenges that cost nothing to issue: each carries its own authentication and time of
 * issue, so strangers can ask for any number of them without filling a table. Only challenges that
 * were answered with a valid proof are remembered, until they expire.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../base/clock.ts';

/** Handshakes that may succeed within the life of a challenge. */
const USED_MAX_COUNT = 16_384;

export type ChallengeState = 'valid' | 'expired' | 'used';

export interface ChallengeBookOptions {
  /** Random per process: challenges of an earlier start are void. */
  readonly key: Uint8Array;
  readonly clock: Clock;
  readonly lifeMs: number;
  /** Unpredictable and never the same twice. */
  readonly createNonce: () => string;
}

export class ChallengeBook {
  readonly #options: ChallengeBookOptions;
  /** Used challenge to the time of its use, in order of use. */
  readonly #used = new Map<string, number>();

  constructor(options: ChallengeBookOptions) {
    this.#options = options;
  }

  issue(): string {
    const body = `${this.#options.createNonce()}.${Math.floor(this.#options.clock.nowMs())}`;
    return `${body}.${this.#tag(body)}`;
  }

  /** Expired is also what never was one of ours. */
  check(challenge: string): ChallengeState {
    const cut = challenge.lastIndexOf('.');
    const body = challenge.slice(0, Math.max(0, cut));
    const tag = Buffer.from(challenge.slice(cut + 1));
    const expected = Buffer.from(this.#tag(body));
    if (tag.length !== expected.length || !timingSafeEqual(tag, expected)) return 'expired';
    const issuedMs = Number(body.slice(body.lastIndexOf('.') + 1));
    if (this.#options.clock.nowMs() - issuedMs > this.#options.lifeMs) return 'expired';
    return this.#used.has(challenge) ? 'used' : 'valid';
  }

  /** After the proof was found good. False: too many handshakes at a time. */
  use(challenge: string): boolean {
    const nowMs = this.#options.clock.nowMs();
    for (const [used, usedMs] of this.#used) {
      if (nowMs - usedMs <= this.#options.lifeMs + 1) break;
      this.#used.delete(used);
    }
    if (this.#used.size >= USED_MAX_COUNT) return false;
    this.#used.set(challenge, nowMs);
    return true;
  }

  #tag(body: string): string {
    return createHmac('sha256', this.#options.key).update(body).digest('base64url');
  }
}
