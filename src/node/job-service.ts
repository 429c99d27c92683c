/**
 * Load jobs as any peer offers them: changes are commands, questions go to the leader, and when
 * there is none the replicated checkpoint answers, marked `stale`.
 */
import { sleep, withTimeout, type Clock } from '../base/clock.ts';
import { RingloadError, toRingloadError } from '../base/errors.ts';
import { failpoint, pausePoint } from '../base/failpoint.ts';
import type { JobId, PeerId } from '../base/ids.ts';
import { jobOf, type ClusterState } from '../cluster/cluster-state.ts';
import { refText } from '../cluster/job-identity.ts';
import type { SubmitResult } from '../cluster/commands.ts';
import type { JobRecord } from '../cluster/job-record.ts';
import type { JobRef, JobService, SubmitOutcome } from '../http/services.ts';
import type { Coordinator } from '../job/coordinator.ts';
import { pinIndex } from '../job/index-file.ts';
import type { JobState, JobStatus } from '../job/job-status.ts';
import type { JobSpec } from '../job/spec.ts';
import { viewJob } from '../job/job-view.ts';
import { placesOf } from '../job/queue.ts';
import type { RunTimes } from '../job/run-times.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import type { Consensus } from '../raft/consensus.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import type { VerifyEvent } from '../verify/report.ts';
import type { Proposer } from './proposer.ts';
import type { VerifyService } from './verify-service.ts';

const STATUS = 'job.status';
const LIST = 'job.list';
const COMMIT_DEADLINE_MS = 15_000;
const QUESTION_DEADLINE_MS = 3000;
const PREFLIGHT_TIMEOUT_MS = 5000;
const RETRY_DELAY_MS = 100;

export interface JobServiceOptions {
  readonly proposer: Proposer;
  readonly coordinator: Coordinator;
  readonly consensus: Consensus;
  readonly network: PeerNetwork;
  readonly stores: UnderStores;
  readonly verifier: Pick<VerifyService, 'verify'>;
  readonly state: () => ClusterState;
  readonly leader: () => PeerId | undefined;
  readonly self: PeerId;
  readonly clock: Clock;
  readonly times: Pick<RunTimes, 'timed' | 'elapsedOf'>;
  /** An id that no job ever had. */
  readonly newJobId: () => JobId;
  readonly activeMaxCount: number;
  /** A rule says that the path is never cached. Absent: there are no rules. */
  readonly isSkipped?: (path: string) => boolean;
  /** No segment may be larger: it has to fit into one region of the cache. */
  readonly segmentMaxBytes: number;
  /** Path of the list of a job's failed files, if this peer has one. */
  readonly failureListOf: (jobId: JobId) => string;
}

export class NodeJobService implements JobService {
  readonly #options: JobServiceOptions;

  constructor(options: JobServiceOptions) {
    this.#options = options;
    options.network.onRequest(
      STATUS,
      async (_from, payload) => (await this.#statusAsLeader(payload as JobRef)) ?? null,
    );
    options.network.onRequest(LIST, (_from, payload) =>
      this.#listAsLeader(payload as { states?: readonly JobState[] }),
    );
  }

  async submit(spec: JobSpec): Promise<{ readonly jobId: JobId; readonly outcome: SubmitOutcome }> {
    const checked = await this.#preflight(spec);
    const parsed = pausePoint('job.submit.parsed');
    if (parsed) await parsed;
    const { proposer, clock, activeMaxCount, newJobId } = this.#options;
    const command = {
      kind: 'job.submit',
      jobId: newJobId(),
      spec: checked,
      activeMaxCount,
      atMs: clock.wallMs(),
    } as const;
    const result = (await proposer.commit(command, COMMIT_DEADLINE_MS)) as SubmitResult;
    failpoint('job.submit.committed');
    return result;
  }

  async status(ref: JobRef): Promise<JobStatus | undefined> {
    const { leader, self, network } = this.#options;
    const to = leader();
    if (to === self) return this.#statusAsLeader(ref);
    if (to !== undefined) {
      try {
        return (
          ((await network.request(to, STATUS, ref, QUESTION_DEADLINE_MS)) as JobStatus | null) ??
          undefined
        );
      } catch {
        // Why: an answer marked stale is worth more than none.
      }
    }
    const record = this.#find(ref);
    if (!record) throw nobodyKnows();
    return this.#view(record, { stale: true, places: this.#places() });
  }

  async list(filter: { readonly states?: readonly JobState[] }): Promise<readonly JobStatus[]> {
    const { leader, self, network } = this.#options;
    const to = leader();
    if (to === self) return this.#listAsLeader(filter);
    if (to !== undefined) {
      try {
        return (await network.request(to, LIST, filter, QUESTION_DEADLINE_MS)) as JobStatus[];
      } catch {
        // Why: as above.
      }
    }
    return this.#listed(filter, true);
  }

  async stop(ref: JobRef): Promise<boolean> {
    const jobId = await this.#jobIdOf(ref);
    if (jobId === undefined) return false;
    const { proposer, clock, times } = this.#options;
    const command = times.timed({ kind: 'job.stop', jobId, atMs: clock.wallMs() });
    const result = (await proposer.commit(command, COMMIT_DEADLINE_MS)) as { stopped: boolean };
    failpoint('job.stop.committed');
    return result.stopped;
  }

  async retry(ref: JobRef): Promise<{ readonly jobId: JobId }> {
    const jobId = await this.#jobIdOf(ref);
    if (jobId === undefined)
      throw new RingloadError('not_found', `no job found for ${refText(ref)}`);
    const { proposer, clock } = this.#options;
    const command = { kind: 'job.retry', jobId, atMs: clock.wallMs() } as const;
    return (await proposer.commit(command, COMMIT_DEADLINE_MS)) as { jobId: JobId };
  }

  async verify(
    ref: JobRef,
    options: { readonly repair: boolean },
    signal: AbortSignal,
  ): Promise<AsyncIterable<VerifyEvent>> {
    // Why a stale answer will do: a certificate never changes once it is committed.
    const status = await this.status(ref);
    if (!status) throw new RingloadError('not_found', `no job found for ${refText(ref)}`);
    return this.#options.verifier.verify(status, options, signal);
  }

  /**
   * The job that is meant, as the leader knows it: what this peer has not heard of may well run.
   * @throws no_leader and what else keeps the leader from being asked
   */
  async #jobIdOf(ref: JobRef): Promise<JobId | undefined> {
    const { clock, state } = this.#options;
    if ('id' in ref && state().jobs.has(ref.id)) return ref.id;
    const untilMs = clock.nowMs() + COMMIT_DEADLINE_MS;
    for (;;) {
      try {
        return (await this.#askLeader(ref))?.id;
      } catch (thrown) {
        const error = toRingloadError(thrown);
        if (!error.retryable || clock.nowMs() + RETRY_DELAY_MS >= untilMs) throw error;
      }
      await sleep(clock, RETRY_DELAY_MS);
    }
  }

  async #askLeader(ref: JobRef): Promise<{ readonly id: JobId } | undefined> {
    const { leader, self, network, consensus } = this.#options;
    const to = leader();
    if (to === undefined) throw new RingloadError('no_leader', 'no leader is elected');
    if (to === self) {
      await consensus.readBarrier(QUESTION_DEADLINE_MS);
      return this.#find(ref);
    }
    const answer = await network.request(to, STATUS, ref, QUESTION_DEADLINE_MS);
    return (answer as JobStatus | null) ?? undefined;
  }

  /**
   * Refuses what can never work while somebody is there to read the reason.
   * @returns the spec with the version of its index file.
   */
  async #preflight(spec: JobSpec): Promise<JobSpec> {
    const { stores, segmentMaxBytes, clock } = this.#options;
    const store = stores.storeOf(spec.path);
    for (const path of [spec.path, ...(spec.paths ?? [])]) {
      stores.storeOf(path);
      if (this.#options.isSkipped?.(path) !== true) continue;
      const message = `load ${path}: its rule of freshness is skip, so it is never cached`;
      throw new RingloadError('conflict', message);
    }
    if (spec.segmentSizeBytes > segmentMaxBytes) {
      const message = `segment size ${String(spec.segmentSizeBytes)}: a cache region holds ${String(segmentMaxBytes)} bytes at most`;
      throw new RingloadError('invalid_argument', message);
    }
    if (spec.index) {
      const index = await withTimeout(clock, PREFLIGHT_TIMEOUT_MS, (signal) =>
        pinIndex(store, spec.path, signal),
      );
      return { ...spec, index };
    }
    // One that does not exist among several is told by the job, as a file that failed.
    if (spec.paths) return spec;
    try {
      const page = await withTimeout(clock, PREFLIGHT_TIMEOUT_MS, (signal) =>
        store.list({ root: spec.path, limit: 1 }, signal),
      );
      const isMount = stores.mounts.includes(spec.path);
      if (page.objects.length > 0 || !page.done || isMount) return spec;
    } catch (thrown) {
      const error = toRingloadError(thrown);
      // Why: a store that is away for a moment is the job's business, not the submitter's.
      if (error.retryable || error.code === 'internal' || error.code === 'cancelled') return spec;
      throw error;
    }
    throw new RingloadError('ufs_not_found', `nothing exists at or below ${spec.path}`);
  }

  async #statusAsLeader(ref: JobRef): Promise<JobStatus | undefined> {
    const stale = !(await this.#isCurrent());
    const record = this.#find(ref);
    // Why no answer: who cannot confirm that it leads may have missed the submit.
    if (!record && stale) throw nobodyKnows();
    return record && this.#view(record, { stale, places: this.#places() });
  }

  async #listAsLeader(filter: { readonly states?: readonly JobState[] }): Promise<JobStatus[]> {
    return this.#listed(filter, !(await this.#isCurrent()));
  }

  #listed(filter: { readonly states?: readonly JobState[] }, stale: boolean): JobStatus[] {
    const places = this.#places();
    const jobs = [...this.#options.state().jobs.values()].map((record) =>
      this.#view(record, { stale, places, brief: true }),
    );
    return jobs.filter(({ state }) => filter.states?.includes(state) ?? true).reverse();
  }

  async #isCurrent(): Promise<boolean> {
    try {
      await this.#options.consensus.readBarrier(QUESTION_DEADLINE_MS / 2);
      return true;
    } catch {
      return false;
    }
  }

  #find(ref: JobRef): JobRecord | undefined {
    const state = this.#options.state();
    return jobOf(state, ref);
  }

  /** In the queue, as this peer knows it. */
  #places(): ReadonlyMap<JobId, number> {
    const { coordinator, state } = this.#options;
    return placesOf(state(), (id) => coordinator.hasPlace(id));
  }

  /** @param brief without lists of failures and peers: the answer is one frame for all jobs. */
  #view(record: JobRecord, { stale, places, brief = false }: ViewOptions): JobStatus {
    const { coordinator, consensus, state, leader, times } = this.#options;
    const driver = coordinator.driverOf(record.id);
    return viewJob(record, driver?.run === record.run ? driver.view : undefined, {
      state: state(),
      term: consensus.status().term,
      leaderId: leader(),
      elapsedMs: times.elapsedOf(record),
      stale,
      brief,
      queuePlace: places.get(record.id),
      failuresSavedTo: this.#options.failureListOf(record.id),
    });
  }
}

interface ViewOptions {
  readonly stale: boolean;
  readonly places: ReadonlyMap<JobId, number>;
  readonly brief?: boolean;
}

function nobodyKnows(): RingloadError {
  return new RingloadError(
    'no_leader',
    'no leader could be asked, and this peer knows no such job',
  );
}
