/**
 * Raft messages between members: their shape, their text form, and what of it is believed.
 *
 * The text is a JSON array, short because most fields of most messages are empty. What arrives is
 * checked completely before it may touch the library, which trusts its input: a malformed message
 * is dropped, never thrown.
 */
import type { LogIndex, RaftId, Term } from '../base/ids.ts';
import { logIndex, raftId, term } from '../base/ids.ts';
import type { Configuration, EntryData, LogEntry, SnapshotRecord } from './log-storage.ts';
import { ENTRY_TYPE } from './log-storage.ts';

/** The numbers are those of the library and of etcd. */
export const MESSAGE_TYPE = {
  append: 3,
  appendResponse: 4,
  vote: 5,
  voteResponse: 6,
  snapshot: 7,
  heartbeat: 8,
  heartbeatResponse: 9,
  timeoutNow: 14,
  preVote: 17,
  preVoteResponse: 18,
} as const;

export interface WireMessage {
  /** One of {@link MESSAGE_TYPE}: local inputs and forwarded requests are never sent. */
  readonly type: number;
  readonly to: RaftId;
  readonly from: RaftId;
  readonly term: Term;
  readonly logTerm: Term;
  readonly index: LogIndex;
  readonly commit: LogIndex;
  readonly reject: boolean;
  readonly rejectHint: LogIndex;
  readonly context: string | null;
  readonly entries: readonly LogEntry[];
  readonly snapshot: SnapshotRecord | undefined;
}

const VERSION = 1;
const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(MESSAGE_TYPE));

export function encodeMessage(message: WireMessage): string {
  const { snapshot } = message;
  return JSON.stringify([
    VERSION,
    message.type,
    message.to,
    message.from,
    message.term,
    message.logTerm,
    message.index,
    message.commit,
    message.reject ? 1 : 0,
    message.rejectHint,
    message.context,
    message.entries.map((entry) => [entry.term, entry.index, entry.type, entry.data]),
    ...(snapshot ? [snapshot.index, snapshot.term, snapshot.configuration, snapshot.data] : []),
  ]);
}

/** Undefined when `text` is not a message that a member of this version could have sent. */
export function decodeMessage(text: string): WireMessage | undefined {
  const fields = parseArray(text);
  if (!fields) return undefined;
  const [version, type, to, from, ...rest] = fields;
  const [messageTerm, logTerm, index, commit, reject, rejectHint, context, entries] = rest;
  if (version !== VERSION || !isCount(type) || !KNOWN_TYPES.has(type)) return undefined;
  if (!isId(to) || !isId(from)) return undefined;
  if (!isCount(messageTerm) || messageTerm === 0 || !isCount(logTerm)) return undefined;
  if (!isCount(index) || !isCount(commit) || !isCount(rejectHint)) return undefined;
  if (context !== null && typeof context !== 'string') return undefined;
  const decodedEntries = decodeEntries(entries, index, messageTerm);
  if (!decodedEntries) return undefined;
  const snapshot = decodeSnapshot(fields.slice(12), messageTerm);
  if ((type === MESSAGE_TYPE.snapshot) !== (snapshot !== undefined)) return undefined;
  return {
    type,
    to: raftId(to),
    from: raftId(from),
    term: term(messageTerm),
    logTerm: term(logTerm),
    index: logIndex(index),
    commit: logIndex(commit),
    reject: reject === 1,
    rejectHint: logIndex(rejectHint),
    context,
    entries: decodedEntries,
    snapshot,
  };
}

function parseArray(text: string): unknown[] | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) ? (parsed as unknown[]) : undefined;
  } catch {
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isId(value: unknown): value is number {
  return isCount(value) && value > 0;
}

/** Entries have to follow `previousIndex` without a gap, with terms up to the message's. */
function decodeEntries(
  value: unknown,
  previousIndex: number,
  lastTerm: number,
): LogEntry[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const entries: LogEntry[] = [];
  for (const tuple of value as unknown[]) {
    if (!Array.isArray(tuple)) return undefined;
    const [entryTerm, index, type, data] = tuple as unknown[];
    if (!isId(entryTerm) || entryTerm > lastTerm) return undefined;
    if (index !== previousIndex + 1 + entries.length || !isCount(type)) return undefined;
    if (!isEntryData(type, data)) return undefined;
    entries.push({ term: entryTerm, index, type, data });
  }
  return entries;
}

function isEntryData(type: number, data: unknown): data is EntryData {
  if (data === null) return true;
  if (type === ENTRY_TYPE.normal) return typeof data === 'string';
  return typeof data === 'object' && !Array.isArray(data);
}

function decodeSnapshot(fields: unknown[], lastTerm: number): SnapshotRecord | undefined {
  const [index, snapshotTerm, configuration, data] = fields;
  if (!isId(index) || !isId(snapshotTerm) || snapshotTerm > lastTerm) return undefined;
  if (typeof data !== 'string' || !isConfiguration(configuration)) return undefined;
  return { index: logIndex(index), term: term(snapshotTerm), configuration, data };
}

function isConfiguration(value: unknown): value is Configuration {
  if (typeof value !== 'object' || value === null) return false;
  const { voters, learners, votersOutgoing, learnersNext, autoLeave } =
    value as Partial<Configuration>;
  const lists: unknown[] = [voters, learners, votersOutgoing, learnersNext];
  return (
    lists.every((list) => Array.isArray(list) && list.every(isId)) &&
    voters !== undefined &&
    voters.length > 0 &&
    typeof autoLeave === 'boolean'
  );
}
