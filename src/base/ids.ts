/** Branded ids, so that two strings or two numbers of different meaning cannot be swapped. */
declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** Permanent id of a peer: a UUID kept in its data directory. */
export type PeerId = Branded<string, 'PeerId'>;
/** Id of a cluster: a UUID chosen by the peer that bootstraps it. */
export type ClusterId = Branded<string, 'ClusterId'>;
/** Id of a load job: a UUID. */
export type JobId = Branded<string, 'JobId'>;
/** A member's number inside Raft, 1 or more, never used twice in a cluster's life. */
export type RaftId = Branded<number, 'RaftId'>;
/** Raft's term, 0 before the first election. */
export type Term = Branded<number, 'Term'>;
/** Position in the Raft log, 1-based. */
export type LogIndex = Branded<number, 'LogIndex'>;
/** Number of a ring: it grows whenever the set of owners changes. */
export type Epoch = Branded<number, 'Epoch'>;

export const peerId = (text: string): PeerId => text as PeerId;
export const clusterId = (text: string): ClusterId => text as ClusterId;
export const jobId = (text: string): JobId => text as JobId;
export const raftId = (value: number): RaftId => value as RaftId;
export const term = (value: number): Term => value as Term;
export const logIndex = (value: number): LogIndex => value as LogIndex;
export const epoch = (value: number): Epoch => value as Epoch;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function isUuid(text: string): boolean {
  return UUID.test(text);
}
