/** Everything a member is made of, and its limits with their defaults. */
import { RingloadError } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import type { RaftId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { KIB, MIB } from '../base/units.ts';
import type { RaftTransport, StateMachine } from './consensus.ts';
import type { LogStorage } from './log-storage.ts';

export interface ConsensusTuning {
  /** Length of a tick. Default 100 ms: two orders above a round trip in one site. */
  readonly tickMs: number;
  /** Ticks between heartbeats. Default 1. */
  readonly heartbeatTicks: number;
  /**
   * Ticks without a leader before an election, spread up to twice as much. Default 10: a leader
   * that stalls for half a second is not deposed, a dead one is replaced within two.
   */
  readonly electionTicks: number;
  /** Applied entries after which the log is compacted. Default 10,000. */
  readonly snapshotEveryEntries: number;
  /** Bytes of applied entries after which the log is compacted. Default 64 MiB. */
  readonly snapshotEveryBytes: number;
  /** Entries kept in front of a snapshot, so that a slow follower needs none. Default 2,000. */
  readonly keepTailEntries: number;
  /** Appends sent ahead of their acknowledgement, for each follower. Default 256. */
  readonly maxInflightMessages: number;
  /** Of entries in one message. Default 64 KiB. */
  readonly maxMessageBytes: number;
  /** Of one command, in characters. Default 1 MiB. */
  readonly maxCommandBytes: number;
  /** Proposals waiting at a time; more are refused as overloaded. Default 16,384. */
  readonly maxPendingProposals: number;
  /** Read barriers waiting at a time. Default 16,384. */
  readonly maxPendingReads: number;
  /** Commands appended together. Default 4,096 and 4 MiB. */
  readonly maxBatchEntries: number;
  readonly maxBatchBytes: number;
  /** Messages waiting behind a slow disk; more are dropped. Default 4,096 and 64 MiB. */
  readonly maxQueuedMessages: number;
  readonly maxQueuedBytes: number;
  /** When a snapshot that the transport is silent about counts as lost. Default 600 (1 min). */
  readonly snapshotTimeoutTicks: number;
  /** Entries that a learner may lack when it gets a vote. Default 1,000. */
  readonly promoteLagEntries: number;
  /** How long `stop` waits for a disk that does not answer. Default 5 s. */
  readonly stopTimeoutMs: number;
}

export const DEFAULT_TUNING: ConsensusTuning = {
  tickMs: 100,
  heartbeatTicks: 1,
  electionTicks: 10,
  snapshotEveryEntries: 10_000,
  snapshotEveryBytes: 64 * MIB,
  keepTailEntries: 2_000,
  maxInflightMessages: 256,
  maxMessageBytes: 64 * KIB,
  maxCommandBytes: MIB,
  maxPendingProposals: 16_384,
  maxPendingReads: 16_384,
  maxBatchEntries: 4_096,
  maxBatchBytes: 4 * MIB,
  maxQueuedMessages: 4_096,
  maxQueuedBytes: 64 * MIB,
  snapshotTimeoutTicks: 600,
  promoteLagEntries: 1_000,
  stopTimeoutMs: 5_000,
};

/** How a member comes to its log. */
export type ConsensusStart =
  /**
   * The first member, or one of several that all name the same voters and have equal, fresh state
   * machines. Repeating it after a crash continues the log that exists.
   */
  | { readonly kind: 'bootstrap'; readonly voters: readonly RaftId[] }
  /** A new member: waits, empty, for a leader that added it to send a snapshot. Repeatable too. */
  | { readonly kind: 'join' }
  /** From what is stored. Nothing stored is an error: a lost disk needs a new id. */
  | { readonly kind: 'restart' };

export interface ConsensusOptions extends Partial<ConsensusTuning> {
  readonly id: RaftId;
  readonly start: ConsensusStart;
  /** Closed by `stop`. */
  readonly storage: LogStorage;
  /** Fresh; restored and brought up to date before the member runs. */
  readonly stateMachine: StateMachine;
  readonly transport: RaftTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** @throws config_invalid */
export function tuningOf(options: ConsensusOptions): ConsensusTuning {
  const tuning: ConsensusTuning = { ...DEFAULT_TUNING, ...options };
  for (const name of Object.keys(DEFAULT_TUNING) as (keyof ConsensusTuning)[]) {
    const least = name === 'keepTailEntries' || name === 'promoteLagEntries' ? 0 : 1;
    if (!(tuning[name] >= least)) {
      throw new RingloadError('config_invalid', `raft option ${name} is ${tuning[name]}`);
    }
  }
  if (tuning.electionTicks < 3 * tuning.heartbeatTicks) {
    throw new RingloadError(
      'config_invalid',
      `raft option electionTicks (${tuning.electionTicks}) has to be at least three times ` +
        `heartbeatTicks (${tuning.heartbeatTicks})`,
    );
  }
  return tuning;
}
