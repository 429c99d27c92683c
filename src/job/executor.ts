/**
 * The owner's side of a load: takes batches from the leader, brings segments in, and reports.
 *
 * Bounded: it grants the leader a window and runs a limited number of tasks and bytes at once.
 * Fenced: an order of a lower term, or of a run that is known to have ended, is refused. What it
 * reports as stored is leased to the pass, so that nothing evicts it before the verdict.
 */
import { formatSum, type CombinableSum } from '../base/crc-combine.ts';
import { RingloadError, toRingloadError, toWireError } from '../base/errors.ts';
import type { Clock, Timer } from '../base/clock.ts';
import type { JobId, PeerId, Term } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import { formatDigest, recordDigest, segmentDigest } from '../cache/digest.ts';
import type { FileCatalog, FileRecord } from '../cache/file-catalog.ts';
import type { ResidentSegment, SegmentKey, SegmentStore } from '../cache/segment-store.ts';
import type { TallyCounts } from '../cluster/job-record.ts';
import type { LoadOutcome, SegmentLoader } from '../data/segment-loader.ts';
import { UrgentFirst } from './fifo.ts';
import {
  leaseOf,
  METADATA_ONLY_INDEX,
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
import { RecordWriter } from './record-writer.ts';
import { ResultOutbox } from './result-outbox.ts';
import { Stocktaking } from './stocktaking.ts';
import { TaskSignals } from './task-signals.ts';

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
  readonly store: SegmentStore & {
    /** Jobs that hold leases here. */
    leaseHolders(): ReadonlySet<JobId>;
  };
  readonly catalog: FileCatalog;
  readonly loader: SegmentLoader;
  readonly leader: LeaderTransport;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: ExecutorLimits;
  /** A checksum of what is read, in hex digits. */
  readonly sumOf: (algorithm: CombinableSum, chunks: AsyncIterable<Uint8Array>) => Promise<string>;
  /** Start generation of this process. */
  readonly generation: number;
  /** Told of every batch that comes from a deposed leader or for an ended run. */
  readonly onRefused?: () => void;
  /** Highest Raft term that this peer knows. */
  readonly currentTerm: () => Term;
  /** Data endpoint of a member; undefined when unknown. */
  readonly endpointOf: (peer: PeerId) => string | undefined;
  /** What replicated state tells of the job; undefined when this peer has not heard of it. */
  readonly runOf: (jobId: JobId) => { readonly run: number; readonly active: boolean } | undefined;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Jobs whose sums are remembered. */
const TALLY_MAX_COUNT = 10_000;

const SWEEP_MS = 1000;
/** Sweeps between two signs of life to the leader. */
const SWEEPS_PER_BEAT = 5;
/** A leader that is out of reach for so long has given its tasks to others. */
const LEADER_LOST_MS = 15_000;
/** Tasks of one job that may pile up, in windows: more means that the leader lost count. */
const PENDING_MAX_WINDOWS = 2;

/** One pass of one run of a job, as ordered by one leader. */
interface Order {
  readonly pass: PassRef;
  readonly leader: PeerId;
  /** Ends all work of the run, of this order and of those before it. */
  readonly signals: TaskSignals;
  readonly outbox: ResultOutbox;
  /** Id of its first task: an order with a lower one was given before. */
  readonly firstTaskId: number;
  /** Nobody waits for its results: what runs may end, what waits is dropped. */
  abandoned: boolean;
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
  readonly #queue = new UrgentFirst<QueuedTask>();
  readonly #records: RecordWriter;
  readonly #inventories = new Stocktaking<InventoryReply>();
  #runningCount = 0;
  #runningBytes = 0;
  #sweepTimer: Timer | undefined;
  #sweepCount = 0;
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

  /**
   * @throws stale_term for orders of a deposed leader or an ended run; overloaded when the leader
   * sends more than it was granted; cancelled when closing, or for an order overtaken by another.
   */
  accept(from: PeerId, batch: TaskBatch): BatchAck {
    if (this.#closed) throw new RingloadError('cancelled', 'this peer is shutting down');
    const order = this.#orderFor(from, batch);
    this.#checkRoom(order, batch);
    order.pendingCount += batch.tasks.length;
    // Why copies first: a segment that one peer alone has is lost with that peer.
    for (const task of batch.tasks) {
      this.#queue.push({ order, batch, task }, task.copy);
    }
    this.#startTasks();
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
    const isRecalled = (queued: QueuedTask): boolean =>
      queued.order === order && recalled.has(queued.task.id);
    const waiting = [...this.#queue];
    this.#queue.clear();
    for (const queued of waiting) {
      if (isRecalled(queued)) this.#answer(queued, failureOf(queued.task, RECALLED));
      else this.#queue.push(queued, queued.task.copy);
    }
    if (alsoRunning) for (const id of recalled) order.signals.abortOne(id, RECALLED);
    this.#startTasks();
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
        tally: () => this.#tallyOf(jobId),
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

  #startTasks(): void {
    const { parallelTasks, parallelBytes } = this.#options.limits;
    for (let next = this.#queue.peek(); next; next = this.#queue.peek()) {
      if (next.order.abandoned) {
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

  async #run(queued: QueuedTask): Promise<void> {
    const { order, batch, task } = queued;
    let result: TaskResult;
    try {
      const perform = (signal: AbortSignal): Promise<TaskResult> =>
        this.#perform(order, batch, task, signal);
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

  async #perform(
    order: Order,
    batch: TaskBatch,
    task: Task,
    signal: AbortSignal,
  ): Promise<TaskResult> {
    const record = recordOf(batch, task);
    const holder = leaseOf(order.pass);
    const told = task.record ? { recordDigest: formatDigest(recordDigest(record)) } : {};
    if (task.index === METADATA_ONLY_INDEX) {
      const isNew = await this.#records.put(record, batch.options.reload, holder);
      return { id: task.id, status: isNew ? 'loaded' : 'resident', ...told };
    }
    const { path, version, segmentSizeBytes } = record;
    const key: SegmentKey = { path, version, segmentSizeBytes, index: task.index };
    const putRecord = async (): Promise<void> => {
      if (task.record) await this.#records.put(record, false, holder);
    };
    const outcome = await this.#load(order, batch, { task, key, putRecord }, signal);
    const { segment, sum, isChecked } = outcome;
    const ours = segment.loadedBy === batch.jobId;
    const digest = formatDigest(segmentDigest(key, segment.lengthBytes, segment.crc32c));
    const wanted = batch.files[task.file]?.sum;
    const known = sum ?? (await this.#knownSum(batch, task, segment));
    return {
      ...{ id: task.id, status: ours ? 'loaded' : 'resident', digest, ...told },
      ...(wanted !== undefined && known !== undefined && { sum: known }),
      ...(isChecked === true && { isChecked }),
    };
  }

  /**
   * The checksum that is wanted of a resident segment. Only of what this job has brought in, and
   * in its first pass, is it computed anew: then an answer that had it was lost.
   */
  async #knownSum(
    batch: TaskBatch,
    task: Task,
    segment: ResidentSegment,
  ): Promise<string | undefined> {
    const wanted = batch.files[task.file]?.sum;
    if (wanted === undefined) return undefined;
    if (wanted === 'crc32c') return formatSum(wanted, BigInt(segment.crc32c));
    const isOurs = segment.loadedBy === batch.jobId && task.sources.length === 0;
    if (!isOurs || batch.pass > 1) return undefined;
    const reader = await this.#options.store.open(segment.key);
    if (!reader) return undefined;
    try {
      return await this.#options.sumOf(wanted, reader.read(0, reader.lengthBytes));
    } catch {
      // The segment is leased by now, so its task must not fail; the inventory misses it.
      return undefined;
    } finally {
      reader.close();
    }
  }

  /**
   * Loads and leases; what was evicted between the two is loaded again. Why the lease is last: what
   * is leased counts in the inventory, so nothing may fail behind it.
   */
  async #load(
    order: Order,
    batch: TaskBatch,
    wanted: { task: Task; key: SegmentKey; putRecord: () => Promise<void> },
    signal: AbortSignal,
  ): Promise<LoadOutcome> {
    const { task, key, putRecord } = wanted;
    const { options } = batch;
    const file = batch.files[task.file];
    // Why only fetched ones: a copy from a peer has been compared by CRC32C, and costs twice.
    const sum = file?.sum === 'crc32c' || task.sources.length > 0 ? undefined : file?.sum;
    const tally = this.#tallyOf(batch.jobId);
    const isPatient = task.attempt < options.patientAttemptCount;
    const peerEndpoints = task.sources.flatMap((peer) => this.#options.endpointOf(peer) ?? []);
    if (isPatient && peerEndpoints.length === 0 && task.sources.length > 0) {
      // Why: a member that this peer has not heard of yet is about to become known.
      throw new RingloadError('peer_unreachable', 'no source of the copy is known here yet');
    }
    if (file?.isRefetched === true) await this.#options.store.drop(key);
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const outcome = await this.#options.loader.load(
        {
          key,
          lengthBytes: task.length,
          fileSizeBytes: file?.sizeBytes ?? 0,
          ...(sum !== undefined && { sum }),
          peerEndpoints,
          allowUfs: true,
          waitForPeers: isPatient,
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
      if (outcome.own && outcome.filled) {
        tally.segmentCount += 1;
        tally.storedBytes += task.length;
      }
      await putRecord();
      signal.throwIfAborted();
      if (this.#options.store.lease(key, leaseOf(order.pass))) return outcome;
    }
    throw new RingloadError(
      'cache_io',
      `segment ${String(key.index)} of ${key.path} does not stay in the cache`,
    );
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
