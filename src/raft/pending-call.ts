/**
 * A caller that waits for consensus: a promise with a deadline, settled at most once.
 *
 * Deadlines are looked at on every tick, so they are late by up to one tick, and they hold while
 * the disk stalls.
 */
import { RingloadError } from '../base/errors.ts';
import type { RaftId } from '../base/ids.ts';

export class PendingCall<Result> {
  readonly promise: Promise<Result>;
  readonly deadlineAtMs: number;
  #settle: { resolve(result: Result): void; reject(error: Error): void } | undefined;

  constructor(deadlineAtMs: number) {
    this.deadlineAtMs = deadlineAtMs;
    this.promise = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  get isSettled(): boolean {
    return this.#settle === undefined;
  }

  resolve(result: Result): void {
    this.#settle?.resolve(result);
    this.#settle = undefined;
  }

  reject(error: Error): void {
    this.#settle?.reject(error);
    this.#settle = undefined;
  }
}

/** Nothing of the call reached the log. */
export function notLeader(leaderId: RaftId | undefined): RingloadError {
  return leaderId === undefined
    ? new RingloadError('not_leader', 'this member does not lead and knows no leader')
    : new RingloadError('not_leader', `member ${leaderId} leads`, { details: { leaderId } });
}

/** The call may still take effect, under this leader or the next. */
export function leadershipLost(): RingloadError {
  return new RingloadError('not_leader', 'leadership was lost before the command was applied', {
    details: { maybeCommitted: true },
  });
}

export function deadlineExceeded(what: string, maybeCommitted: boolean): RingloadError {
  return new RingloadError('deadline_exceeded', `${what} took longer than allowed`, {
    details: maybeCommitted ? { maybeCommitted } : {},
  });
}
