/**
 * What happened in a run, and the properties of Raft that it must have. It looks from outside: at
 * what became durable, what was sent, what was applied, and what members say of themselves.
 *
 * The first violation ends the run.
 */
import type { RaftId } from '../../../src/base/ids.ts';
import type { RaftStatus } from '../../../src/raft/consensus.ts';
import type { LogEntry, LogImage } from '../../../src/raft/log-storage.ts';
import { ENTRY_TYPE } from '../../../src/raft/log-storage.ts';
import type { WireMessage } from '../../../src/raft/wire-message.ts';
import { MESSAGE_TYPE } from '../../../src/raft/wire-message.ts';
import type { MachineState } from './counting-machine.ts';

export class Violation extends Error {
  constructor(property: string, message: string) {
    super(`${property}: ${message}`);
    this.name = 'Violation';
  }
}

interface EntryFacts {
  readonly content: string;
  readonly previousTerm: number;
}

interface CommittedEntry {
  readonly term: number;
  /** Of the leader that committed it, which may be long after it was written. */
  readonly committedInTerm: number;
  readonly content: string;
}

/** What is known of one member across all its lives. */
interface MemberFacts {
  /** What a crash right now would leave, but for the change under way. */
  durable: LogImage | undefined;
  /** The same if the change that is being written gets through. */
  underWay: LogImage | undefined;
  /** In force when the last change was begun. */
  voters: readonly RaftId[];
  highestSentTerm: number;
  highestStatusTerm: number;
  /** Of this life. */
  commitIndex: number;
  lastApplied: number;
  leadingTerm: number | undefined;
}

export class History {
  committedCount = 0;
  readonly appliedCommands = new Map<string, number>();
  readonly #members = new Map<RaftId, MemberFacts>();
  readonly #leaders = new Map<number, RaftId>();
  readonly #votes = new Map<string, RaftId>();
  readonly #entries = new Map<string, EntryFacts>();
  readonly #committed = new Map<number, CommittedEntry>();
  readonly #states = new Map<number, MachineState>();
  readonly #refused = new Set<string>();
  #commitIndex = 1;
  #acknowledgedIndex = 0;

  get commitIndex(): number {
    return this.#commitIndex;
  }
  get acknowledgedIndex(): number {
    return this.#acknowledgedIndex;
  }

  /** A member loaded its log: it must be what was durable, or that and the change under way. */
  loaded(id: RaftId, image: LogImage | undefined): void {
    const member = this.#member(id);
    const found = fingerprint(image);
    if (found !== fingerprint(member.durable)) {
      if (!member.underWay || found !== fingerprint(member.underWay)) {
        throw new Violation('durability', `member ${id} restarted with another log than it stored`);
      }
      member.durable = member.underWay;
    }
    member.underWay = undefined;
    member.leadingTerm = undefined;
    member.commitIndex = image?.hardState.commit ?? 0;
    member.lastApplied = 0;
    // A crash may have come between the sync and the news of it.
    this.commitKnown(id, member.commitIndex, member.voters);
  }

  /** @param voters in force at this member. */
  storing(id: RaftId, image: LogImage, voters: readonly RaftId[]): void {
    const member = this.#member(id);
    member.underWay = image;
    member.voters = voters;
  }

  durableOf(id: RaftId): LogImage | undefined {
    return this.#member(id).durable;
  }

  /** The image given to `storing` is durable now. */
  stored(id: RaftId): void {
    const member = this.#member(id);
    const before = member.durable;
    const after = member.underWay;
    if (!after) return;
    member.durable = after;
    member.underWay = undefined;
    this.#checkTruncation(id, member, before, after);
    this.#checkEntries(after.entries, before);
  }

  /** `commit` became known to a member that has everything durable up to here. */
  commitKnown(id: RaftId, commit: number, voters: readonly RaftId[]): void {
    const { durable } = this.#member(id);
    if (!durable || commit <= this.#commitIndex) return;
    for (let index = this.#commitIndex + 1; index <= commit; index++) {
      if (index <= durable.snapshot.index) {
        throw new Violation('commit', `member ${id} took a snapshot of uncommitted ${index}`);
      }
      const entry = entryAt(durable, index);
      if (!entry)
        throw new Violation('commit', `member ${id} committed ${index} without having it`);
      this.#checkMajority(entry, voters);
      this.#committed.set(index, {
        term: entry.term,
        committedInTerm: durable.hardState.term,
        content: contentOf(entry),
      });
      this.committedCount++;
      this.#commitIndex = index;
      this.#checkLeadersHave(index);
    }
  }

  sent(message: WireMessage): void {
    const { from, type, term } = message;
    const member = this.#member(from);
    const isPreVote = type === MESSAGE_TYPE.preVote || type === MESSAGE_TYPE.preVoteResponse;
    if (!isPreVote) {
      if (term < member.highestSentTerm) {
        throw new Violation('monotonic term', `member ${from} went back to term ${term}`);
      }
      member.highestSentTerm = term;
      if ((member.durable?.hardState.term ?? 0) < term) {
        throw new Violation('persist before send', `member ${from} sent unstored term ${term}`);
      }
    }
    this.#checkVote(message, member);
    if (type === MESSAGE_TYPE.append || type === MESSAGE_TYPE.heartbeat) this.#leads(from, term);
    if (type === MESSAGE_TYPE.append) this.#checkAppend(message);
    if (type === MESSAGE_TYPE.appendResponse && !message.reject && member.durable) {
      const { hardState } = member.durable;
      if (hardState.term === term && lastIndexOf(member.durable) < message.index) {
        throw new Violation('persist before send', `member ${from} acknowledged ${message.index}`);
      }
    }
  }

  applied(id: RaftId, command: string, state: MachineState): void {
    const member = this.#member(id);
    const { index } = state;
    const committed = this.#committed.get(index);
    if (index <= member.lastApplied) {
      throw new Violation(
        'apply once',
        `member ${id} applied ${index} after ${member.lastApplied}`,
      );
    }
    for (let skipped = member.lastApplied + 1; skipped < index; skipped++) {
      if (this.#committed.get(skipped)?.content.startsWith('c')) {
        throw new Violation('apply in order', `member ${id} left out ${skipped}`);
      }
    }
    if (!committed)
      throw new Violation('apply committed', `member ${id} applied ${index} too soon`);
    if (!committed.content.endsWith(` ${command}`)) {
      throw new Violation('state machine safety', `member ${id} applied ${command} at ${index}`);
    }
    if (lastIndexOf(member.durable) < index) {
      throw new Violation('apply persisted', `member ${id} applied ${index}, which is not stored`);
    }
    if (this.#refused.has(command)) {
      throw new Violation('refusal', `${command} was refused, but applied at ${index}`);
    }
    const before = this.appliedCommands.get(command);
    if (before !== undefined && before !== index) {
      throw new Violation('apply once', `${command} was applied at ${before} and ${index}`);
    }
    this.appliedCommands.set(command, index);
    this.#checkState(id, state);
    member.lastApplied = index;
  }

  restored(id: RaftId, state: MachineState): void {
    if (state.index > 0) this.#checkState(id, state);
    this.#member(id).lastApplied = state.index;
  }

  /** A client got its answer. */
  acknowledged(command: string, state: MachineState): void {
    if (this.appliedCommands.get(command) !== state.index) {
      throw new Violation('acknowledgement', `${command} was answered with ${state.index}`);
    }
    this.#acknowledgedIndex = Math.max(this.#acknowledgedIndex, state.index);
  }

  /** A client was told that nothing was appended. */
  refused(command: string): void {
    if (this.appliedCommands.has(command)) {
      throw new Violation('refusal', `${command} was applied, then refused`);
    }
    this.#refused.add(command);
  }

  /** A read barrier that was asked for when `acknowledgedIndex` was the highest answer. */
  readServed(id: RaftId, acknowledgedIndex: number): void {
    if (this.#member(id).lastApplied < acknowledgedIndex) {
      throw new Violation('read index', `member ${id} served a read without ${acknowledgedIndex}`);
    }
  }

  observed(status: RaftStatus): void {
    const member = this.#member(status.id);
    if (status.term < member.highestStatusTerm) {
      throw new Violation('monotonic term', `member ${status.id} shows term ${status.term}`);
    }
    member.highestStatusTerm = status.term;
    if (status.commitIndex < member.commitIndex) {
      throw new Violation('monotonic commit', `member ${status.id} went to ${status.commitIndex}`);
    }
    member.commitIndex = status.commitIndex;
    if (status.appliedIndex > status.commitIndex) {
      throw new Violation('apply committed', `member ${status.id} is at ${status.appliedIndex}`);
    }
    if (status.appliedIndex > 0 && status.voters.length === 0) {
      throw new Violation('configuration', `member ${status.id} has no voters`);
    }
    if (status.role === 'leader') this.#becameLeader(status, member);
    else member.leadingTerm = undefined;
  }

  crashed(id: RaftId): void {
    this.#member(id).leadingTerm = undefined;
  }

  /** Whether a member has everything that is committed. */
  isComplete(id: RaftId): boolean {
    return lastIndexOf(this.#member(id).durable) >= this.#commitIndex;
  }

  #member(id: RaftId): MemberFacts {
    let member = this.#members.get(id);
    if (!member) {
      member = {
        durable: undefined,
        underWay: undefined,
        voters: [],
        highestSentTerm: 0,
        highestStatusTerm: 0,
        commitIndex: 0,
        lastApplied: 0,
        leadingTerm: undefined,
      };
      this.#members.set(id, member);
    }
    return member;
  }

  #leads(id: RaftId, term: number): void {
    const leader = this.#leaders.get(term);
    if (leader !== undefined && leader !== id) {
      throw new Violation('one leader per term', `members ${leader} and ${id} lead term ${term}`);
    }
    this.#leaders.set(term, id);
  }

  #becameLeader(status: RaftStatus, member: MemberFacts): void {
    this.#leads(status.id, status.term);
    if (member.leadingTerm === status.term) return;
    member.leadingTerm = status.term;
    const durable = member.durable;
    if (!durable) return;
    for (let index = durable.snapshot.index + 1; index <= this.#commitIndex; index++) {
      this.#checkLeaderHas(status.id, status.term, durable, index);
    }
  }

  #checkLeadersHave(index: number): void {
    for (const [id, { leadingTerm, durable }] of this.#members) {
      if (leadingTerm !== undefined && durable) {
        this.#checkLeaderHas(id, leadingTerm, durable, index);
      }
    }
  }

  #checkLeaderHas(id: RaftId, leadingTerm: number, durable: LogImage, index: number): void {
    const committed = this.#committed.get(index);
    if (!committed || committed.committedInTerm >= leadingTerm || index <= durable.snapshot.index)
      return;
    if (entryAt(durable, index)?.term === committed.term) return;
    throw new Violation('leader completeness', `leader ${id} of ${leadingTerm} lacks ${index}`);
  }

  #checkMajority(entry: LogEntry, voters: readonly RaftId[]): void {
    const holders = voters.filter((id) => {
      const durable = this.#member(id).durable;
      if (!durable) return false;
      return (
        durable.snapshot.index >= entry.index || entryAt(durable, entry.index)?.term === entry.term
      );
    });
    if (holders.length * 2 > voters.length) return;
    throw new Violation(
      'durable majority',
      `entry ${entry.index} of term ${entry.term} is stored by ${holders.join()} of ${voters.join()}`,
    );
  }

  #checkVote(message: WireMessage, member: MemberFacts): void {
    const { type, from, to, term } = message;
    const isOwn = type === MESSAGE_TYPE.vote;
    if (!isOwn && (type !== MESSAGE_TYPE.voteResponse || message.reject)) return;
    const candidate = isOwn ? from : to;
    const before = this.#votes.get(`${from}@${term}`);
    if (before !== undefined && before !== candidate) {
      throw new Violation(
        'one vote per term',
        `member ${from} voted for ${before} and ${candidate} in term ${term}`,
      );
    }
    this.#votes.set(`${from}@${term}`, candidate);
    const hardState = member.durable?.hardState;
    if (hardState?.term === term && hardState.vote !== candidate) {
      throw new Violation('persist before send', `member ${from} sent a vote it did not store`);
    }
  }

  #checkAppend(message: WireMessage): void {
    let previousTerm: number = message.logTerm;
    for (const entry of message.entries) {
      this.#checkEntry(entry, previousTerm);
      previousTerm = entry.term;
    }
    const { durable } = this.#member(message.from);
    if (durable && message.commit > lastIndexOf(durable)) {
      throw new Violation(
        'persist before send',
        `leader ${message.from} spread an unstored commit`,
      );
    }
  }

  /** A leader only ever appends. */
  #checkTruncation(
    id: RaftId,
    member: MemberFacts,
    before: LogImage | undefined,
    after: LogImage,
  ): void {
    if (!before) return;
    const isLeading = member.leadingTerm === after.hardState.term;
    if (isLeading && lastIndexOf(after) < lastIndexOf(before)) {
      throw new Violation('leader append-only', `leader ${id} shortened its log`);
    }
    for (let index = lastIndexOf(after); index > after.snapshot.index; index--) {
      const old = entryAt(before, index);
      const now = entryAt(after, index);
      if (!old || !now) continue;
      if (old.term === now.term) break;
      if (isLeading) throw new Violation('leader append-only', `leader ${id} changed ${index}`);
      const committed = this.#committed.get(index);
      if (committed && committed.term === old.term) {
        throw new Violation('committed stays', `member ${id} replaced committed entry ${index}`);
      }
    }
    for (let index = lastIndexOf(after) + 1; index <= lastIndexOf(before); index++) {
      const committed = this.#committed.get(index);
      if (committed && committed.term === entryAt(before, index)?.term) {
        throw new Violation('committed stays', `member ${id} dropped committed entry ${index}`);
      }
    }
  }

  /** Only the end can be new: go back until an entry is known to have been there. */
  #checkEntries(entries: readonly LogEntry[], before: LogImage | undefined): void {
    for (let at = entries.length - 1; at > 0; at--) {
      const entry = entries[at];
      const previous = entries[at - 1];
      if (!entry || !previous) return;
      if (before && entryAt(before, entry.index) === entry) return;
      this.#checkEntry(entry, previous.term);
    }
  }

  /** By induction, equal entries at one index mean equal logs up to there. */
  #checkEntry(entry: LogEntry, previousTerm: number): void {
    const key = `${entry.index}@${entry.term}`;
    const known = this.#entries.get(key);
    const content = contentOf(entry);
    if (!known) {
      this.#entries.set(key, { content, previousTerm });
    } else if (known.content !== content || known.previousTerm !== previousTerm) {
      throw new Violation('log matching', `two different logs contain entry ${key}`);
    }
  }

  #checkState(id: RaftId, state: MachineState): void {
    const known = this.#states.get(state.index);
    if (!known) this.#states.set(state.index, state);
    else if (known.digest !== state.digest || known.count !== state.count) {
      throw new Violation('state machine safety', `member ${id} differs at ${state.index}`);
    }
  }
}

/** Of a normal entry `c` and its envelope, of others their kind and data. */
function contentOf(entry: LogEntry): string {
  if (entry.data === null) return '-';
  if (typeof entry.data !== 'string') return `m${JSON.stringify(entry.data)}`;
  return entry.type === ENTRY_TYPE.normal ? `c${entry.data}` : `?${entry.data}`;
}

export function lastIndexOf(image: LogImage | undefined): number {
  return image ? (image.entries.at(-1)?.index ?? image.snapshot.index) : 0;
}

/** Not for the first entry of a kept tail, which is only a marker. */
export function entryAt(image: LogImage, index: number): LogEntry | undefined {
  const first = image.entries[0];
  return first ? image.entries[index - first.index] : undefined;
}

function fingerprint(image: LogImage | undefined): string {
  if (!image) return 'nothing';
  const { snapshot, hardState, entries } = image;
  const log = entries.map((entry) => `${entry.index}@${entry.term}${contentOf(entry)}`);
  return JSON.stringify([snapshot, hardState.term, hardState.vote ?? 0, log]);
}
