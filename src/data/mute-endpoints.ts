/**
 * Data endpoints that were just waited for in vain: who would ask them next goes on without, so
 * that a peer that says nothing costs one wait, and not one for each segment.
 *
 * An entry ends when the peer gives a sign of life. After a while one asker at a time is let
 * through, to find out; the others go on without until it has an answer.
 */
import type { Clock } from '../base/clock.ts';
import { RingloadError } from '../base/errors.ts';

/** So many waits long nobody asks: at worst a third of the time is spent waiting. */
const REST_WAITS = 2;
/** Endpoints that are remembered: more than a cluster has members. */
const MAX_COUNT = 10_000;

export class MuteEndpoints {
  readonly #clock: Clock;
  readonly #restMs: number;
  /** When somebody may ask again. */
  readonly #untilMs = new Map<string, number>();

  /** @param options.waitMs how long an endpoint is waited for */
  constructor(options: { clock: Clock; waitMs: number }) {
    this.#clock = options.clock;
    this.#restMs = REST_WAITS * options.waitMs;
  }

  /** @throws deadline_exceeded at once, in place of a wait for an endpoint that does not answer */
  checkMayAsk(endpoint: string): void {
    const untilMs = this.#untilMs.get(endpoint);
    if (untilMs === undefined) return;
    if (this.#clock.nowMs() < untilMs) {
      throw new RingloadError('deadline_exceeded', `${endpoint} did not answer a moment ago`);
    }
    this.#rest(endpoint);
  }

  /** Asking came to nothing: only who was waited for in vain is mute. */
  failed(endpoint: string, { code }: RingloadError): void {
    if (code === 'deadline_exceeded') this.#rest(endpoint);
    else if (code === 'not_found') this.answered(endpoint);
  }

  /** A sign of life. */
  answered(endpoint: string): void {
    this.#untilMs.delete(endpoint);
  }

  #rest(endpoint: string): void {
    this.#untilMs.delete(endpoint);
    this.#untilMs.set(endpoint, this.#clock.nowMs() + this.#restMs);
    const oldest = this.#untilMs.keys().next().value;
    if (this.#untilMs.size > MAX_COUNT && oldest !== undefined) this.#untilMs.delete(oldest);
  }
}
