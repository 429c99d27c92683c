/**
 * The state that the cluster agrees on: members, ring epoch, jobs, path rules, frees.
 *
 * Values are immutable; `apply` functions return new ones, so a reader may keep what it holds. The
 * serialised form is canonical: equal states give equal bytes on every peer.
 */
import { RingloadError } from '../base/errors.ts';
import { epoch, type ClusterId, type Epoch, type JobId, type PeerId } from '../base/ids.ts';
import type { PathRule } from '../base/path-rule.ts';
import type { FreeRecord } from './free-record.ts';
import { identityOf, isMeant, type JobRef } from './job-identity.ts';
import { isActiveState, type JobRecord, type RecordedSpec } from './job-record.ts';
import type { Member } from './member.ts';

export const STATE_FORMAT = 1;

export interface ClusterState {
  /** Absent before `cluster.create` is applied. */
  readonly clusterId: ClusterId | undefined;
  /** Number for the next member inside Raft. */
  readonly nextRaftId: number;
  readonly epoch: Epoch;
  readonly members: ReadonlyMap<PeerId, Member>;
  readonly jobs: ReadonlyMap<JobId, JobRecord>;
  /** By path, in the order in which they were set last. */
  readonly rules: ReadonlyMap<string, PathRule>;
  /** Number of the newest free; 0 before the first. */
  readonly lastFree: number;
  /** By number: those that some member has not applied yet, and the last of the others. */
  readonly frees: readonly FreeRecord[];
}

export const EMPTY_STATE: ClusterState = {
  clusterId: undefined,
  nextRaftId: 1,
  epoch: epoch(0),
  members: new Map(),
  jobs: new Map(),
  rules: new Map(),
  lastFree: 0,
  frees: [],
};

/** The job that is loading the same, else the newest one of it by creation. */
export function newestJobOf(
  state: ClusterState,
  spec: Pick<RecordedSpec, 'path' | 'paths' | 'index'>,
): JobRecord | undefined {
  const identity = identityOf(spec);
  return newestWhere(state, (job) => identityOf(job.spec) === identity);
}

/** The job that is meant: of several the active one, else the newest by creation. */
export function jobOf(state: ClusterState, ref: JobRef): JobRecord | undefined {
  if ('id' in ref) return state.jobs.get(ref.id);
  return newestWhere(state, ({ spec }) => isMeant(ref, spec));
}

function newestWhere(
  state: ClusterState,
  matches: (job: JobRecord) => boolean,
): JobRecord | undefined {
  let newest: JobRecord | undefined;
  for (const job of state.jobs.values()) {
    if (!matches(job)) continue;
    // Why not simply the newest: a retry may have set an older one going again.
    if (isActiveState(job.state)) return job;
    newest = job;
  }
  return newest;
}

export function serializeState(state: ClusterState): string {
  return JSON.stringify({
    format: STATE_FORMAT,
    clusterId: state.clusterId,
    nextRaftId: state.nextRaftId,
    epoch: state.epoch,
    members: [...state.members.values()],
    jobs: [...state.jobs.values()],
    rules: [...state.rules.values()],
    lastFree: state.lastFree,
    frees: state.frees,
  });
}

/** @throws data_dir_foreign when the state was written by a newer version. */
export function parseState(serialized: string): ClusterState {
  const raw = JSON.parse(serialized) as {
    format: number;
    clusterId?: ClusterId;
    nextRaftId: number;
    epoch: Epoch;
    members: Member[];
    jobs: JobRecord[];
    /** Absent in what versions wrote that knew no rules. */
    rules?: PathRule[];
    /** Absent in what versions wrote that did not agree on frees. */
    lastFree?: number;
    frees?: FreeRecord[];
  };
  if (raw.format !== STATE_FORMAT) {
    throw new RingloadError(
      'data_dir_foreign',
      `read cluster state: format ${String(raw.format)} is not ${String(STATE_FORMAT)}`,
    );
  }
  return {
    clusterId: raw.clusterId,
    nextRaftId: raw.nextRaftId,
    epoch: raw.epoch,
    members: new Map(raw.members.map((member) => [member.id, member])),
    jobs: new Map(raw.jobs.map((job) => [job.id, job])),
    rules: new Map((raw.rules ?? []).map((rule) => [rule.path, rule])),
    lastFree: raw.lastFree ?? 0,
    frees: raw.frees ?? [],
  };
}
