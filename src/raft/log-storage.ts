/**
 * The durable side of a member's Raft log, as the driver sees it.
 *
 * A storage holds one {@link LogImage}: a snapshot, the hard state, and the entries behind it. It
 * changes in two ways only, each atomic: `persist` adds to it, `replaceWith` exchanges it. The
 * driver never has two calls under way at a time. Any rejection is final: the member stops, and
 * nothing is tried again (after a failed fsync nobody knows what the disk holds).
 */
import type { LogIndex, RaftId, Term } from '../base/ids.ts';

/** Normal entries carry commands, configuration entries change the set of members. */
export const ENTRY_TYPE = { normal: 0, configuration: 2 } as const;

export type EntryData = string | Readonly<Record<string, unknown>> | null;

/** The shape is that of the library's entries, so that they need no conversion. */
export interface LogEntry {
  readonly term: number;
  readonly index: number;
  /** One of {@link ENTRY_TYPE}. */
  readonly type: number;
  /** A command envelope, a configuration change, or null for an entry without effect. */
  readonly data: EntryData;
}

export interface HardState {
  readonly term: Term;
  readonly vote: RaftId | undefined;
  readonly commit: LogIndex;
}

/** Who votes and who only listens; the last three are empty outside of a joint configuration. */
export interface Configuration {
  readonly voters: readonly RaftId[];
  readonly learners: readonly RaftId[];
  readonly votersOutgoing: readonly RaftId[];
  readonly learnersNext: readonly RaftId[];
  readonly autoLeave: boolean;
}

/** The whole state after `index`. Index 0 is the empty state of a member that joins. */
export interface SnapshotRecord {
  readonly index: LogIndex;
  readonly term: Term;
  readonly configuration: Configuration;
  /** What the state machine serialized. */
  readonly data: string;
}

export interface LogImage {
  readonly snapshot: SnapshotRecord;
  readonly hardState: HardState;
  /**
   * Contiguous. They begin at `snapshot.index + 1`, or before it when a tail is kept for slow
   * followers; then the first entry only tells the term in front of the second.
   */
  readonly entries: readonly LogEntry[];
}

export interface LogBatch {
  readonly hardState: HardState;
  /** Replace everything that is stored from the first one's index on. */
  readonly entries: readonly LogEntry[];
  /** False when only the commit index moved: that may be lost in a crash. */
  readonly mustSync: boolean;
}

export interface LogStorage {
  /**
   * Reads what is durable; called once, before anything else. Undefined when nothing was ever
   * stored.
   * @throws data_corrupt naming file and offset; the member must not start.
   */
  load(): Promise<LogImage | undefined>;
  /** Resolves when the batch is durable, or at least remembered when `mustSync` is false. */
  persist(batch: LogBatch): Promise<void>;
  /** Exchanges all that is stored: the start of a log, a compaction, a received snapshot. */
  replaceWith(image: LogImage): Promise<void>;
  /** Releases the storage; what was only remembered is written. */
  close(): Promise<void>;
}

export const EMPTY_CONFIGURATION: Configuration = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

/** Whether `id` has a place in `configuration`, with or without a vote. */
export function isMember(configuration: Configuration, id: RaftId): boolean {
  return (
    configuration.voters.includes(id) ||
    configuration.learners.includes(id) ||
    configuration.votersOutgoing.includes(id) ||
    configuration.learnersNext.includes(id)
  );
}

/** `entries` followed by `added`, which replaces everything from its first index on. */
export function overwriteFrom(
  entries: readonly LogEntry[],
  added: readonly LogEntry[],
): readonly LogEntry[] {
  const first = added[0];
  const start = entries[0];
  if (!first) return entries;
  if (!start) return [...added];
  return [...entries.slice(0, Math.max(0, first.index - start.index)), ...added];
}
