/** Stand-ins for what the node's parts work on, each typed by the interface it stands for. */
import { type ManualClock } from '../../../src/base/clock.ts';
import { RingloadError } from '../../../src/base/errors.ts';
import { epoch, logIndex, raftId, term, type PeerId, type RaftId } from '../../../src/base/ids.ts';
import type { LogFields, Logger } from '../../../src/base/logger.ts';
import { EMPTY_STATE, type ClusterState } from '../../../src/cluster/cluster-state.ts';
import type { JobRecord } from '../../../src/cluster/job-record.ts';
import type { Announcement, Member } from '../../../src/cluster/member.ts';
import type { LinkStatus, PeerNetwork, RequestHandler } from '../../../src/peer/peer-network.ts';
import type { Consensus, MembershipChange, RaftStatus } from '../../../src/raft/consensus.ts';
import { CLUSTER, drainMicrotasks, idOf } from '../../peer/support/world.ts';

export { CLUSTER, drainMicrotasks, idOf };

export function announcementOf(name: string, given: Partial<Announcement> = {}): Announcement {
  return {
    id: idOf(name),
    address: `${name}:1`,
    dataEndpoint: `http://${name}:2`,
    weight: 1,
    zone: '',
    capacityBytes: 1_000_000,
    generation: 1,
    ...given,
  };
}

/** A member whose number in Raft is its place in the alphabet. */
export function memberOf(name: string, given: Partial<Member> = {}): Member {
  return {
    ...announcementOf(name),
    raftId: numberOf(name),
    state: 'up',
    stateSinceMs: 0,
    ...given,
  };
}

export const numberOf = (name: string): RaftId => raftId(name.charCodeAt(0) - 96);

export function stateOf(
  members: readonly Member[],
  given: Partial<Omit<ClusterState, 'members' | 'jobs'>> & { jobs?: readonly JobRecord[] } = {},
): ClusterState {
  return {
    ...EMPTY_STATE,
    clusterId: CLUSTER,
    epoch: epoch(1),
    ...given,
    members: new Map(members.map((member) => [member.id, member])),
    jobs: new Map((given.jobs ?? []).map((job) => [job.id, job])),
  };
}

export function jobOf(id: string, given: Partial<JobRecord> = {}): JobRecord {
  return {
    id: id as JobRecord['id'],
    spec: { path: `s3://b/${id}`, replicaCount: 1 },
    state: 'RUNNING',
    run: 1,
    term: term(1),
    createdAtMs: 0,
    runStartedAtMs: 0,
    elapsedBeforeMs: 0,
    ...given,
  };
}

export class FakeConsensus implements Consensus {
  current: RaftStatus = {
    id: raftId(1),
    role: 'follower',
    term: term(1),
    leaderId: undefined,
    commitIndex: logIndex(10),
    appliedIndex: logIndex(10),
    voters: [raftId(1)],
    learners: [],
    matchIndex: new Map(),
  };
  readonly proposed: string[] = [];
  readonly changes: MembershipChange[] = [];
  readonly transfers: RaftId[] = [];
  barrierCount = 0;
  onPropose: (command: string, deadlineMs: number) => Promise<unknown> = () =>
    Promise.resolve({ ok: true, value: null });
  onBarrier: () => Promise<void> = () => Promise.resolve();
  onChange: (change: MembershipChange) => Promise<void> = () => Promise.resolve();
  onTransfer: (to: RaftId) => Promise<void> = () => Promise.resolve();
  readonly failed = new Promise<Error>(() => undefined);
  readonly #listeners = new Set<(status: RaftStatus) => void>();

  become(status: Partial<RaftStatus>): void {
    this.current = { ...this.current, ...status };
    for (const listener of this.#listeners) listener(this.current);
  }

  status(): RaftStatus {
    return this.current;
  }

  propose(command: string, deadlineMs: number): Promise<unknown> {
    this.proposed.push(command);
    return this.onPropose(command, deadlineMs);
  }

  readBarrier(): Promise<void> {
    this.barrierCount += 1;
    return this.onBarrier();
  }

  changeMembership(change: MembershipChange): Promise<void> {
    this.changes.push(change);
    return this.onChange(change);
  }

  transferLeadership(to: RaftId): Promise<void> {
    this.transfers.push(to);
    return this.onTransfer(to);
  }

  receive(): void {
    throw new Error('not faked');
  }

  reportUnreachable(): void {
    throw new Error('not faked');
  }

  onStatusChange(listener: (status: RaftStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}

/** Links and requests as a table says. */
export class FakeNetwork implements PeerNetwork {
  readonly table = new Map<PeerId, LinkStatus>();
  readonly requests: { readonly to: PeerId; readonly type: string; readonly payload: unknown }[] =
    [];
  answer: (to: PeerId, type: string, payload: unknown) => unknown = (to) => {
    throw new RingloadError('peer_unreachable', `${to} is not faked`);
  };
  readonly #listeners = new Set<(status: LinkStatus) => void>();

  hear(name: string, lastHeardMs: number, given: Partial<LinkStatus> = {}): void {
    const status = { peerId: idOf(name), connected: true, lastHeardMs, generation: 1, ...given };
    this.table.set(status.peerId, status);
    for (const listener of this.#listeners) listener(status);
  }

  links(): readonly LinkStatus[] {
    return [...this.table.values()];
  }

  async request(to: PeerId, type: string, payload: unknown): Promise<unknown> {
    this.requests.push({ to, type, payload });
    await Promise.resolve();
    return this.answer(to, type, payload);
  }

  requestAt(): Promise<unknown> {
    return Promise.reject(new Error('not faked'));
  }

  onLinkChange(listener: (status: LinkStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }

  readonly handlers = new Map<string, RequestHandler>();

  /** As if that peer asked this one. */
  ask(from: string, type: string, payload: unknown): Promise<unknown> {
    const handler = this.handlers.get(type);
    if (!handler) return Promise.reject(new Error(`nobody handles ${type}`));
    return handler(idOf(from), payload);
  }

  onRequest(type: string, handler: RequestHandler): void {
    this.handlers.set(type, handler);
  }

  setPeers(): void {}
  onMessage(): void {}

  send(): boolean {
    return false;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export interface LoggedLine {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields | undefined;
}

export class RecordingLogger implements Logger {
  readonly lines: LoggedLine[] = [];

  debug(message: string, fields?: LogFields): void {
    this.lines.push({ level: 'debug', message, fields });
  }

  info(message: string, fields?: LogFields): void {
    this.lines.push({ level: 'info', message, fields });
  }

  warn(message: string, fields?: LogFields): void {
    this.lines.push({ level: 'warn', message, fields });
  }

  error(message: string, fields?: LogFields): void {
    this.lines.push({ level: 'error', message, fields });
  }

  child(): Logger {
    return this;
  }
}

/** Lets virtual time pass in small steps, and everything that follows from each. */
export async function pass(clock: ManualClock, ms: number, stepMs = 50): Promise<void> {
  await drainMicrotasks();
  for (let passedMs = 0; passedMs < ms; passedMs += stepMs) {
    clock.advance(Math.min(stepMs, ms - passedMs));
    await drainMicrotasks();
  }
}

/** The error that a promise ends with. */
export async function errorOf(promise: Promise<unknown>): Promise<RingloadError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof RingloadError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}
