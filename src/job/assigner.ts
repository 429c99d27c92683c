/**
 * Assigns units to owners: the first reachable owner fetches, the others copy from it, while it
 * fetches or afterwards, and what fails is tried again within a budget.
 *
 * Owns the open units of one pass. It decides, but does not send: the job run takes batches out of
 * it. Invariant: a unit without holders has at most one task that may read the UFS, so that a
 * segment is fetched from there once.
 */
import type { PeerId } from '../base/ids.ts';
import type { Random } from '../base/random.ts';
import type { FileRun } from './file-run.ts';
import { FetcherChoice, type Recall } from './fetcher-choice.ts';
import type { OwnerQueue } from './owner-queue.ts';
import type { PaceLimits } from './pace-watch.ts';
import type { Placement } from './placement.ts';
import { METADATA_ONLY_INDEX } from './protocol.ts';
import { type RestLimits, RestingUnits } from './resting-units.ts';
import { type AnsweredTask, TaskBook } from './task-book.ts';
import { Throttle } from './throttle.ts';
import { taskFor, type TaskRun, type Unit, without } from './unit.ts';
import { Whereabouts } from './whereabouts.ts';

export interface AssignerLimits extends PaceLimits, RestLimits {
  /** Tasks and bytes out per owner before its first acknowledgement says otherwise. */
  readonly windowTasks: number;
  readonly windowBytes: number;
  readonly batchSize: number;
  /**
   * An owner that says nothing for so long while tasks are out does not work on them: it is passed
   * over. Several times as long as between two signs of life of one that does.
   */
  readonly silentAfterMs: number;
  /** Tasks that are out for so long at an owner that works are asked for again there. */
  readonly answerTimeoutMs: number;
}

export interface AssignerShape {
  readonly replicaCount: number;
  readonly segmented: boolean;
  /** Most tasks in one batch, if less than the limits allow. */
  readonly batchSize: number;
}

export interface OwnerBatch {
  readonly to: PeerId;
  readonly tasks: readonly TaskRun[];
}

export class Assigner {
  readonly #limits: AssignerLimits;
  readonly #shape: AssignerShape;
  readonly #onSettled: (unit: Unit) => void;
  readonly #onMoved: (unit: Unit) => void;
  readonly #book: TaskBook;
  readonly #fetchers: FetcherChoice;
  readonly #throttle = new Throttle();
  readonly #whereabouts: Whereabouts;
  readonly #units = new Set<Unit>();
  readonly #resting: RestingUnits;

  constructor(options: {
    limits: AssignerLimits;
    shape: AssignerShape;
    placement: Placement;
    random: Random;
    firstTaskId: number;
    /** Ask the peers that may hold a segment before the UFS; a change of the ring sets it too. */
    askPeersFirst: boolean;
    /** Called once for each unit that all its owners hold. */
    onSettled: (unit: Unit) => void;
    /** Called for each fetch that is given to another peer because its owner is slow. */
    onMoved: (unit: Unit) => void;
  }) {
    this.#limits = options.limits;
    this.#shape = options.shape;
    this.#whereabouts = new Whereabouts(options);
    this.#resting = new RestingUnits(options.limits, options.random);
    this.#book = new TaskBook(options.firstTaskId, options.limits);
    this.#onSettled = options.onSettled;
    this.#onMoved = options.onMoved;
    this.#fetchers = new FetcherChoice({
      limits: options.limits,
      book: this.#book,
      placement: () => this.#whereabouts.placement,
      nearOf: (unit) => this.#whereabouts.nearOf(unit),
    });
  }

  get openUnitCount(): number {
    return this.#units.size;
  }

  get restingCount(): number {
    return this.#resting.count;
  }

  /** Higher than the id of every task so far. */
  get nextTaskId(): number {
    return this.#book.nextTaskId;
  }

  outCountOf(peer: PeerId): number {
    return this.#book.knownQueueOf(peer)?.out.size ?? 0;
  }

  open(unit: Unit): void {
    this.#units.add(unit);
    unit.file.openUnitCount += 1;
    this.#place(unit);
    this.#advance(unit);
  }

  /** Gives a unit up; answers to its outstanding tasks still count towards inventories. */
  close(unit: Unit): void {
    if (unit.closed) return;
    unit.closed = true;
    this.#units.delete(unit);
    unit.file.openUnitCount -= 1;
    this.#resting.delete(unit);
    this.#fetchers.endLoan(unit);
    for (const task of unit.tasks) this.#book.dropUnsent(task);
  }

  /** Oldest units first, among which those of a file that fails or changes usually are. */
  closeAll(file: FileRun): void {
    for (const unit of this.#units) {
      if (file.openUnitCount === 0) return;
      if (unit.file === file) this.close(unit);
    }
  }

  /** A new ring, or a change of who can be reached. */
  setPlacement(placement: Placement): void {
    const before = this.#whereabouts.placement;
    const ringChanged = placement.epoch !== before.epoch;
    this.#whereabouts.move(placement);
    if (!ringChanged && !this.#reachabilityChanged(before)) return;
    for (const queue of this.#book.queues()) {
      if (!placement.isReachable(queue.owner)) this.#giveUp(queue, queue.drain());
    }
    for (const unit of this.#units) {
      if (ringChanged) this.#place(unit);
      this.#advance(unit);
    }
  }

  #reachabilityChanged(before: Placement): boolean {
    for (const { owner } of this.#book.queues()) {
      if (before.isReachable(owner) !== this.#whereabouts.placement.isReachable(owner)) return true;
    }
    return before.reachableCount !== this.#whereabouts.placement.reachableCount;
  }

  /** The process of `peer` ended: whatever was out there may or may not have been done. */
  losePeer(peer: PeerId): void {
    const queue = this.#book.knownQueueOf(peer);
    if (!queue) return;
    const tasks = queue.drain();
    this.#giveUp(queue, tasks);
    this.#book.forgetLostOf(peer);
    for (const { unit } of tasks) this.#advance(unit);
  }

  /** Tasks to send now, at most one batch an owner. */
  takeBatches(nowMs: number): OwnerBatch[] {
    const batches: OwnerBatch[] = [];
    const maxCount = Math.min(this.#limits.batchSize, this.#shape.batchSize);
    for (const queue of this.#book.queues()) {
      // Why first: most events concern one of a hundred owners.
      if (!queue.hasWaiting) continue;
      if (nowMs < queue.blockedUntilMs || !this.#whereabouts.placement.isReachable(queue.owner))
        continue;
      const wasIdle = queue.out.size === 0;
      const hadFetches = queue.outFetchCount > 0;
      const fetchMaxCount = this.#fetchers.fetchMaxCountOf(queue.owner);
      const tasks = queue.takeBatch({ maxCount, fetchMaxCount }, this.#throttle.share, nowMs);
      if (tasks.length === 0) continue;
      if (wasIdle) queue.lastHeardMs = nowMs;
      if (!hadFetches && queue.outFetchCount > 0) this.#fetchers.begin(queue.owner, nowMs);
      for (const task of tasks) {
        task.unit.file.inflightCount += 1;
        addOnce(task.unit, 'tried', queue.owner);
      }
      batches.push({ to: queue.owner, tasks });
    }
    return batches;
  }

  /** The owner took the batch, and grants this window from now on. */
  acknowledge(to: PeerId, window: { windowTasks: number; windowBytes: number }): void {
    const queue = this.#book.queueOf(to);
    queue.windowTasks = window.windowTasks;
    queue.windowBytes = window.windowBytes;
  }

  /** The batch was refused or may be lost: its tasks go back, the owner rests a little. */
  returnBatch(to: PeerId, taskIds: readonly number[], nowMs: number): void {
    const queue = this.#book.queueOf(to);
    queue.blockedUntilMs = nowMs + this.#limits.retryDelayMs;
    const tasks = this.#book.outOf(to, taskIds);
    this.#giveUp(queue, tasks);
    for (const { unit } of tasks) this.#advance(unit);
  }

  /** The owner works on what it was given, or says something else about the job. */
  hear(from: PeerId, nowMs: number): void {
    this.#book.queueOf(from).lastHeardMs = nowMs;
  }

  /** Takes the task that an answer is for; undefined when nothing is known of it any more. */
  takeAnswered(
    from: PeerId,
    taskId: number,
    { stored, nowMs }: { readonly stored: boolean; readonly nowMs: number },
  ): AnsweredTask | undefined {
    const answered = this.#book.takeAnswered(from, taskId);
    if (!answered || answered.isLate) return answered;
    const { task } = answered;
    this.#fetchers.answered(task, stored, nowMs);
    task.unit.tried = without(task.unit.tried, from);
    return answered;
  }

  /** What the owner fetches comes from the under store now: the others may follow it. */
  begun(from: PeerId, taskId: number): void {
    const [task] = this.#book.outOf(from, [taskId]);
    if (task?.kind !== 'fetch' || task.unit.closed) return;
    for (const owner of this.#whereabouts.freeOwnersOf(task.unit)) {
      this.#book.enqueue(task.unit, owner, 'follow', [from]);
    }
  }

  /** `task.owner` holds the unit now. */
  addHolder(task: TaskRun): void {
    const { unit, owner } = task;
    if (task.kind === 'follow') unit.followed = true;
    if (this.#whereabouts.isSource(owner)) addOnce(unit, 'holders', owner);
    const again = taskFor(unit, owner);
    if (again) this.#book.dropUnsent(again);
    this.#advance(unit);
  }

  /** Another try at once, which costs the unit nothing. */
  again(unit: Unit): void {
    this.#advance(unit);
  }

  /** Tries the unit again later; with `elsewhere` another owner fetches. */
  retryLater(unit: Unit, nowMs: number, elsewhere: boolean): void {
    unit.attempts += 1;
    if (elsewhere) unit.fetcherOffset += 1;
    this.#resting.add(unit, unit.attempts, nowMs);
  }

  /** Tries the unit again later; the under store asked for it, so no attempt is used up. */
  waitForStore(unit: Unit, nowMs: number): void {
    unit.throttledCount += 1;
    this.#resting.add(unit, unit.throttledCount, nowMs);
  }

  /** No new task for the unit until {@link retryLater} or {@link close}. */
  park(unit: Unit): void {
    this.#resting.delete(unit);
    unit.dueMs = Infinity;
  }

  /** The under store asked to slow down: all owners get a smaller window. */
  slowDown(nowMs: number): void {
    this.#throttle.slowDown(nowMs);
  }

  /**
   * Wakes units whose rest is over and recovers from throttling. Tasks that are out for too long
   * are asked for again at the same owner, where they join what still runs.
   * @returns the tasks of owners that fell silent: given up, and to be counted as failed.
   */
  tick(nowMs: number): TaskRun[] {
    this.#throttle.recover(nowMs);
    for (const unit of this.#resting.takeDue(nowMs)) this.#advance(unit);
    const silent: TaskRun[] = [];
    const { silentAfterMs, answerTimeoutMs } = this.#limits;
    for (const queue of this.#book.queues()) {
      if (queue.out.size === 0) continue;
      if (nowMs - queue.lastHeardMs >= silentAfterMs) {
        silent.push(...this.#passOver(queue, nowMs));
        continue;
      }
      const tasks = queue.outSince(nowMs - answerTimeoutMs);
      this.#giveUp(queue, tasks);
      for (const { unit } of tasks) this.#advance(unit);
    }
    return silent;
  }

  /**
   * Looks who does not keep pace, and spares slow owners what others can do.
   * @returns what they shall give back.
   */
  takeRecalls(nowMs: number): Recall[] {
    return this.#fetchers.takeRecalls(nowMs, (task) => {
      if (task.sentMs === undefined) this.#book.dropUnsent(task);
      else this.#giveUp(this.#book.queueOf(task.owner), [task]);
      this.#advance(task.unit);
    });
  }

  /** Gives a silent owner a rest; what only waited for it is fetched by another owner. */
  #passOver(queue: OwnerQueue, nowMs: number): TaskRun[] {
    queue.blockedUntilMs = nowMs + this.#limits.retryDelayMaxMs;
    const sent = [...queue.out.values()];
    const all = queue.drain();
    this.#giveUp(queue, all);
    for (const { unit, sentMs } of all) {
      if (sentMs !== undefined) continue;
      unit.fetcherOffset += 1;
      this.#advance(unit);
    }
    return sent;
  }

  /** A member that drains begins nothing new; what it has begun is waited for, and copied. */
  #place(unit: Unit): void {
    unit.owners = this.#whereabouts.ownersOf(unit);
    for (const task of unit.tasks) {
      if (!this.#whereabouts.placement.isOnRing(task.owner)) this.#book.dropUnsent(task);
    }
  }

  /** Gives the unit the tasks it can have now, or settles it. */
  #advance(unit: Unit): void {
    if (unit.closed || unit.dueMs > 0) return;
    if (!unit.holders.every((holder) => this.#whereabouts.isSource(holder))) {
      unit.holders = unit.holders.filter((holder) => this.#whereabouts.isSource(holder));
    }
    const isHeld = unit.owners.every((owner) => unit.holders.includes(owner));
    if (isHeld && unit.owners.length >= this.#shape.replicaCount) {
      this.close(unit);
      this.#onSettled(unit);
      return;
    }
    const free = this.#whereabouts.freeOwnersOf(unit);
    if (unit.index === METADATA_ONLY_INDEX) {
      for (const owner of free) this.#book.enqueue(unit, owner, 'record', []);
    } else if (unit.holders.length === 0) {
      if (unit.tasks.every(({ kind }) => kind === 'follow')) this.#beginFetch(unit, free);
    } else {
      const sources = this.#whereabouts.reachable(unit.holders);
      const kind = lacksSum(unit) ? 'fetch' : 'copy';
      if (sources.length > 0)
        for (const owner of free) this.#book.enqueue(unit, owner, kind, sources);
    }
  }

  #beginFetch(unit: Unit, free: readonly PeerId[]): void {
    const fetcher = this.#fetchers.choose(unit, free);
    if (!fetcher) return;
    const { peer, kind, isMoved } = fetcher;
    // Why: what it followed has come to nothing, and it is about to say so.
    if (taskFor(unit, peer)) return;
    this.#book.enqueue(unit, peer, kind, this.#whereabouts.likelyHoldersOf(unit, peer));
    if (isMoved) this.#onMoved(unit);
  }

  #giveUp(queue: OwnerQueue, tasks: readonly TaskRun[]): void {
    this.#book.giveUp(queue, tasks);
    this.#fetchers.gaveUp(queue);
  }
}

/** The one that was to compute what the file is compared by has failed behind those who followed. */
function lacksSum({ file, followed, summed }: Unit): boolean {
  return followed && !summed && file.check !== undefined;
}

function addOnce(unit: Unit, list: 'holders' | 'tried', peer: PeerId): void {
  if (!unit[list].includes(peer)) unit[list] = [...unit[list], peer];
}
