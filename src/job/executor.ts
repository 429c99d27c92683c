/**
 * The owner's side of a load: takes batches from the leader, brings segments in, and reports.
 *
 * Bounded: it grants the leader a window and runs a limited number of tasks and bytes at once.
 * Fenced: an order of a lower term, or of a run that is known to have ended, is refused. What it
 * reports as stored is leased to the pass, so that nothing evicts it before the verdict.
 */
import { RingloadError, toRingloadError, toWireError } from '../base/errors.ts';
import type { Clock, Timer } from '../base/clock.ts';
import type { JobId, PeerId, Term } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import { formatDigest, segmentDigest } from '../cache/digest.ts';
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';
import type { SegmentKey, SegmentStore } from '../cache/segment-store.ts';
import type { TallyCounts } from '../cluster/job-record.ts';
import type { SegmentLoader } from '../data/segment-loader.ts';
import { Fifo } from './fifo.ts';
import {
  leaseOf,
  METADATA_ONLY_INDEX,
  type BatchAck,
  type InventoryReply,
  type LeaderTransport,
  type PassRef,
  type Task,
  type TaskBatch,
  type TaskResult,
} from './protocol.ts';
import { RecordWriter } from './record-writer.ts';
import { ResultOutbox } from './result-outbox.ts';

export interface ExecutorLimits {
  /** Granted to the leader per job. */
  readonly windowTasks: number;
  readonly windowBytes: number;
  /** Tasks that run at once, all jobs together. */
  readonly parallelTasks: number;
  /** Bytes of the segments that are loaded at once; one always may. */
  readonly parallelBytes: number;
  /** Results wait so long for company before they are sent. */
  readonly resultDelayMs: number;
  readonly resultBatchMaxCount: number;
}

export interface ExecutorOptions {
  readonly store: SegmentStore;
  readonly catalog: FileCatalog;
  readonly loader: SegmentLoader;
  readonly leader: LeaderTransport;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: ExecutorLimits;
  /** Start generation of this process. */
  readonly generation: number;
  /** Highest Raft term that this peer knows. */
  readonly currentTerm: () => Term;
  /** Data endpoint of a member; undefined when unknown. */
  readonly endpointOf: (peer: PeerId) => string | undefined;
  /** Whether replicated state says that this run is over. */
  readonly isOver: (jobId: JobId, run: number) => boolean;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Jobs whose sums are remembered. */
const TALLY_MAX_COUNT = 10_000;

/** One pass of one run of a job, as ordered by one leader. */
interface Order {
  readonly pass: PassRef;
  readonly leader: PeerId;
  readonly controller: AbortController;
  readonly outbox: ResultOutbox;
  pendingCount: number;
}

interface QueuedTask {
  readonly order: Order;
  readonly batch: TaskBatch;
  readonly task: Task;
}

export class Executor {
  readonly #options: ExecutorOptions;
  readonly #orders = new Map<JobId, Order>();
  readonly #tallies = new Map<JobId, Mutable<TallyCounts>>();
  readonly #leases = new Map<JobId, Set<JobId>>();
  readonly #queue = new Fifo<QueuedTask>();
  readonly #records: RecordWriter;
  #runningCount = 0;
  #runningBytes = 0;
  #sweepTimer: Timer | undefined;
  #closed = false;

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#records = new RecordWriter(options.catalog);
    this.#scheduleSweep();
  }

  /** Tasks that wait or run. */
  get pendingCount(): number {
    return this.#queue.length + this.#runningCount;
  }

  /** @throws stale_term for orders of a deposed leader or an ended run; cancelled when closing. */
  accept(from: PeerId, batch: TaskBatch): BatchAck {
    if (this.#closed) throw new RingloadError('cancelled', 'this peer is shutting down');
    const order = this.#orderFor(from, batch);
    order.pendingCount += batch.tasks.length;
    for (const task of batch.tasks) this.#queue.push({ order, batch, task });
    this.#startTasks();
    const { windowTasks, windowBytes } = this.#options.limits;
    return { windowTasks, windowBytes };
  }

  /** What the cache holds leased for the pass, computed from its index. */
  async inventory(pass: PassRef): Promise<InventoryReply> {
    const inventory = await this.#options.store.inventory(leaseOf(pass));
    return { inventory, generation: this.#options.generation };
  }

  /** Drops what is queued or running for that run of the job. */
  cancel(pass: PassRef): void {
    const order = this.#orders.get(pass.jobId);
    if (order && order.pass.run <= pass.run && order.pass.term <= pass.term) this.#drop(order);
  }

  /** Ends work and leases of runs that are over: called after every change of replicated state. */
  sweep(): void {
    for (const order of this.#orders.values()) {
      if (this.#options.isOver(order.pass.jobId, order.pass.run)) this.#drop(order);
    }
    for (const jobId of this.#leases.keys()) {
      if (!this.#orders.has(jobId)) this.#releaseLeases(jobId);
    }
  }

  close(): void {
    this.#closed = true;
    this.#sweepTimer?.cancel();
    for (const order of [...this.#orders.values()]) this.#drop(order);
    this.#queue.clear();
  }

  #orderFor(from: PeerId, batch: TaskBatch): Order {
    const known = this.#orders.get(batch.jobId);
    const staleTerm = batch.term < Math.max(this.#options.currentTerm(), known?.pass.term ?? 0);
    if (
      staleTerm ||
      this.#options.isOver(batch.jobId, batch.run) ||
      (known && known.pass.run > batch.run)
    ) {
      const message = `refuse tasks of job ${batch.jobId}: run ${String(batch.run)}, term ${String(batch.term)} is over`;
      throw new RingloadError('stale_term', message);
    }
    if (known && samePass(known.pass, batch) && known.leader === from) return known;
    if (known) this.#drop(known);
    const { jobId, run, term, pass } = batch;
    const order: Order = {
      pass: { jobId, run, term, pass },
      leader: from,
      controller: new AbortController(),
      outbox: new ResultOutbox({
        ...this.#options,
        pass: { jobId, run, term, pass },
        to: from,
        tally: () => this.#tallyOf(jobId),
      }),
      pendingCount: 0,
    };
    this.#orders.set(jobId, order);
    return order;
  }

  #drop(order: Order): void {
    order.controller.abort(
      new RingloadError('cancelled', 'the leader or the run of the job changed'),
    );
    order.outbox.close();
    if (this.#orders.get(order.pass.jobId) === order) this.#orders.delete(order.pass.jobId);
  }

  #startTasks(): void {
    const { parallelTasks, parallelBytes } = this.#options.limits;
    for (let next = this.#queue.peek(); next; next = this.#queue.peek()) {
      if (next.order.controller.signal.aborted) {
        this.#queue.shift();
        continue;
      }
      const { length } = next.task;
      const fits = this.#runningBytes === 0 || this.#runningBytes + length <= parallelBytes;
      if (this.#runningCount >= parallelTasks || !fits) return;
      this.#queue.shift();
      this.#runningCount += 1;
      this.#runningBytes += length;
      void this.#run(next).finally(() => {
        this.#runningCount -= 1;
        this.#runningBytes -= length;
        this.#startTasks();
      });
    }
  }

  async #run({ order, batch, task }: QueuedTask): Promise<void> {
    const { signal } = order.controller;
    let result: TaskResult;
    try {
      result = await this.#perform(order, batch, task, signal);
    } catch (thrown) {
      const error = toRingloadError(thrown);
      if (error.code === 'internal')
        this.#options.logger.error('task failed', { message: error.message });
      result = { id: task.id, status: 'failed', error: toWireError(error) };
    }
    order.pendingCount -= 1;
    if (!signal.aborted) order.outbox.add(result);
  }

  async #perform(
    order: Order,
    batch: TaskBatch,
    task: Task,
    signal: AbortSignal,
  ): Promise<TaskResult> {
    const record = recordOf(batch, task);
    if (task.index === METADATA_ONLY_INDEX) {
      const isNew = await this.#records.put(record, batch.options.reload);
      return { id: task.id, status: isNew ? 'loaded' : 'resident' };
    }
    const { path, version, segmentSizeBytes } = record;
    const key: SegmentKey = { path, version, segmentSizeBytes, index: task.index };
    const outcome = await this.#load(order, batch, task, key, signal);
    if (task.record) await this.#records.put(record, false);
    const { segment } = outcome;
    const ours = outcome.filled || segment.loadedBy === batch.jobId;
    const digest = formatDigest(segmentDigest(key, segment.lengthBytes, segment.crc32c));
    return { id: task.id, status: ours ? 'loaded' : 'resident', digest };
  }

  /** Loads and leases; what was evicted between the two is loaded again. */
  async #load(
    order: Order,
    batch: TaskBatch,
    task: Task,
    key: SegmentKey,
    signal: AbortSignal,
  ): ReturnType<SegmentLoader['load']> {
    const { options } = batch;
    const tally = this.#tallyOf(batch.jobId);
    const peerEndpoints = task.sources.flatMap((peer) => this.#options.endpointOf(peer) ?? []);
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const outcome = await this.#options.loader.load(
        {
          key,
          lengthBytes: task.length,
          fileSizeBytes: batch.files[task.file]?.sizeBytes ?? 0,
          peerEndpoints,
          allowUfs: true,
          job: batch.jobId,
          reload: options.reload,
          deepVerify: options.deepVerify,
          meter: (from, receivedBytes) => {
            if (from === 'ufs') tally.ufsBytes += receivedBytes;
            else tally.copiedBytes += receivedBytes;
          },
          ...(options.bandwidthBps !== undefined && {
            bandwidthBps: options.bandwidthBps,
            bandwidthGroup: batch.jobId,
          }),
        },
        signal,
      );
      if (outcome.own) {
        tally.segmentCount += 1;
        tally.storedBytes += task.length;
      }
      signal.throwIfAborted();
      if (this.#lease(key, order.pass)) return outcome;
    }
    throw new RingloadError(
      'cache_io',
      `segment ${String(key.index)} of ${key.path} does not stay in the cache`,
    );
  }

  #lease(key: SegmentKey, pass: PassRef): boolean {
    const lease = leaseOf(pass);
    let leases = this.#leases.get(pass.jobId);
    if (!leases) this.#leases.set(pass.jobId, (leases = new Set()));
    leases.add(lease);
    return this.#options.store.lease(key, lease);
  }

  #releaseLeases(jobId: JobId): void {
    for (const lease of this.#leases.get(jobId) ?? []) this.#options.store.releaseLease(lease);
    this.#options.store.releaseLease(jobId);
    this.#leases.delete(jobId);
  }

  #tallyOf(jobId: JobId): Mutable<TallyCounts> {
    let tally = this.#tallies.get(jobId);
    if (!tally) {
      tally = { segmentCount: 0, storedBytes: 0, ufsBytes: 0, copiedBytes: 0 };
      this.#tallies.set(jobId, tally);
      // Why not with the leases: a job that is resumed goes on with its sums.
      const oldest = this.#tallies.keys().next().value;
      if (this.#tallies.size > TALLY_MAX_COUNT && oldest !== undefined)
        this.#tallies.delete(oldest);
    }
    return tally;
  }

  /** State may change without a batch ever coming again: look now and then. */
  #scheduleSweep(): void {
    this.#sweepTimer = this.#options.clock.setTimer(1000, () => {
      this.sweep();
      this.#scheduleSweep();
    });
  }
}

function samePass(a: PassRef, b: PassRef): boolean {
  return a.jobId === b.jobId && a.run === b.run && a.term === b.term && a.pass === b.pass;
}

function recordOf(batch: TaskBatch, task: Task): FileRecord {
  const file = batch.files[task.file];
  if (!file) {
    throw new RingloadError(
      'invalid_argument',
      `task ${String(task.id)} names file ${String(task.file)} of ${String(batch.files.length)}`,
    );
  }
  const { segmentSizeBytes, segmented, replicaCount } = batch.options;
  return { ...file, segmentSizeBytes, segmented, replicaCount, loadedBy: batch.jobId };
}
