/**
 * The owner's side of a load: takes orders from leaders, has them done, and reports. Owns the books
 * of what was ordered by whom, and what has come to nothing since.
 *
 * Bounded: it grants the leader a window. Fenced: an order of a lower term, or of a run that is
 * known to have ended, is refused.
 */
import { RingloadError, toRingloadError, toWireError } from '../base/errors.ts';
import type { Clock, Timer } from '../base/clock.ts';
import type { JobId, PeerId, Term } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { FileCatalog } from '../cache/file-catalog.ts';
import type { SegmentStore } from '../cache/segment-store.ts';
import type { Order } from './order.ts';
import {
  leaseOf,
  type BatchAck,
  type DiscardedFile,
  type InventoryReply,
  type InventoryRequest,
  type LeaderTransport,
  type PassRef,
  type Task,
  type TaskBatch,
  type TaskRecall,
  type TaskResult,
} from './protocol.ts';
import { ResultOutbox } from './result-outbox.ts';
import { Stocktaking } from './stocktaking.ts';
import { TaskPerformer, type PerformerOptions } from './task-performer.ts';
import { TaskQueue, type QueuedTask, type TaskQueueLimits } from './task-queue.ts';
import { TaskSignals } from './task-signals.ts';

export interface ExecutorLimits extends TaskQueueLimits {
  /** Granted to the leader per job. */
  readonly windowTasks: number;
  readonly windowBytes: number;
  /** Results wait so long for company before they are sent. */
  readonly resultDelayMs: number;
  readonly resultBatchMaxCount: number;
}

export interface ExecutorOptions extends PerformerOptions {
  readonly store: SegmentStore & {
    /** Jobs that hold leases here. */
    leaseHolders(): ReadonlySet<JobId>;
  };
  readonly catalog: FileCatalog;
  readonly leader: LeaderTransport;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: ExecutorLimits;
  /** Start generation of this process. */
  readonly generation: number;
  /** Told of every batch that comes from a deposed leader or for an ended run. */
  readonly onRefused?: () => void;
  /** Resolves once nothing at the path waits for a free that the order comes after. */
  readonly whenFreed?: (path: string, afterFree: number, signal: AbortSignal) => Promise<void>;
  /** Highest Raft term that this peer knows. */
  readonly currentTerm: () => Term;
  /** What replicated state tells of the job; undefined when this peer has not heard of it. */
  readonly runOf: (jobId: JobId) => { readonly run: number; readonly active: boolean } | undefined;
}

const SWEEP_MS = 1000;
/** Sweeps between two signs of life to the leader. */
const SWEEPS_PER_BEAT = 5;
/** A leader that is out of reach for so long has given its tasks to others. */
const LEADER_LOST_MS = 15_000;
/** Tasks of one job that may pile up, in windows: more means that the leader lost count. */
const PENDING_MAX_WINDOWS = 2;

export class Executor {
  readonly #options: ExecutorOptions;
  readonly #orders = new Map<JobId, Order>();
  readonly #performer: TaskPerformer;
  readonly #queue: TaskQueue;
  readonly #inventories = new Stocktaking<InventoryReply>();
  #sweepTimer: Timer | undefined;
  #sweepCount = 0;
  #closed = false;

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#performer = new TaskPerformer(options);
    this.#queue = new TaskQueue(options.limits, (queued) => this.#run(queued));
    this.#scheduleSweep();
  }

  /** Tasks that wait or run. */
  get pendingCount(): number {
    return this.#queue.pendingCount;
  }

  /**
   * @throws stale_term for orders of a deposed leader or an ended run; overloaded when the leader
   * sends more than it was granted; cancelled when closing, or for an order overtaken by another.
   */
  accept(from: PeerId, batch: TaskBatch): BatchAck {
    if (this.#closed) throw new RingloadError('cancelled', 'this peer is shutting down');
    const order = this.#orderFor(from, batch);
    this.#checkRoom(order, batch);
    order.pendingCount += batch.tasks.length;
    this.#queue.add(order, batch);
    const { windowTasks, windowBytes } = this.#options.limits;
    return { windowTasks, windowBytes };
  }

  /** What is here for the pass: leased segments by the index, held records by the catalogue. */
  inventory(request: InventoryRequest): Promise<InventoryReply> {
    return this.#inventories.take(leaseOf(request), async () => {
      const { store, catalog, generation } = this.#options;
      const inventory = await store.inventory(leaseOf(request));
      const records = await catalog.heldInventory(leaseOf(request), request.path ?? '');
      return { inventory, records, generation };
    });
  }

  /** Forgets a file whose bytes are not those of its object. */
  async discard({ path, version, sizeBytes, segmentSizeBytes }: DiscardedFile): Promise<void> {
    const { store, catalog } = this.#options;
    for (let index = 0; index * segmentSizeBytes < sizeBytes; index += 1) {
      await store.drop({ path, version, segmentSizeBytes, index });
    }
    if ((await catalog.get(path))?.version === version) await catalog.delete(path);
  }

  /**
   * Drops these tasks of an order and answers them as cancelled: the leader has somebody who is
   * faster. What is stored already stays, and is answered so.
   */
  recall(from: PeerId, { taskIds, alsoRunning, ...pass }: TaskRecall): void {
    const order = this.#orders.get(pass.jobId);
    if (!order || order.abandoned || order.leader !== from || !samePass(order.pass, pass)) return;
    const recalled = new Set(taskIds);
    for (const queued of this.#queue.takeBack(order, recalled)) {
      this.#answer(queued, failureOf(queued.task, RECALLED));
    }
    if (alsoRunning) for (const id of recalled) order.signals.abortOne(id, RECALLED);
  }

  /** Drops what is queued or running for that run of the job. */
  cancel(pass: PassRef): void {
    const order = this.#orders.get(pass.jobId);
    if (order && order.pass.run <= pass.run && order.pass.term <= pass.term) this.#drop(order);
  }

  /** Ends work and leases of runs that are over: called after every change of replicated state. */
  sweep(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const order of this.#orders.values()) {
      if (this.#isOver(order.pass.jobId, order.pass.run)) this.#drop(order);
      else if (order.outbox.silentForMs(nowMs) >= LEADER_LOST_MS) this.#abandon(order);
    }
    // Why ask the cache: a fill that was under way when the run ended leases after that.
    for (const holder of this.#options.store.leaseHolders()) {
      const { jobId, run } = parseLease(holder);
      if (this.#isOver(jobId, run)) this.#options.store.releaseLease(holder);
    }
  }

  close(): void {
    this.#closed = true;
    this.#sweepTimer?.cancel();
    for (const order of [...this.#orders.values()]) this.#drop(order);
    this.#queue.clear();
  }

  /** @param run undefined: whichever is the last one. */
  #isOver(jobId: JobId, run: number | undefined): boolean {
    const known = this.#options.runOf(jobId);
    if (!known || (run !== undefined && known.run < run)) return false;
    return !known.active || (run !== undefined && known.run > run);
  }

  #orderFor(from: PeerId, batch: TaskBatch): Order {
    const known = this.#orders.get(batch.jobId);
    this.#checkFence(batch, known);
    const isSame = known && samePass(known.pass, batch) && known.leader === from;
    if (isSame && !known.abandoned) return known;
    const { jobId, run, term, pass } = batch;
    const firstTaskId = batch.tasks[0]?.id ?? 0;
    if (known?.pass.term === term && known.pass.run === run && firstTaskId < known.firstTaskId) {
      throw new RingloadError('cancelled', `pass ${String(pass)} of job ${jobId} was overtaken`);
    }
    // Why what runs is not aborted for another pass or leader: its tasks join the running fills.
    const isSameRun = known?.pass.run === run;
    if (known && isSameRun) this.#abandon(known);
    else if (known) this.#drop(known);
    const order: Order = {
      pass: { jobId, run, term, pass },
      leader: from,
      signals: known && isSameRun ? known.signals : new TaskSignals(),
      outbox: new ResultOutbox({
        ...this.#options,
        pass: { jobId, run, term, pass },
        to: from,
        tally: () => this.#performer.tallyOf(jobId),
        onRefused: () => {
          this.#abandon(order);
        },
      }),
      firstTaskId,
      abandoned: false,
      pendingCount: 0,
    };
    this.#orders.set(jobId, order);
    return order;
  }

  #checkFence(batch: TaskBatch, known: Order | undefined): void {
    const { jobId, run, term } = batch;
    const isStale =
      term < Math.max(this.#options.currentTerm(), known?.pass.term ?? 0) ||
      (known !== undefined && known.pass.run > run);
    if (!isStale && !this.#isOver(jobId, run)) return;
    this.#options.onRefused?.();
    const message = `refuse tasks of job ${jobId}: run ${String(run)}, term ${String(term)} is over`;
    throw new RingloadError('stale_term', message);
  }

  #checkRoom(order: Order, batch: TaskBatch): void {
    const maxCount = PENDING_MAX_WINDOWS * this.#options.limits.windowTasks;
    if (order.pendingCount === 0 || order.pendingCount + batch.tasks.length <= maxCount) return;
    const message = `${String(order.pendingCount)} tasks of job ${batch.jobId} wait here already`;
    throw new RingloadError('overloaded', message);
  }

  #abandon(order: Order): void {
    order.abandoned = true;
    order.outbox.close();
  }

  #drop(order: Order): void {
    this.#abandon(order);
    order.signals.abort(new RingloadError('cancelled', 'the run of the job is over'));
    if (this.#orders.get(order.pass.jobId) === order) this.#orders.delete(order.pass.jobId);
  }

  async #run(queued: QueuedTask): Promise<void> {
    const { order, batch, task } = queued;
    let result: TaskResult;
    try {
      const perform = async (signal: AbortSignal): Promise<TaskResult> => {
        const path = batch.files[task.file]?.path ?? '';
        await this.#options.whenFreed?.(path, batch.afterFree ?? 0, signal);
        const onBegun = (): void => {
          if (!order.abandoned) order.outbox.begun(task.id);
        };
        return this.#performer.perform({ pass: order.pass, batch, task, signal, onBegun });
      };
      result = await order.signals.run(perform, task.id);
    } catch (thrown) {
      const error = toRingloadError(thrown);
      if (error.code === 'internal')
        this.#options.logger.error('task failed', { message: error.message });
      result = failureOf(task, error);
    }
    this.#answer(queued, result);
  }

  #answer({ order }: QueuedTask, result: TaskResult): void {
    order.pendingCount -= 1;
    if (!order.abandoned) order.outbox.add(result);
  }

  /** A large segment may take long: the leader hears that it is worked on. */
  #beat(): void {
    for (const order of this.#orders.values()) if (order.pendingCount > 0) order.outbox.beat();
  }

  /** State may change without a batch ever coming again: look now and then. */
  #scheduleSweep(): void {
    this.#sweepTimer = this.#options.clock.setTimer(SWEEP_MS, () => {
      this.sweep();
      if (++this.#sweepCount % SWEEPS_PER_BEAT === 0) this.#beat();
      this.#scheduleSweep();
    });
  }
}

const RECALLED = new RingloadError('cancelled', 'somebody faster does it');

function failureOf({ id }: Task, error: RingloadError): TaskResult {
  return { id, status: 'failed', error: toWireError(error) };
}

/** The inverse of {@link leaseOf}; a fill leases to the job itself, whatever the run. */
function parseLease(holder: JobId): { readonly jobId: JobId; readonly run: number | undefined } {
  const [jobId = '', rest] = holder.split('/');
  const run = rest === undefined ? undefined : Number.parseInt(rest, 10);
  return { jobId: jobId as JobId, run };
}

function samePass(a: PassRef, b: PassRef): boolean {
  return a.jobId === b.jobId && a.run === b.run && a.term === b.term && a.pass === b.pass;
}
