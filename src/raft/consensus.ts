/**
 * Consensus as the rest of Ringload sees it: a replicated log of strings applied, in order, to one
 * state machine on every member. The Raft library stands behind this file.
 */
import type { LogIndex, RaftId, Term } from '../base/ids.ts';

/** Deterministic to the byte: the same commands give the same state on every member. */
export interface StateMachine {
  /** Applies one committed command; the value is handed to the proposer on its own node. */
  apply(command: string, index: LogIndex): unknown;
  /** The whole state, for a snapshot. */
  serialize(): string;
  /** Replaces the whole state. */
  restore(serialized: string): void;
}

export type RaftRole = 'leader' | 'candidate' | 'follower' | 'learner';

export interface RaftStatus {
  readonly id: RaftId;
  readonly role: RaftRole;
  readonly term: Term;
  readonly leaderId: RaftId | undefined;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly voters: readonly RaftId[];
  readonly learners: readonly RaftId[];
  /** On the leader: the highest index known to be replicated to each member. */
  readonly matchIndex: ReadonlyMap<RaftId, LogIndex>;
}

export type MembershipChange =
  | { readonly kind: 'add-learner'; readonly id: RaftId }
  | { readonly kind: 'add-voter'; readonly id: RaftId }
  | { readonly kind: 'demote'; readonly id: RaftId }
  | { readonly kind: 'remove'; readonly id: RaftId };

/** Carries Raft messages; best effort, may lose, delay, duplicate and reorder. */
export interface RaftTransport {
  /**
   * `onSnapshotOutcome` is given for snapshot messages and must be called once, with whether the
   * bytes were handed over.
   */
  send(to: RaftId, message: string, onSnapshotOutcome?: (delivered: boolean) => void): void;
}

/** Every `deadlineMs` is how long the caller waits from now; it is kept to within one tick. */
export interface Consensus {
  status(): RaftStatus;
  /**
   * Resolves with the state machine's answer when the command was committed and applied here.
   * @throws not_leader (nothing was appended); deadline_exceeded or not_leader with detail
   * `maybeCommitted: true` when leadership was lost meanwhile: propose again, commands are
   * idempotent.
   */
  propose(command: string, deadlineMs: number): Promise<unknown>;
  /**
   * Resolves when the local state includes all that was committed when this was called.
   * Leader only. @throws not_leader, deadline_exceeded
   */
  readBarrier(deadlineMs: number): Promise<void>;
  /**
   * Leader only, one at a time; resolves when applied here, or at once when nothing is to be done.
   * @throws not_leader, deadline_exceeded as `propose`; conflict when another change is open or
   * this one is impossible or risky: the leader's own place, a learner that has not caught up,
   * voters that would not have a live majority.
   */
  changeMembership(change: MembershipChange, deadlineMs: number): Promise<void>;
  /** Leader only; resolves when another member leads. */
  transferLeadership(to: RaftId, deadlineMs: number): Promise<void>;
  /** A message that arrived for this member. */
  receive(message: string): void;
  /** The transport knows that `to` is unreachable right now. */
  reportUnreachable(to: RaftId): void;
  /**
   * Called after every change of role, term, leader or membership; returns the unsubscribe
   * function.
   */
  onStatusChange(listener: (status: RaftStatus) => void): () => void;
  /**
   * Resolves, never rejects, when the loop ended for good (failed fsync, error of the library or
   * of the state machine): the node must stop. Also two election timeouts after this member
   * applied its own removal, with code `peer_refused` and detail `removed: true`.
   */
  readonly failed: Promise<Error>;
  stop(): Promise<void>;
}
