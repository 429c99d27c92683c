/**
 * The Raft library behind our own types: beside `library-values.ts`, the only file that knows it.
 *
 * `@coaty/consensus.raft` is etcd's raft ported to TypeScript; of it only the deterministic
 * RawNode is used. This file turns its string ids, classes and printf logger into ours, replaces
 * its random source, and keeps its defects out of reach: read-index responses and forwarded
 * requests never enter (`wire-message.ts`), every message is decoded afresh, configuration changes
 * are V2 with a non-null payload, and a configuration without voters is refused on the spot.
 *
 * Rule for the caller: between `ready()` and `advance()` nothing but `applyConfiguration` may be
 * called. Any exception means that the member has to stop and start again from its storage.
 */
import type { Logger as LibraryLogger } from '@coaty/consensus.raft/ported/logger.js';
import { setLogger } from '@coaty/consensus.raft/ported/logger.js';
import type { Ready } from '@coaty/consensus.raft/ported/node.js';
import { SnapshotStatus } from '@coaty/consensus.raft/ported/node.js';
import {
  RaftConfig,
  ReadOnlyOption,
  StateType,
  noLimit,
} from '@coaty/consensus.raft/ported/raft.js';
import {
  ConfChangeSingle,
  ConfChangeType,
  ConfChangeV2,
  Entry,
  HardState as LibraryHardState,
  Message,
  MessageType,
} from '@coaty/consensus.raft/ported/raftpb/raft.pb.js';
import { RawNode } from '@coaty/consensus.raft/ported/rawnode.js';
import type { Storage } from '@coaty/consensus.raft/ported/storage.js';
import { ErrCompacted, ErrUnavailable } from '@coaty/consensus.raft/ported/storage.js';
import type { LogIndex, RaftId } from '../base/ids.ts';
import { logIndex, raftId } from '../base/ids.ts';
import { invariant } from '../base/invariant.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { randomInt } from '../base/random.ts';
import type { MembershipChange, RaftRole } from './consensus.ts';
import type { Configuration, HardState, LogEntry, SnapshotRecord } from './log-storage.ts';
import { ENTRY_TYPE } from './log-storage.ts';
import {
  fromConfState,
  fromHardState,
  fromLibraryMessage,
  fromSnapshot,
  optionalId,
  toConfState,
  toLibraryMessage,
  toRid,
  toSnapshot,
} from './library-values.ts';
import type { LogTail } from './log-tail.ts';
import type { WireMessage } from './wire-message.ts';

export interface RaftCoreOptions {
  readonly id: RaftId;
  readonly tail: LogTail;
  readonly hardState: HardState;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** Of entries in one message; the library spreads them as arguments, so it must be bounded. */
  readonly maxMessageBytes: number;
  /** Append messages sent ahead of their acknowledgement, for each follower. */
  readonly maxInflightMessages: number;
  readonly random: Random;
  readonly logger: Logger;
}

/** What one turn of the loop has to carry out, in the order of the fields. */
export interface CoreReady {
  readonly hardState: HardState | undefined;
  readonly snapshot: SnapshotRecord | undefined;
  readonly entries: readonly LogEntry[];
  /** Whether the above must be durable before the messages are sent. */
  readonly mustSync: boolean;
  readonly messages: readonly WireMessage[];
  readonly committed: readonly LogEntry[];
  readonly readStates: readonly { readonly index: LogIndex; readonly context: string }[];
}

/** A committed change of the configuration, carried out. */
export interface AppliedConfiguration {
  readonly configuration: Configuration;
  /** What the proposer gave along; null for others' changes of unknown origin. */
  readonly context: string | null;
}

const ROLES: Readonly<Record<number, RaftRole>> = {
  [StateType.StateFollower]: 'follower',
  [StateType.StateCandidate]: 'candidate',
  [StateType.StatePreCandidate]: 'candidate',
  [StateType.StateLeader]: 'leader',
};

const CHANGE_TYPES: Readonly<Record<MembershipChange['kind'], ConfChangeType>> = {
  'add-voter': ConfChangeType.ConfChangeAddNode,
  'add-learner': ConfChangeType.ConfChangeAddLearnerNode,
  demote: ConfChangeType.ConfChangeAddLearnerNode,
  remove: ConfChangeType.ConfChangeRemoveNode,
};

/** The library's own default logger hides what went wrong or ends the process. */
const throwingLogger: LibraryLogger = {
  infof() {},
  warningf() {},
  errorf() {},
  debugf() {},
  fatalf: fail,
  panicf: fail,
};
setLogger(throwingLogger);

export class RaftCore {
  /** For diagnosis and for tests that plant defects; nothing else touches it. */
  readonly rawNode: RawNode;
  readonly #id: RaftId;
  readonly #tail: LogTail;
  #ready: Ready | undefined;

  constructor(options: RaftCoreOptions) {
    this.#id = options.id;
    this.#tail = options.tail;
    this.rawNode = RawNode.NewRawNode(
      new RaftConfig({
        id: String(options.id),
        electionTick: options.electionTicks,
        heartbeatTick: options.heartbeatTicks,
        storage: new TailStorage(options.tail, options.hardState),
        applied: options.tail.snapshot.index,
        maxSizePerMsg: options.maxMessageBytes,
        maxCommittedSizePerReady: noLimit,
        maxInflightMsgs: options.maxInflightMessages,
        preVote: true,
        checkQuorum: true,
        readOnlyOption: ReadOnlyOption.ReadOnlySafe,
        disableProposalForwarding: true,
        logger: libraryLogger(options.logger),
      }),
    );
    const raft = this.rawNode.raft;
    raft.resetRandomizedElectionTimeout = () => {
      raft.randomizedElectionTimeout =
        options.electionTicks + randomInt(options.random, options.electionTicks);
    };
    raft.resetRandomizedElectionTimeout();
  }

  get term(): number {
    return this.rawNode.raft.term;
  }
  get isLeader(): boolean {
    return this.rawNode.raft.state === StateType.StateLeader;
  }
  get role(): RaftRole {
    const role = ROLES[this.rawNode.raft.state] ?? 'follower';
    const votes = this.rawNode.raft.prs.config.voters.ids().has(String(this.#id));
    return role === 'follower' && !votes ? 'learner' : role;
  }
  get leaderId(): RaftId | undefined {
    return optionalId(this.rawNode.raft.lead);
  }
  get commitIndex(): LogIndex {
    return logIndex(this.rawNode.raft.raftLog.committed);
  }
  /** Whether a change was appended that is not applied yet; another one would be ignored. */
  get hasPendingConfiguration(): boolean {
    const raft = this.rawNode.raft;
    return raft.pendingConfIndex > raft.raftLog.applied;
  }
  /** The member that leadership is being handed to; proposals are dropped meanwhile. */
  get transferTarget(): RaftId | undefined {
    return optionalId(this.rawNode.raft.leadTransferee);
  }
  /** Until a leader committed an entry of its own term it does not know what is committed. */
  get canReadIndex(): boolean {
    return this.isLeader && this.rawNode.raft.committedEntryInCurrentTerm();
  }

  configuration(): Configuration {
    return fromConfState(this.rawNode.raft.prs.confState());
  }

  /** On the leader: the highest index known to be stored by each member. */
  matchIndex(): Map<RaftId, LogIndex> {
    const matches = new Map<RaftId, LogIndex>();
    if (!this.isLeader) return matches;
    for (const [id, progress] of this.rawNode.raft.prs.progress) {
      matches.set(raftId(Number(id)), logIndex(progress.match));
    }
    return matches;
  }

  tick(): void {
    this.rawNode.tick();
  }

  /** Starts an election without waiting for the timeout. */
  campaign(): void {
    this.rawNode.campaign();
  }

  step(message: WireMessage): void {
    // Errors returned here concern the message alone: it came from a stranger.
    this.rawNode.step(toLibraryMessage(message));
  }

  /** Appends one entry for each payload; false when nothing was appended. */
  propose(payloads: readonly string[]): boolean {
    const entries = payloads.map((data) => new Entry({ data }));
    return this.#stepProposal(entries);
  }

  /** False when nothing was appended. Check {@link hasPendingConfiguration} first. */
  proposeConfiguration(change: MembershipChange, context: string): boolean {
    const single = new ConfChangeSingle({
      type: CHANGE_TYPES[change.kind],
      nodeId: String(change.id),
    });
    const data = new ConfChangeV2({ changes: [single], context });
    return this.#stepProposal([new Entry({ type: ENTRY_TYPE.configuration, data })]);
  }

  /** `context` has to be new for every call. */
  readIndex(context: string): void {
    this.rawNode.readIndex(context);
  }

  transferLeadership(to: RaftId): void {
    this.rawNode.transferLeader(String(to));
  }

  reportUnreachable(id: RaftId): void {
    this.rawNode.reportUnreachable(String(id));
  }

  reportSnapshot(id: RaftId, delivered: boolean): void {
    const status = delivered ? SnapshotStatus.SnapshotFinish : SnapshotStatus.SnapshotFailure;
    this.rawNode.reportSnapshot(String(id), status);
  }

  hasReady(): boolean {
    return this.rawNode.hasReady();
  }

  ready(): CoreReady {
    invariant(!this.#ready, 'one Ready at a time');
    const ready = this.rawNode.ready();
    this.#ready = ready;
    return {
      hardState: ready.hardState.isEmptyHardState() ? undefined : fromHardState(ready.hardState),
      snapshot: ready.snapshot.isEmptySnap() ? undefined : fromSnapshot(ready.snapshot),
      entries: ready.entries,
      mustSync: ready.mustSync,
      messages: ready.messages.map(fromLibraryMessage),
      committed: ready.committedEntries,
      readStates: ready.readStates.map((state) => ({
        index: logIndex(state.index),
        context: String(state.requestCtx),
      })),
    };
  }

  /** @throws InvariantError when the change would leave nobody to vote. */
  applyConfiguration(entry: LogEntry): AppliedConfiguration {
    const change = new ConfChangeV2(
      (entry.data ?? {}) as ConstructorParameters<typeof ConfChangeV2>[0],
    );
    // Why first: the library clears the context while it applies the change.
    const context: unknown = change.context;
    const configuration = fromConfState(this.rawNode.applyConfChange(change));
    invariant(configuration.voters.length > 0, `no voters are left after entry ${entry.index}`);
    return { configuration, context: typeof context === 'string' ? context : null };
  }

  advance(): void {
    invariant(this.#ready, 'advance without ready');
    const ready = this.#ready;
    this.#ready = undefined;
    this.rawNode.advance(ready);
  }

  /** The term of an entry that is applied and still held. */
  termAt(index: number): number {
    const found = this.#tail.term(index);
    invariant(found !== undefined, `the term of entry ${index} is unknown`);
    return found;
  }

  #stepProposal(entries: Entry[]): boolean {
    const message = new Message({ type: MessageType.MsgProp, from: String(this.#id) });
    message.entries = entries;
    return this.rawNode.raft.Step(message) === null;
  }
}

/** The log in memory, as the library wants to see it. */
class TailStorage implements Storage {
  readonly #tail: LogTail;
  readonly #hardState: HardState;

  constructor(tail: LogTail, hardState: HardState) {
    this.#tail = tail;
    this.#hardState = hardState;
  }

  InitialState(): ReturnType<Storage['InitialState']> {
    const { term: storedTerm, vote, commit } = this.#hardState;
    const hardState = new LibraryHardState({ term: storedTerm, vote: toRid(vote), commit });
    return [hardState, toConfState(this.#tail.snapshot.configuration), null];
  }

  Entries(from: number, until: number, maxSize: number): ReturnType<Storage['Entries']> {
    if (from < this.#tail.firstIndex) return [[], new ErrCompacted()];
    if (until > this.#tail.lastIndex + 1) return [[], new ErrUnavailable()];
    // Why the eighth: the library asks for eight times its limit and may not cut the answer.
    return [this.#tail.slice(from, until, maxSize / 8), null];
  }

  Term(index: number): ReturnType<Storage['Term']> {
    if (index < this.#tail.firstIndex - 1) return [0, new ErrCompacted()];
    const found = this.#tail.term(index);
    return found === undefined ? [0, new ErrUnavailable()] : [found, null];
  }

  LastIndex(): ReturnType<Storage['LastIndex']> {
    return [this.#tail.lastIndex, null];
  }

  FirstIndex(): ReturnType<Storage['FirstIndex']> {
    return [this.#tail.firstIndex, null];
  }

  Snapshot(): ReturnType<Storage['Snapshot']> {
    return [toSnapshot(this.#tail.snapshot), null];
  }
}

function libraryLogger(logger: Logger): LibraryLogger {
  return {
    infof: (format, ...values: unknown[]) => {
      logger.debug(formatted(format, values));
    },
    warningf: (format, ...values: unknown[]) => {
      logger.debug(formatted(format, values));
    },
    errorf: (format, ...values: unknown[]) => {
      logger.error(formatted(format, values));
    },
    debugf() {},
    fatalf: fail,
    panicf: fail,
  };
}

function fail(format: string, ...values: unknown[]): never {
  invariant(false, `raft: ${formatted(format, values)}`);
}

function formatted(format: string, values: readonly unknown[]): string {
  let next = 0;
  return format.replaceAll(/%[a-z]/g, () => String(values[next++]));
}
