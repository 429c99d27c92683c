/**
 * Commands of the replicated log. New kinds are added; old ones never change their meaning. An
 * unknown kind stops the peer: skipping an entry would let states diverge.
 */
import type { WireError } from '../base/errors.ts';
import type { ClusterId, JobId, PeerId, Term } from '../base/ids.ts';
import type { RuleChanges } from '../base/path-rule.ts';
import type { JobCheckpoint, RecordedSpec, RecordedState } from './job-record.ts';
import type { Announcement } from './member.ts';

export type Command =
  | {
      readonly kind: 'cluster.create';
      readonly clusterId: ClusterId;
      readonly founder: Announcement;
      readonly atMs: number;
    }
  | { readonly kind: 'member.admit'; readonly member: Announcement; readonly atMs: number }
  | { readonly kind: 'member.announce'; readonly member: Announcement; readonly atMs: number }
  /** The leader's judgement of a member's liveness, for one start generation of it. */
  | {
      readonly kind: 'member.judge';
      readonly id: PeerId;
      readonly generation: number;
      readonly verdict: 'up' | 'suspect' | 'down';
      readonly atMs: number;
    }
  | { readonly kind: 'member.drain'; readonly id: PeerId; readonly atMs: number }
  | { readonly kind: 'member.remove'; readonly id: PeerId; readonly atMs: number }
  | {
      readonly kind: 'job.submit';
      readonly jobId: JobId;
      readonly spec: RecordedSpec;
      readonly activeMaxCount: number;
      readonly atMs: number;
    }
  | {
      readonly kind: 'job.stop';
      readonly jobId: JobId;
      readonly atMs: number;
      /** Milliseconds that this run has taken, by the proposer's monotonic clock. */
      readonly elapsedMs?: number;
    }
  | { readonly kind: 'job.retry'; readonly jobId: JobId; readonly atMs: number }
  | {
      readonly kind: 'job.checkpoint';
      readonly jobId: JobId;
      readonly run: number;
      readonly term: Term;
      readonly state: Extract<RecordedState, 'RUNNING' | 'VERIFYING'>;
      readonly checkpoint: JobCheckpoint;
      /** As above. */
      readonly elapsedMs?: number;
    }
  | {
      readonly kind: 'job.finish';
      readonly jobId: JobId;
      readonly run: number;
      readonly term: Term;
      readonly state: Extract<RecordedState, 'SUCCEEDED' | 'FAILED'>;
      readonly checkpoint: JobCheckpoint;
      readonly failure?: WireError;
      readonly digest?: string;
      readonly atMs: number;
      /** As above. */
      readonly elapsedMs?: number;
    }
  /** Forgets these jobs, where they have ended. */
  | { readonly kind: 'job.prune'; readonly jobIds: readonly JobId[] }
  | { readonly kind: 'rule.set'; readonly path: string; readonly changes: RuleChanges }
  | { readonly kind: 'cache.free'; readonly path: string; readonly evenPinned: boolean }
  /** The peer has let go of what the frees up to that number cover. */
  | { readonly kind: 'cache.freed'; readonly peer: PeerId; readonly number: number };

export type CommandOf<Kind extends Command['kind']> = Extract<Command, { kind: Kind }>;

export type SubmitResult = {
  readonly jobId: JobId;
  readonly outcome: 'created' | 'already-running' | 'resumed';
};

/** What `apply` answers to the proposer. A refusal is an answer too: it is the same everywhere. */
export type CommandResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: WireError };
