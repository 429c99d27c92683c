/**
 * Runs on the leader: one driver for each active job, started when this peer is elected or a job
 * is committed, silenced when the run ends or another peer leads.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { toRingloadError, RingloadError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { term as asTerm, type JobId, type PeerId, type Term } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import type { Command } from '../cluster/commands.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import { isActiveState, type JobRecord } from '../cluster/job-record.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import { compileFilters } from './file-filter.ts';
import { JobDriver, type FailureSink } from './job-driver.ts';
import type { RunLimits } from './run-contract.ts';
import type { Placement } from './placement.ts';
import type { OwnerTransport, ResultFrame } from './protocol.ts';
import { queueOf } from './queue.ts';
import type { JobSpec } from './spec.ts';

export interface CoordinatorOptions {
  readonly stores: UnderStores;
  readonly owners: OwnerTransport;
  readonly commit: (command: Command) => Promise<void>;
  readonly failuresOf: (jobId: JobId) => FailureSink;
  readonly limits: RunLimits;
  /** More jobs wait until one of these has ended. */
  readonly runningMaxCount: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Drivers of one job that may break by a fault of ours before the job fails. */
const BREAK_MAX_COUNT = 3;
const RESTART_DELAY_MS = 1000;
/** Task ids that one driver may use up: the next one of the run begins above them. */
const TASK_IDS_PER_DRIVER = 2 ** 32;

export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #drivers = new Map<JobId, JobDriver>();
  /** Jobs that wait for another driver, and how often theirs broke. */
  readonly #restarts = new Map<JobId, Timer>();
  readonly #breakCounts = new Map<JobId, number>();
  #driverCount = 0;
  #state: ClusterState | undefined;
  #term: Term | undefined;
  #placement: Placement | undefined;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
  }

  get isLeading(): boolean {
    return this.#term !== undefined;
  }

  /** This peer leads `term` and its state includes all that was committed before. */
  lead(term: Term, state: ClusterState, placement: Placement): void {
    this.resign();
    this.#term = term;
    this.#placement = placement;
    this.reconcile(state);
  }

  /** Another peer leads, or none: nothing here has a say any more. */
  resign(): void {
    this.#term = undefined;
    this.#state = undefined;
    for (const driver of this.#drivers.values()) driver.stop();
    this.#drivers.clear();
    for (const timer of this.#restarts.values()) timer.cancel();
    this.#restarts.clear();
    this.#breakCounts.clear();
  }

  setPlacement(placement: Placement): void {
    this.#placement = placement;
    for (const driver of this.#drivers.values()) driver.setPlacement(placement);
  }

  losePeer(peer: PeerId): void {
    for (const driver of this.#drivers.values()) driver.losePeer(peer);
  }

  /** Starts and silences drivers so that they match the committed jobs. */
  reconcile(state: ClusterState): void {
    if (this.#term === undefined || !this.#placement) return;
    this.#state = state;
    for (const [jobId, driver] of this.#drivers) {
      const record = state.jobs.get(jobId);
      if (record && isActiveState(record.state) && record.run === driver.run) continue;
      driver.stop();
      this.#drivers.delete(jobId);
      if (record?.state === 'STOPPED') failpoint('job.stop.silenced');
      this.#cancelAtOwners(state, jobId, driver.run);
    }
    for (const jobId of this.#breakCounts.keys()) {
      const record = state.jobs.get(jobId);
      if (!record || !isActiveState(record.state)) this.#breakCounts.delete(jobId);
    }
    let runningCount = new Set([...this.#drivers.keys(), ...this.#restarts.keys()]).size;
    for (const record of queueOf(state)) {
      if (this.hasPlace(record.id)) continue;
      if (runningCount >= this.#options.runningMaxCount) return;
      runningCount += 1;
      this.#drive(record);
    }
  }

  /** Whether the job does not wait any more. */
  hasPlace(jobId: JobId): boolean {
    return this.#drivers.has(jobId) || this.#restarts.has(jobId);
  }

  driverOf(jobId: JobId): JobDriver | undefined {
    return this.#drivers.get(jobId);
  }

  /** @throws stale_term when no driver here waits for that frame. */
  takeResults(from: PeerId, frame: ResultFrame): void {
    if (this.#drivers.get(frame.jobId)?.takeResults(from, frame)) return;
    const message = `results of job ${frame.jobId}, run ${String(frame.run)}, term ${String(frame.term)} are not awaited here`;
    throw new RingloadError('stale_term', message);
  }

  #drive(record: JobRecord): void {
    const term = this.#term;
    const placement = this.#placement;
    if (term === undefined || !placement) return;
    const spec = record.spec as JobSpec;
    const logger = this.#options.logger.child({ job: record.id });
    try {
      failpoint('job.drive.begin');
      const driver = new JobDriver({
        ...this.#options,
        logger,
        failures: this.#options.failuresOf(record.id),
        start: {
          ref: { jobId: record.id, run: record.run, term },
          spec,
          checkpoint: record.checkpoint,
          accepts: compileFilters(spec),
          placement,
          limits: this.#options.limits,
          random: this.#options.random,
          firstTaskId: 1 + this.#driverCount++ * TASK_IDS_PER_DRIVER,
        },
        onGiveUp: (error) => {
          this.#restart(record, term, error);
        },
      });
      this.#drivers.set(record.id, driver);
      logger.info('drive job', {
        path: spec.path,
        run: record.run,
        term,
        pass: record.checkpoint?.pass,
      });
    } catch (thrown) {
      this.#restartLater(record.id, term);
      void this.#failUndriveable(record, term, thrown);
    }
  }

  /**
   * A driver that fell silent while this peer goes on to lead is replaced from the last checkpoint;
   * one that breaks again and again meets a fault of ours, and the job ends with it.
   */
  #restart(record: JobRecord, term: Term, error: RingloadError): void {
    if (this.#term !== term) return;
    if (error.code === 'internal') {
      const breakCount = (this.#breakCounts.get(record.id) ?? 0) + 1;
      this.#breakCounts.set(record.id, breakCount);
      if (breakCount >= BREAK_MAX_COUNT) void this.#failUndriveable(record, term, error);
    }
    this.#restartLater(record.id, term);
  }

  #restartLater(jobId: JobId, term: Term): void {
    const timer = this.#options.clock.setTimer(RESTART_DELAY_MS, () => {
      this.#restarts.delete(jobId);
      this.#drivers.delete(jobId);
      if (this.#term === term && this.#state) this.reconcile(this.#state);
    });
    this.#restarts.get(jobId)?.cancel();
    this.#restarts.set(jobId, timer);
  }

  /** A job that cannot even start (its mount is not configured here) ends with the reason. */
  async #failUndriveable(record: JobRecord, term: Term, thrown: unknown): Promise<void> {
    const { code, message } = toRingloadError(thrown);
    this.#options.logger.error('job cannot be driven', { job: record.id, code, reason: message });
    const latest = this.#state?.jobs.get(record.id) ?? record;
    const checkpoint = latest.checkpoint ?? {
      pass: 1,
      epoch: 0,
      listingDone: false,
      counters: {},
      tallies: {},
      expected: {},
      failures: [],
    };
    try {
      await this.#options.commit({
        kind: 'job.finish',
        jobId: record.id,
        run: record.run,
        term,
        state: 'FAILED',
        checkpoint,
        failure: { code, message },
        atMs: this.#options.clock.wallMs(),
      });
    } catch {
      // Why: whoever leads next finds the job active and comes to the same end.
    }
  }

  #cancelAtOwners(state: ClusterState, jobId: JobId, run: number): void {
    const pass = { jobId, run, term: this.#term ?? asTerm(0), pass: 0 };
    for (const member of state.members.values()) this.#options.owners.cancel(member.id, pass);
  }
}
