/**
 * How much one link may hold unsent. Small frames and long messages have budgets of their own:
 * a snapshot must not keep heartbeats out, and heartbeats must not keep a snapshot out.
 *
 * Invariant: unsent bytes <= 2 × (`sendBufferMaxBytes` + `messageMaxBytes`), the second half
 * reserved for answers.
 */
import { RingloadError } from '../base/errors.ts';
import type { PeerLimits } from './limits.ts';
import type { SendUrgency } from './wire.ts';

export class SendBudget {
  readonly #limits: PeerLimits;
  #smallBytes = 0;
  #longBytes = 0;

  constructor(limits: PeerLimits) {
    this.#limits = limits;
  }

  isLong(sizeBytes: number): boolean {
    return sizeBytes > this.#limits.partBytes;
  }

  /** @throws payload_too_large for what can never be sent. */
  checkSize(sizeBytes: number): void {
    if (sizeBytes <= this.#limits.messageMaxBytes) return;
    throw new RingloadError(
      'payload_too_large',
      `send a message of ${sizeBytes} bytes: the limit is ${this.#limits.messageMaxBytes}`,
    );
  }

  fits(sizeBytes: number, urgency: SendUrgency): boolean {
    const factor = urgency === 'urgent' ? 2 : 1;
    return this.isLong(sizeBytes)
      ? this.#longBytes + sizeBytes <= this.#limits.messageMaxBytes * factor
      : this.#smallBytes + sizeBytes <= this.#limits.sendBufferMaxBytes * factor;
  }

  take(sizeBytes: number): void {
    if (this.isLong(sizeBytes)) this.#longBytes += sizeBytes;
    else this.#smallBytes += sizeBytes;
  }

  giveBack(sizeBytes: number): void {
    if (this.isLong(sizeBytes)) this.#longBytes -= sizeBytes;
    else this.#smallBytes -= sizeBytes;
  }
}
