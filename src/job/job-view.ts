/** Puts together what a job tells about itself, from its record and, on the leader, its run. */
import type { PeerId, Term } from '../base/ids.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import { isActiveState, type JobRecord, type PeerTally } from '../cluster/job-record.ts';
import { addTally, countersFrom, InventorySum } from './counters.ts';
import type { RunView } from './run-contract.ts';
import type { Certificate, FailedFile, JobCounters, JobStatus, PeerRow } from './job-status.ts';
import type { JobSpec } from './spec.ts';

export interface ViewContext {
  readonly state: ClusterState;
  readonly term: Term;
  readonly leaderId: PeerId | undefined;
  /** Time that the job's runs took. */
  readonly elapsedMs: number;
  /** The answering peer could not confirm that its state is current. */
  readonly stale: boolean;
  /** Where this peer keeps the list of the job's failed files. */
  readonly failuresSavedTo: string | undefined;
  /** Leaves out failures, incidents and peers: for lists of many jobs. Default false. */
  readonly brief?: boolean;
  /** Of a job that waits. */
  readonly queuePlace?: number | undefined;
}

/** @param run the live run, on the leader; without it the checkpoint speaks. */
export function viewJob(
  record: JobRecord,
  run: RunView | undefined,
  context: ViewContext,
): JobStatus {
  const tallies = run?.tallies ?? recordedTallies(record);
  const counters = withTraffic(run?.counters ?? recordedCounters(record), tallies);
  const { leaderId, brief = false } = context;
  return {
    id: record.id,
    spec: brief ? briefly(record.spec as JobSpec) : (record.spec as JobSpec),
    state:
      run && record.state !== 'STOPPED' && isActiveState(record.state) ? run.state : record.state,
    ...(context.queuePlace !== undefined && { queuePlace: context.queuePlace }),
    ...(record.failure && { failure: record.failure }),
    createdAtMs: record.createdAtMs,
    ...(record.endedAtMs !== undefined && { endedAtMs: record.endedAtMs }),
    elapsedMs: context.elapsedMs,
    counters,
    listingDone: run?.listingDone ?? record.checkpoint?.listingDone ?? false,
    pass: run?.pass ?? record.checkpoint?.pass ?? 1,
    retryQueueLength: run?.retryQueueLength ?? 0,
    peers: brief ? [] : peerRows(context.state, tallies, run),
    ...(counters.loadedBytes > 0 && { amplification: counters.ufsBytes / counters.loadedBytes }),
    ...(record.digest !== undefined && {
      digest: record.digest,
      certificate: certificateOf(record, context),
    }),
    failedFiles: brief ? [] : (run?.failures ?? recordedFailures(record)),
    recentFailedTasks: brief ? [] : (run?.failedTasks ?? []),
    recentRetryingTasks: brief ? [] : (run?.retryingTasks ?? []),
    ...(counters.failedFiles > 0 &&
      context.failuresSavedTo !== undefined && { failedFilesSavedTo: context.failuresSavedTo }),
    term: context.term,
    epoch: context.state.epoch,
    ...(leaderId !== undefined && { leaderId }),
    stale: context.stale,
  };
}

/** Of many paths the first few: a list of jobs is one answer. */
function briefly(spec: JobSpec): JobSpec {
  if (spec.paths === undefined || spec.paths.length <= BRIEF_PATH_COUNT) return spec;
  return { ...spec, paths: spec.paths.slice(0, BRIEF_PATH_COUNT) };
}

const BRIEF_PATH_COUNT = 10;

function certificateOf({ checkpoint }: JobRecord, { state, brief }: ViewContext): Certificate {
  const combined = new InventorySum();
  const peers: Certificate['peers'][number][] = [];
  for (const [id, sum] of Object.entries(checkpoint?.expected ?? {})) {
    const peerId = id as PeerId;
    combined.addAll(new InventorySum(sum));
    const address = state.members.get(peerId)?.address ?? '';
    peers.push({ peerId, address, ...new InventorySum(sum).toJSON() });
  }
  peers.sort((a, b) => (a.address < b.address ? -1 : 1));
  const epoch = checkpoint?.epoch ?? 0;
  return { ...combined.toJSON(), epoch, peers: brief === true ? [] : peers };
}

function recordedTallies(record: JobRecord): ReadonlyMap<PeerId, PeerTally> {
  return new Map(Object.entries(record.checkpoint?.tallies ?? {}) as [PeerId, PeerTally][]);
}

/** While a later pass counts again, the one before it speaks, also of a job stopped meanwhile. */
function recordedCounters({ checkpoint }: JobRecord): JobCounters {
  return countersFrom(checkpoint?.lastPassCounters ?? checkpoint?.counters ?? {});
}

function recordedFailures({ checkpoint }: JobRecord): readonly FailedFile[] {
  const failures = checkpoint?.lastPassCounters ? checkpoint.lastPassFailures : undefined;
  return failures ?? checkpoint?.failures ?? [];
}

function withTraffic(counters: JobCounters, tallies: ReadonlyMap<PeerId, PeerTally>): JobCounters {
  let ufsBytes = 0;
  let copiedBytes = 0;
  for (const { previous, current } of tallies.values()) {
    ufsBytes += previous.ufsBytes + current.ufsBytes;
    copiedBytes += previous.copiedBytes + current.copiedBytes;
  }
  return { ...counters, ufsBytes, copiedBytes };
}

function peerRows(
  state: ClusterState,
  tallies: ReadonlyMap<PeerId, PeerTally>,
  run: RunView | undefined,
): PeerRow[] {
  const rows: PeerRow[] = [];
  for (const [peerId, { previous, current }] of tallies) {
    const sum = addTally(previous, current);
    rows.push({
      peerId,
      address: state.members.get(peerId)?.address ?? '',
      segmentCount: sum.segmentCount,
      storedBytes: sum.storedBytes,
      ufsBytes: sum.ufsBytes,
      copiedBytes: sum.copiedBytes,
      inflightTaskCount: run?.outCountOf(peerId) ?? 0,
    });
  }
  return rows.sort((a, b) => (a.address < b.address ? -1 : 1));
}
