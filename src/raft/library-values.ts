/**
 * The library's classes and string ids, and ours: one function each way. Whatever crosses is a
 * fresh value, so that neither side holds what the other changes.
 */
import {
  ConfState,
  type Entry,
  type HardState as LibraryHardState,
  Message,
  type MessageType,
  Snapshot,
  SnapshotMetadata,
  ridnone,
} from '@coaty/consensus.raft/ported/raftpb/raft.pb.js';
import type { RaftId } from '../base/ids.ts';
import { logIndex, raftId, term } from '../base/ids.ts';
import type { Configuration, HardState, SnapshotRecord } from './log-storage.ts';
import type { WireMessage } from './wire-message.ts';

export function toRid(id: RaftId | undefined): string {
  return id === undefined ? ridnone : String(id);
}

export function optionalId(rid: string): RaftId | undefined {
  return rid === ridnone ? undefined : raftId(Number(rid));
}

export function fromHardState(state: LibraryHardState): HardState {
  return {
    term: term(state.term),
    vote: optionalId(state.vote),
    commit: logIndex(state.commit),
  };
}

export function fromConfState(state: ConfState): Configuration {
  const ids = (rids: readonly string[]): RaftId[] =>
    rids.map((rid) => raftId(Number(rid))).sort((a, b) => a - b);
  return {
    voters: ids(state.voters),
    learners: ids(state.learners),
    votersOutgoing: ids(state.votersOutgoing),
    learnersNext: ids(state.learnersNext),
    autoLeave: state.autoLeave,
  };
}

export function toConfState(configuration: Configuration): ConfState {
  return new ConfState({
    voters: configuration.voters.map(String),
    learners: configuration.learners.map(String),
    votersOutgoing: configuration.votersOutgoing.map(String),
    learnersNext: configuration.learnersNext.map(String),
    autoLeave: configuration.autoLeave,
  });
}

export function fromSnapshot(snapshot: Snapshot): SnapshotRecord {
  return {
    index: logIndex(snapshot.metadata.index),
    term: term(snapshot.metadata.term),
    configuration: fromConfState(snapshot.metadata.confState),
    data: String(snapshot.data ?? ''),
  };
}

export function toSnapshot(record: SnapshotRecord): Snapshot {
  return new Snapshot({
    data: record.data,
    metadata: new SnapshotMetadata({
      index: record.index,
      term: record.term,
      confState: toConfState(record.configuration),
    }),
  });
}

export function fromLibraryMessage(message: Message): WireMessage {
  return {
    type: message.type,
    to: raftId(Number(message.to)),
    from: raftId(Number(message.from)),
    term: term(message.term),
    logTerm: term(message.logTerm),
    index: logIndex(message.index),
    commit: logIndex(message.commit),
    reject: message.reject,
    rejectHint: logIndex(message.rejectHint),
    context: message.context === null ? null : String(message.context),
    entries: message.entries,
    snapshot: message.snapshot.isEmptySnap() ? undefined : fromSnapshot(message.snapshot),
  };
}

export function toLibraryMessage(message: WireMessage): Message {
  return new Message({
    type: message.type as MessageType,
    to: String(message.to),
    from: String(message.from),
    term: message.term,
    logTerm: message.logTerm,
    index: message.index,
    commit: message.commit,
    reject: message.reject,
    rejectHint: message.rejectHint,
    context: message.context,
    entries: message.entries as Entry[],
    ...(message.snapshot ? { snapshot: toSnapshot(message.snapshot) } : {}),
  });
}
