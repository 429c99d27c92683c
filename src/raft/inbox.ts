/**
 * Inputs for the library that arrived while a Ready was under way, or will be taken next.
 *
 * Bounded: Raft survives the loss of any message, so what exceeds the bound is dropped. Ticks that
 * piled up behind a slow disk are capped, because a burst of them looks like a silent leader.
 */
import type { RaftId } from '../base/ids.ts';
import type { SnapshotOutcome } from './snapshot-sends.ts';
import type { WireMessage } from './wire-message.ts';

export interface InboxLimits {
  readonly maxQueuedMessages: number;
  readonly maxQueuedBytes: number;
  readonly maxQueuedTicks: number;
}

export interface InboxContent {
  readonly messages: readonly WireMessage[];
  readonly snapshotOutcomes: readonly SnapshotOutcome[];
  readonly unreachable: ReadonlySet<RaftId>;
  readonly ticks: number;
}

export class Inbox {
  readonly #limits: InboxLimits;
  #messages: WireMessage[] = [];
  #messageBytes = 0;
  #snapshotOutcomes: SnapshotOutcome[] = [];
  #unreachable = new Set<RaftId>();
  #ticks = 0;

  constructor(limits: InboxLimits) {
    this.#limits = limits;
  }

  /** False when the message was dropped. One message is always taken, whatever its size. */
  addMessage(message: WireMessage, sizeBytes: number): boolean {
    const { maxQueuedMessages, maxQueuedBytes } = this.#limits;
    const isFull =
      this.#messages.length >= maxQueuedMessages || this.#messageBytes + sizeBytes > maxQueuedBytes;
    if (isFull && this.#messages.length > 0) return false;
    this.#messages.push(message);
    this.#messageBytes += sizeBytes;
    return true;
  }

  /** Never dropped: there are only as many as snapshots were sent. */
  addSnapshotOutcome(outcome: SnapshotOutcome): void {
    this.#snapshotOutcomes.push(outcome);
  }

  addUnreachable(id: RaftId): void {
    this.#unreachable.add(id);
  }

  addTick(): void {
    this.#ticks = Math.min(this.#ticks + 1, this.#limits.maxQueuedTicks);
  }

  take(): InboxContent {
    const content = {
      messages: this.#messages,
      snapshotOutcomes: this.#snapshotOutcomes,
      unreachable: this.#unreachable,
      ticks: this.#ticks,
    };
    this.#messages = [];
    this.#messageBytes = 0;
    this.#snapshotOutcomes = [];
    this.#unreachable = new Set();
    this.#ticks = 0;
    return content;
  }
}
