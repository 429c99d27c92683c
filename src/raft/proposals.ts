/**
 * Commands on their way: queued, then appended under an id, then applied or given up.
 *
 * The id travels with the command in an envelope, `<id> <command>`, so that the member that
 * proposed it finds its caller when the entry is applied. Ids carry a random tag of this life of
 * the member: an entry of an earlier life must not answer a caller of this one.
 *
 * Invariant: a call is in the queue, or among the appended ones, or settled.
 */
import { RingloadError } from '../base/errors.ts';
import type { RaftId } from '../base/ids.ts';
import { PendingCall, deadlineExceeded, leadershipLost, notLeader } from './pending-call.ts';

export interface ProposalLimits {
  /** Calls waiting at a time, queued and appended together. */
  readonly maxPendingProposals: number;
  readonly maxCommandBytes: number;
  /** Of one append to the log. */
  readonly maxBatchEntries: number;
  readonly maxBatchBytes: number;
}

interface Proposal {
  readonly id: string;
  readonly envelope: string;
  readonly call: PendingCall<unknown>;
}

export interface Envelope {
  readonly id: string;
  readonly command: string;
}

export function openEnvelope(data: string): Envelope {
  const end = data.indexOf(' ');
  return { id: data.slice(0, end), command: data.slice(end + 1) };
}

export class Proposals {
  readonly #limits: ProposalLimits;
  readonly #idPrefix: string;
  #sequence = 0;
  #queue: Proposal[] = [];
  readonly #appended = new Map<string, PendingCall<unknown>>();

  /** @param idPrefix unique to this life of the member, without blanks. */
  constructor(limits: ProposalLimits, idPrefix: string) {
    this.#limits = limits;
    this.#idPrefix = idPrefix;
  }

  get hasQueued(): boolean {
    return this.#queue.length > 0;
  }

  /** @throws overloaded, payload_too_large */
  add(command: string, deadlineAtMs: number): Promise<unknown> {
    const { maxPendingProposals, maxCommandBytes } = this.#limits;
    if (command.length > maxCommandBytes) {
      throw new RingloadError(
        'payload_too_large',
        `refuse a command of ${command.length} characters: the limit is ${maxCommandBytes}`,
      );
    }
    if (this.#queue.length + this.#appended.size >= maxPendingProposals) {
      throw new RingloadError('overloaded', `refuse a command: ${maxPendingProposals} are pending`);
    }
    const id = `${this.#idPrefix}.${this.#sequence++}`;
    const call = new PendingCall<unknown>(deadlineAtMs);
    this.#queue.push({ id, envelope: `${id} ${command}`, call });
    return call.promise;
  }

  /**
   * Hands queued commands to `append`, within the limits of one batch. When it refuses them, their
   * callers hear that nothing was appended.
   */
  appendQueued(append: (envelopes: string[]) => boolean, leaderId: RaftId | undefined): void {
    const batch = this.#takeBatch();
    if (batch.length === 0) return;
    if (append(batch.map((proposal) => proposal.envelope))) {
      for (const { id, call } of batch) this.#appended.set(id, call);
    } else {
      for (const { call } of batch) call.reject(notLeader(leaderId));
    }
  }

  settle(id: string, result: unknown): void {
    this.#appended.get(id)?.resolve(result);
    this.#appended.delete(id);
  }

  refuseQueued(leaderId: RaftId | undefined): void {
    for (const { call } of this.#queue) call.reject(notLeader(leaderId));
    this.#queue = [];
  }

  /** What was appended under a lost leadership may be overwritten, or committed by the next. */
  giveUpAppended(): void {
    for (const call of this.#appended.values()) call.reject(leadershipLost());
    this.#appended.clear();
  }

  expire(nowMs: number): void {
    for (const [id, call] of this.#appended) {
      if (call.deadlineAtMs > nowMs) continue;
      call.reject(deadlineExceeded('committing a command', true));
      this.#appended.delete(id);
    }
    if (!this.#queue.some(({ call }) => call.deadlineAtMs <= nowMs)) return;
    for (const { call } of this.#queue) {
      if (call.deadlineAtMs <= nowMs) call.reject(deadlineExceeded('appending a command', false));
    }
    this.#queue = this.#queue.filter(({ call }) => !call.isSettled);
  }

  #takeBatch(): Proposal[] {
    const { maxBatchEntries, maxBatchBytes } = this.#limits;
    let count = 0;
    for (let bytes = 0; count < Math.min(this.#queue.length, maxBatchEntries); count++) {
      bytes += this.#queue[count]?.envelope.length ?? 0;
      if (bytes > maxBatchBytes && count > 0) break;
    }
    return this.#queue.splice(0, count);
  }
}
