/** Commands about load jobs. The table of states is in docs/ARCHITECTURE.md. */
import { term } from '../base/ids.ts';
import { unreachable } from '../base/invariant.ts';
import { done, refuse, type Applied } from './applied.ts';
import { newestJobOf, type ClusterState } from './cluster-state.ts';
import type { CommandOf, SubmitResult } from './commands.ts';
import {
  isActiveState,
  NO_EPOCH,
  runElapsedOf,
  type JobRecord,
  type RecordedSpec,
} from './job-record.ts';
import { isOnRing } from './member.ts';
import { isAtOrBelow } from '../ufs/path.ts';

type JobCommand = CommandOf<
  'job.submit' | 'job.stop' | 'job.retry' | 'job.checkpoint' | 'job.finish' | 'job.prune'
>;

export function applyJobCommand(state: ClusterState, command: JobCommand): Applied {
  switch (command.kind) {
    case 'job.submit':
      return submit(state, command);
    case 'job.stop':
      return stop(state, command);
    case 'job.retry':
      return retry(state, command);
    case 'job.checkpoint':
      return checkpoint(state, command);
    case 'job.finish':
      return finish(state, command);
    case 'job.prune':
      return prune(state, command);
    default:
      return unreachable(command);
  }
}

/** Ended jobs that are remembered; the oldest are forgotten first. */
export const ENDED_JOB_MAX_COUNT = 1000;

/** Idempotent while a job of the path is active; resumes a stopped one; else starts a new one. */
function submit(state: ClusterState, command: CommandOf<'job.submit'>): Applied {
  const known = state.jobs.get(command.jobId) ?? newestJobOf(state, command.spec);
  if (known && isActiveState(known.state)) {
    return answer(state, { jobId: known.id, outcome: 'already-running' });
  }
  if (known?.id === command.jobId) return answer(state, { jobId: known.id, outcome: 'created' });
  const refusal = refuseSubmission(state, command);
  if (refusal) return refusal;
  if (known?.state === 'STOPPED') {
    const resumed = startRun(withSpec(known, command.spec), command.atMs);
    return answer(withJob(state, resumed), { jobId: known.id, outcome: 'resumed' });
  }
  const created: JobRecord = {
    id: command.jobId,
    spec: command.spec,
    state: 'WAITING',
    run: 1,
    term: term(0),
    createdAtMs: command.atMs,
    runStartedAtMs: command.atMs,
    elapsedBeforeMs: 0,
  };
  return answer(withJob(forgetOldest(state), created), { jobId: created.id, outcome: 'created' });
}

/** The job as it is asked for now: under another spec what was settled says nothing. */
function withSpec(job: JobRecord, spec: RecordedSpec): JobRecord {
  if (sameSpec(job.spec, spec)) return job;
  const { checkpoint, ...rest } = job;
  return { ...rest, spec, ...(checkpoint && { checkpoint: restartPass(checkpoint) }) };
}

function sameSpec(a: RecordedSpec, b: RecordedSpec): boolean {
  const canonical = (spec: RecordedSpec): string =>
    JSON.stringify(Object.entries(spec).sort(([left], [right]) => (left < right ? -1 : 1)));
  return canonical(a) === canonical(b);
}

/** Room for one more job: the state is bounded even when retention is long. */
function forgetOldest(state: ClusterState): ClusterState {
  const ended = [...state.jobs.values()].filter((job) => !isActiveState(job.state));
  if (ended.length < ENDED_JOB_MAX_COUNT) return state;
  const jobs = new Map(state.jobs);
  // In order of submission, and not of times: a clock may have been wrong.
  for (const job of ended.slice(0, ended.length - ENDED_JOB_MAX_COUNT + 1)) jobs.delete(job.id);
  return { ...state, jobs };
}

function refuseSubmission(
  state: ClusterState,
  command: CommandOf<'job.submit'>,
): Applied | undefined {
  const active = [...state.jobs.values()].filter((job) => isActiveState(job.state)).length;
  if (active >= command.activeMaxCount) {
    const message = `Too many jobs running, please submit later. ${String(active)} run or wait, the limit is ${String(command.activeMaxCount)}.`;
    return refuse(state, 'overloaded', message);
  }
  const owners = [...state.members.values()].filter(isOnRing).length;
  if (command.spec.replicaCount > owners) {
    return refuse(
      state,
      'invalid_argument',
      `replicas ${String(command.spec.replicaCount)}: the cluster has ${String(owners)} live peer${owners === 1 ? '' : 's'}, and each copy needs its own`,
    );
  }
  const rival = rivalOf(state, command.spec);
  if (rival) return refuse(state, 'conflict', rivalText(rival));
  return undefined;
}

/**
 * An active job that cuts files of the same path differently. Why not both at once: a file has one
 * record, so each would undo what the other's verdict counts on, pass after pass.
 */
function rivalOf(state: ClusterState, spec: RecordedSpec): JobRecord | undefined {
  return [...state.jobs.values()].find(
    (job) =>
      isActiveState(job.state) &&
      mayOverlap(job.spec, spec) &&
      (job.spec.segmentSizeBytes !== spec.segmentSizeBytes ||
        job.spec.segmented !== spec.segmented),
  );
}

/** Of an index file the paths are not known here: they may be any. */
function mayOverlap(left: RecordedSpec, right: RecordedSpec): boolean {
  if (left.index !== undefined || right.index !== undefined) return true;
  const rights = right.paths ?? [right.path];
  return (left.paths ?? [left.path]).some((path) =>
    rights.some((other) => isAtOrBelow(path, other) || isAtOrBelow(other, path)),
  );
}

function rivalText({ id, spec }: JobRecord): string {
  const size = String(spec.segmentSizeBytes);
  const how = spec.segmented === false ? 'placed by file' : 'placed by segment';
  return `job ${id} is loading ${loadedText(spec)} in segments of ${size} bytes, ${how}: load with the same, or when it has ended`;
}

function loadedText({ path, paths, index }: RecordedSpec): string {
  if (index !== undefined) return `what ${path} lists`;
  return paths === undefined ? path : `${String(paths.length)} paths from ${path} on`;
}

function stop(state: ClusterState, command: CommandOf<'job.stop'>): Applied {
  const job = state.jobs.get(command.jobId);
  if (!job || !isActiveState(job.state)) return done(state, { stopped: false });
  const stopped: JobRecord = { ...timed(job, command), state: 'STOPPED', endedAtMs: command.atMs };
  return done(withJob(state, stopped), { stopped: true });
}

function retry(state: ClusterState, command: CommandOf<'job.retry'>): Applied {
  const job = state.jobs.get(command.jobId);
  if (!job) return refuse(state, 'not_found', `no job has the id ${command.jobId}`);
  if (isActiveState(job.state)) return done(state, { jobId: job.id });
  if (job.state === 'SUCCEEDED') {
    return refuse(state, 'conflict', `retry job ${job.id}: it SUCCEEDED, nothing is left to retry`);
  }
  const other = newestJobOf(state, job.spec);
  if (other && isActiveState(other.state)) {
    return refuse(state, 'conflict', `retry job ${job.id}: job ${other.id} is loading the same`);
  }
  const rival = rivalOf(state, job.spec);
  if (rival) return refuse(state, 'conflict', `retry job ${job.id}: ${rivalText(rival)}`);
  return done(withJob(state, startRun(job, command.atMs)), { jobId: job.id });
}

/** Orders of an earlier run or of a deposed leader change nothing. */
function isStale(
  job: JobRecord | undefined,
  command: { readonly run: number; readonly term: number },
): boolean {
  return !job || !isActiveState(job.state) || command.run !== job.run || command.term < job.term;
}

function checkpoint(state: ClusterState, command: CommandOf<'job.checkpoint'>): Applied {
  const job = state.jobs.get(command.jobId);
  if (!job || isStale(job, command)) return refuse(state, 'stale_term', staleMessage(command));
  const next: JobRecord = {
    ...timed(job, command),
    state: command.state,
    term: command.term,
    checkpoint: command.checkpoint,
  };
  return done(withJob(state, next), null);
}

function finish(state: ClusterState, command: CommandOf<'job.finish'>): Applied {
  const job = state.jobs.get(command.jobId);
  if (!job || isStale(job, command)) return refuse(state, 'stale_term', staleMessage(command));
  const ended: JobRecord = {
    ...timed(job, command),
    state: command.state,
    term: command.term,
    checkpoint: command.checkpoint,
    endedAtMs: command.atMs,
    ...(command.failure && {
      failure: { code: command.failure.code, message: command.failure.message },
    }),
    ...(command.digest !== undefined && { digest: command.digest }),
  };
  return done(withJob(state, ended), null);
}

/** Told by whoever led or stopped it: a figure below the one before comes from a peer that was late. */
function timed(job: JobRecord, { elapsedMs }: { readonly elapsedMs?: number }): JobRecord {
  if (elapsedMs === undefined || elapsedMs <= (job.runElapsedMs ?? -1)) return job;
  return { ...job, runElapsedMs: elapsedMs };
}

function staleMessage(command: {
  readonly jobId: string;
  readonly run: number;
  readonly term: number;
}): string {
  return `job ${command.jobId}: an order of run ${String(command.run)}, term ${String(command.term)} comes too late`;
}

function prune(state: ClusterState, command: CommandOf<'job.prune'>): Applied {
  const named = new Set(command.jobIds);
  const kept = [...state.jobs].filter(([, job]) => isActiveState(job.state) || !named.has(job.id));
  return done({ ...state, jobs: new Map(kept) }, { pruned: state.jobs.size - kept.length });
}

/** The next run of a job that stopped or failed; what it settled stays settled only if it stopped. */
function startRun(job: JobRecord, atMs: number): JobRecord {
  const {
    endedAtMs: _ended,
    runElapsedMs: _run,
    failure: _failure,
    digest: _digest,
    checkpoint: before,
    ...rest
  } = job;
  const resumed = before && (job.state === 'STOPPED' ? resumePass(before) : restartPass(before));
  return {
    ...rest,
    state: 'WAITING',
    run: job.run + 1,
    runStartedAtMs: atMs,
    elapsedBeforeMs: job.elapsedBeforeMs + runElapsedOf(job),
    ...(resumed && { checkpoint: resumed }),
  };
}

/** What was settled stays counted; its leases ended with the run, so another pass has to follow. */
function resumePass(
  before: NonNullable<JobRecord['checkpoint']>,
): NonNullable<JobRecord['checkpoint']> {
  return before.cursor === undefined ? before : { ...before, epoch: NO_EPOCH };
}

/** A retry lists again from the start: what is resident is recognised, what failed is loaded. */
function restartPass(
  before: NonNullable<JobRecord['checkpoint']>,
): NonNullable<JobRecord['checkpoint']> {
  return {
    pass: 1,
    epoch: before.epoch,
    listingDone: false,
    counters: {},
    tallies: before.tallies,
    expected: {},
    failures: [],
  };
}

function withJob(state: ClusterState, job: JobRecord): ClusterState {
  const jobs = new Map(state.jobs);
  jobs.set(job.id, job);
  return { ...state, jobs };
}

function answer(state: ClusterState, result: SubmitResult): Applied {
  return done(state, result);
}
