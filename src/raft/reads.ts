/**
 * Callers that want to read what is committed now, served by Raft's read-index.
 *
 * One question to the members is under way at a time, for all callers that came before it was
 * asked; later callers wait for the next one, because the answer to an earlier question may miss
 * what they have seen. A question that gets no answer is asked again under a new context; answers
 * to any context of it count, answers to unknown contexts do not.
 */
import { RingloadError } from '../base/errors.ts';
import type { LogIndex, RaftId } from '../base/ids.ts';
import { PendingCall, deadlineExceeded, notLeader } from './pending-call.ts';

type Call = PendingCall<undefined>;

export class Reads {
  readonly #maxPending: number;
  readonly #contextPrefix: string;
  #sequence = 0;
  #waiting: Call[] = [];
  #asked: { readonly contexts: Set<string>; calls: Call[]; ageTicks: number } | undefined;
  #confirmed: { readonly index: LogIndex; calls: Call[] }[] = [];

  /** @param contextPrefix unique to this life of the member. */
  constructor(maxPending: number, contextPrefix: string) {
    this.#maxPending = maxPending;
    this.#contextPrefix = contextPrefix;
  }

  /** @throws overloaded */
  add(deadlineAtMs: number): Promise<undefined> {
    if (this.#waiting.length + (this.#asked?.calls.length ?? 0) >= this.#maxPending) {
      throw new RingloadError('overloaded', `refuse a read: ${this.#maxPending} are pending`);
    }
    const call: Call = new PendingCall(deadlineAtMs);
    this.#waiting.push(call);
    return call.promise;
  }

  /**
   * The context of the question to ask now; undefined when there is nothing to ask.
   * @param retryTicks after how many ticks without an answer to ask again.
   */
  nextContext(retryTicks: number): string | undefined {
    if (this.#asked && this.#asked.ageTicks < retryTicks) return undefined;
    if (!this.#asked && this.#waiting.length === 0) return undefined;
    const context = `${this.#contextPrefix}.${this.#sequence++}`;
    this.#asked ??= { contexts: new Set(), calls: this.#waiting.splice(0), ageTicks: 0 };
    this.#asked.contexts.add(context);
    this.#asked.ageTicks = 0;
    return context;
  }

  /** The leader was confirmed while `index` was the commit index it knew. */
  confirm(context: string, index: LogIndex): void {
    if (!this.#asked?.contexts.has(context)) return;
    this.#confirmed.push({ index, calls: this.#asked.calls });
    this.#asked = undefined;
  }

  applied(index: LogIndex): void {
    if (this.#confirmed.length === 0) return;
    for (const read of this.#confirmed) {
      if (read.index <= index) for (const call of read.calls) call.resolve(undefined);
    }
    this.#confirmed = this.#confirmed.filter((read) => read.index > index);
  }

  /** Reads whose index is known stay valid whoever leads. */
  refuseUnconfirmed(leaderId: RaftId | undefined): void {
    for (const call of this.#waiting) call.reject(notLeader(leaderId));
    for (const call of this.#asked?.calls ?? []) call.reject(notLeader(leaderId));
    this.#waiting = [];
    this.#asked = undefined;
  }

  tick(): void {
    if (this.#asked) this.#asked.ageTicks++;
  }

  expire(nowMs: number): void {
    const isLive = (call: Call): boolean => {
      if (call.deadlineAtMs > nowMs) return true;
      call.reject(deadlineExceeded('confirming a read', false));
      return false;
    };
    this.#waiting = this.#waiting.filter(isLive);
    if (this.#asked) {
      this.#asked.calls = this.#asked.calls.filter(isLive);
      if (this.#asked.calls.length === 0) this.#asked = undefined;
    }
    for (const read of this.#confirmed) read.calls = read.calls.filter(isLive);
  }

  refuseAll(error: Error): void {
    const calls = [...this.#waiting, ...(this.#asked?.calls ?? [])];
    for (const read of this.#confirmed) calls.push(...read.calls);
    for (const call of calls) call.reject(error);
    this.#waiting = [];
    this.#asked = undefined;
    this.#confirmed = [];
  }
}
