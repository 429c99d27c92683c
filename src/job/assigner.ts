/**
 * Assigns units to owners: the first reachable owner fetches, the others copy from it, and what
 * fails is tried again within a budget. An owner that does not keep pace is spared its fetches:
 * another owner, or a peer lent to it, fetches first, and it copies from there.
 *
 * Owns the open units and the owners' queues of one pass. It decides, but does not send: the
 * job run takes batches out of it. Invariant: a unit without holders has at most one task, so that
 * a segment is fetched from the UFS once.
 */
import type { PeerId } from '../base/ids.ts';
import { jitter, type Random } from '../base/random.ts';
import type { FileRun } from './file-run.ts';
import { OwnerQueue } from './owner-queue.ts';
import { type OwnerLoad, type PaceLimits, PaceWatch } from './pace-watch.ts';
import type { Placement } from './placement.ts';
import { METADATA_ONLY_INDEX } from './protocol.ts';
import { backoffMs } from './retry-policy.ts';
import { Throttle } from './throttle.ts';
import type { TaskKind, TaskRun, Unit } from './unit.ts';

export interface AssignerLimits extends PaceLimits {
  /** Tasks and bytes out per owner before its first acknowledgement says otherwise. */
  readonly windowTasks: number;
  readonly windowBytes: number;
  readonly batchSize: number;
  readonly retryDelayMs: number;
  readonly retryDelayMaxMs: number;
  /** An owner that says nothing for so long while tasks are out is passed over. */
  readonly answerTimeoutMs: number;
}

export interface AssignerShape {
  readonly replicaCount: number;
  readonly segmented: boolean;
  /** Most tasks in one batch, if less than the limits allow. */
  readonly batchSize: number;
}

/** Tasks that their owner shall give back. */
export interface Recall {
  readonly to: PeerId;
  readonly taskIds: readonly number[];
  readonly alsoRunning: boolean;
}

export interface OwnerBatch {
  readonly to: PeerId;
  readonly tasks: readonly TaskRun[];
}

export interface AnsweredTask {
  readonly task: TaskRun;
  /** It was given up meanwhile: a success counts, a failure concerns nobody any more. */
  readonly isLate: boolean;
}

/** Tasks given up whose late answers are still understood; the oldest are forgotten first. */
const LOST_MAX_COUNT = 16_384;
/** Fetches that a slow owner keeps at a time when nobody else can do them. */
const SLOW_FETCH_MAX_COUNT = 1;
/** A recall is a message that may be lost: it is said again. */
const RECALL_REPEAT_MS = 2_000;

export class Assigner {
  readonly #limits: AssignerLimits;
  readonly #shape: AssignerShape;
  readonly #random: Random;
  readonly #onSettled: (unit: Unit) => void;
  readonly #onMoved: (unit: Unit) => void;
  readonly #pace: PaceWatch;
  readonly #throttle = new Throttle();
  #placement: Placement;
  #askPeersFirst: boolean;
  #nextTaskId: number;
  readonly #units = new Map<FileRun, Set<Unit>>();
  #openUnitCount = 0;
  readonly #tasks = new Map<number, TaskRun>();
  /** Tasks that were sent, given up, and may be done all the same. Oldest first. */
  readonly #lost = new Map<number, TaskRun>();
  readonly #queues = new Map<PeerId, OwnerQueue>();
  /** Units that wait for their next attempt. */
  readonly #resting = new Set<Unit>();

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
    this.#placement = options.placement;
    this.#random = options.random;
    this.#nextTaskId = options.firstTaskId;
    this.#askPeersFirst = options.askPeersFirst;
    this.#onSettled = options.onSettled;
    this.#onMoved = options.onMoved;
    this.#pace = new PaceWatch(options.limits);
  }

  get openUnitCount(): number {
    return this.#openUnitCount;
  }

  get restingCount(): number {
    return this.#resting.size;
  }

  /** Higher than the id of every task so far. */
  get nextTaskId(): number {
    return this.#nextTaskId;
  }

  outCountOf(peer: PeerId): number {
    return this.#queues.get(peer)?.out.size ?? 0;
  }

  open(unit: Unit): void {
    let units = this.#units.get(unit.file);
    if (!units) this.#units.set(unit.file, (units = new Set()));
    units.add(unit);
    this.#openUnitCount += 1;
    this.#place(unit);
    this.#advance(unit);
  }

  /** Gives a unit up; answers to its outstanding tasks still count towards inventories. */
  close(unit: Unit): void {
    if (unit.closed) return;
    unit.closed = true;
    this.#openUnitCount -= 1;
    this.#resting.delete(unit);
    this.#endLoan(unit);
    const units = this.#units.get(unit.file);
    units?.delete(unit);
    if (units?.size === 0) this.#units.delete(unit.file);
    for (const task of unit.tasks.values()) this.#dropUnsent(task);
  }

  closeAll(file: FileRun): void {
    for (const unit of [...(this.#units.get(file) ?? [])]) this.close(unit);
  }

  /** A new ring, or a change of who can be reached. */
  setPlacement(placement: Placement): void {
    const before = this.#placement;
    const ringChanged = placement.epoch !== before.epoch;
    this.#placement = placement;
    if (!ringChanged && !this.#reachabilityChanged(before)) return;
    if (ringChanged) this.#askPeersFirst = true;
    for (const queue of this.#queues.values()) {
      if (!placement.isReachable(queue.owner)) this.#giveUp(queue, queue.drain());
    }
    for (const units of this.#units.values()) {
      for (const unit of [...units]) {
        if (ringChanged) this.#place(unit);
        this.#advance(unit);
      }
    }
  }

  #reachabilityChanged(before: Placement): boolean {
    for (const peer of this.#queues.keys()) {
      if (before.isReachable(peer) !== this.#placement.isReachable(peer)) return true;
    }
    return before.reachableCount !== this.#placement.reachableCount;
  }

  /** The process of `peer` ended: whatever was out there may or may not have been done. */
  losePeer(peer: PeerId): void {
    const queue = this.#queues.get(peer);
    if (!queue) return;
    const tasks = queue.drain();
    this.#giveUp(queue, tasks);
    for (const [id, task] of this.#lost) if (task.owner === peer) this.#lost.delete(id);
    for (const { unit } of tasks) this.#advance(unit);
  }

  /** Tasks to send now, at most one batch an owner. */
  takeBatches(nowMs: number): OwnerBatch[] {
    const batches: OwnerBatch[] = [];
    const maxCount = Math.min(this.#limits.batchSize, this.#shape.batchSize);
    for (const queue of this.#queues.values()) {
      if (nowMs < queue.blockedUntilMs || !this.#placement.isReachable(queue.owner)) continue;
      const wasIdle = queue.out.size === 0;
      const fetchMaxCount = this.#pace.isSlow(queue.owner) ? SLOW_FETCH_MAX_COUNT : Infinity;
      const tasks = queue.takeBatch({ maxCount, fetchMaxCount }, this.#throttle.share, nowMs);
      if (tasks.length === 0) continue;
      if (wasIdle) {
        queue.lastHeardMs = nowMs;
        this.#pace.begin(queue.owner, nowMs);
      }
      for (const task of tasks) {
        task.unit.file.inflightCount += 1;
        task.unit.tried.add(queue.owner);
      }
      batches.push({ to: queue.owner, tasks });
    }
    return batches;
  }

  /** The owner took the batch, and grants this window from now on. */
  acknowledge(to: PeerId, window: { windowTasks: number; windowBytes: number }): void {
    const queue = this.#queueOf(to);
    queue.windowTasks = window.windowTasks;
    queue.windowBytes = window.windowBytes;
  }

  /** The batch was refused or may be lost: its tasks go back, the owner rests a little. */
  returnBatch(to: PeerId, taskIds: readonly number[], nowMs: number): void {
    const queue = this.#queueOf(to);
    queue.blockedUntilMs = nowMs + this.#limits.retryDelayMs;
    const tasks = taskIds.flatMap((id) => this.#tasks.get(id) ?? []);
    this.#giveUp(queue, tasks);
    for (const { unit } of tasks) this.#advance(unit);
  }

  /** The owner works on what it was given, or says something else about the job. */
  hear(from: PeerId, nowMs: number): void {
    this.#queueOf(from).lastHeardMs = nowMs;
  }

  /** Takes the task that an answer is for; undefined when nothing is known of it any more. */
  takeAnswered(
    from: PeerId,
    taskId: number,
    { stored, nowMs }: { readonly stored: boolean; readonly nowMs: number },
  ): AnsweredTask | undefined {
    const lost = this.#lost.get(taskId);
    if (lost?.owner === from) {
      this.#lost.delete(taskId);
      return { task: lost, isLate: true };
    }
    const task = this.#tasks.get(taskId);
    if (task?.owner !== from) return undefined;
    const queue = this.#queueOf(from);
    this.#forget(queue, task);
    const isIdle = queue.out.size === 0;
    this.#pace.answered(from, stored ? task.unit.length : undefined, nowMs, isIdle);
    task.unit.tried.delete(from);
    return { task, isLate: false };
  }

  /** `task.owner` holds the unit now. */
  addHolder(task: TaskRun): void {
    const { unit, owner } = task;
    // Why: who has left the ring is reached by nobody's order; waiting for it as a source has no end.
    if (this.#placement.isOnRing(owner)) unit.holders.add(owner);
    const again = unit.tasks.get(owner);
    if (again) this.#dropUnsent(again);
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
    this.#rest(unit, unit.attempts, nowMs);
  }

  /** Tries the unit again later; the under store asked for it, so no attempt is used up. */
  waitForStore(unit: Unit, nowMs: number): void {
    unit.throttledCount += 1;
    this.#rest(unit, unit.throttledCount, nowMs);
  }

  #rest(unit: Unit, timesCount: number, nowMs: number): void {
    const { retryDelayMs, retryDelayMaxMs } = this.#limits;
    unit.dueMs = nowMs + jitter(this.#random, backoffMs(timesCount, retryDelayMs, retryDelayMaxMs));
    this.#resting.add(unit);
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
    for (const unit of this.#resting) {
      if (unit.dueMs > nowMs) continue;
      unit.dueMs = 0;
      this.#resting.delete(unit);
      this.#advance(unit);
    }
    const silent: TaskRun[] = [];
    const { answerTimeoutMs } = this.#limits;
    for (const queue of this.#queues.values()) {
      if (queue.out.size === 0) continue;
      if (nowMs - queue.lastHeardMs >= answerTimeoutMs) {
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
    this.#pace.judge(this.#loads(), nowMs);
    const recalls: Recall[] = [];
    for (const queue of this.#queues.values()) {
      const level = this.#pace.levelOf(queue.owner);
      if (level === 'steady') continue;
      this.#moveWaiting(queue);
      const taskIds = this.#recallOut(queue, nowMs);
      const alsoRunning = level === 'crawling';
      if (taskIds.length > 0) recalls.push({ to: queue.owner, taskIds, alsoRunning });
    }
    return recalls;
  }

  #loads(): ReadonlyMap<PeerId, OwnerLoad> {
    const loads = new Map<PeerId, OwnerLoad>();
    for (const { owner, load } of this.#queues.values()) {
      if (load && this.#placement.isReachable(owner)) loads.set(owner, load);
    }
    return loads;
  }

  #moveWaiting(queue: OwnerQueue): void {
    for (let task = queue.peekFetch(); task; task = queue.peekFetch()) {
      const { unit } = task;
      if (!this.#swiftOwner(unit) && !this.#helperOf(unit, queue)) return;
      this.#dropUnsent(task);
      this.#advance(unit);
    }
  }

  /** Fetches that are out and that somebody else can do, as far as there are peers to lend. */
  #recallOut(queue: OwnerQueue, nowMs: number): number[] {
    const taskIds: number[] = [];
    let room = queue.windowTasks - queue.loanCount;
    for (const task of queue.out.values()) {
      const { unit, kind, recalledMs } = task;
      if (kind !== 'fetch' || unit.closed) continue;
      if (!this.#swiftOwner(unit)) {
        if (room <= 0 || !this.#helperOf(unit, queue)) continue;
        room -= 1;
      }
      if (recalledMs !== undefined && nowMs - recalledMs < RECALL_REPEAT_MS) continue;
      task.recalledMs = nowMs;
      taskIds.push(task.id);
    }
    return taskIds;
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

  #place(unit: Unit): void {
    unit.owners = this.#ownersOf(unit, this.#shape.replicaCount);
    for (const holder of unit.holders) {
      if (!this.#placement.isOnRing(holder)) unit.holders.delete(holder);
    }
  }

  #ownersOf(unit: Unit, count: number): readonly PeerId[] {
    const { path } = unit.file.object;
    const { segmented } = this.#shape;
    return this.#placement.ownersOf({ path, index: Math.max(0, unit.index), segmented }, count);
  }

  /** Gives the unit the tasks it can have now, or settles it. */
  #advance(unit: Unit): void {
    if (unit.closed || unit.dueMs > 0) return;
    const missing = unit.owners.filter((owner) => !unit.holders.has(owner));
    if (missing.length === 0 && unit.owners.length >= this.#shape.replicaCount) {
      this.close(unit);
      this.#onSettled(unit);
      return;
    }
    const free = missing.filter(
      (owner) => !unit.tasks.has(owner) && this.#placement.isReachable(owner),
    );
    if (unit.index === METADATA_ONLY_INDEX) {
      for (const owner of free) this.#enqueue(unit, owner, 'record', []);
    } else if (unit.holders.size === 0) {
      if (unit.tasks.size === 0) this.#beginFetch(unit, free);
    } else {
      const sources = this.#reachable(unit.holders);
      if (sources.length > 0) for (const owner of free) this.#enqueue(unit, owner, 'copy', sources);
    }
  }

  #beginFetch(unit: Unit, free: readonly PeerId[]): void {
    this.#endLoan(unit);
    const usual = chooseFetcher(unit, free);
    if (usual === undefined) return;
    const enqueue = (peer: PeerId, kind: TaskKind): void => {
      this.#enqueue(unit, peer, kind, this.#likelyHolders(unit, peer));
      if (peer !== usual) this.#onMoved(unit);
    };
    const swift = this.#pace.isSlow(usual) ? this.#swiftOwner(unit) : usual;
    if (swift !== undefined) {
      enqueue(swift, 'fetch');
      return;
    }
    const queue = this.#queueOf(usual);
    const helper = this.#helperOf(unit, queue);
    if (helper === undefined) {
      enqueue(usual, 'fetch');
      return;
    }
    unit.lentFor = usual;
    queue.lend(unit);
    enqueue(helper, 'relay');
  }

  /** The owner that fetches while others are slow. */
  #swiftOwner(unit: Unit): PeerId | undefined {
    const swift = this.#reachable(unit.owners).filter((owner) => !this.#pace.isSlow(owner));
    return chooseFetcher(unit, swift);
  }

  /**
   * A peer that fetches for owners that are all slow. Bounded by what the slow one may have out:
   * what it does not take in time is not fetched for it either.
   */
  #helperOf(unit: Unit, slow: OwnerQueue): PeerId | undefined {
    if (!unit.mayLend || !slow.mayLend(unit)) return undefined;
    const near = this.#ownersOf(unit, this.#shape.replicaCount + 2);
    return this.#reachable(near).find(
      (peer) => !unit.owners.includes(peer) && !this.#pace.isSlow(peer),
    );
  }

  #endLoan(unit: Unit): void {
    if (unit.lentFor === undefined) return;
    this.#queueOf(unit.lentFor).endLoan(unit);
    unit.lentFor = undefined;
  }

  /** Peers where a segment may already lie: who never answered, its owners, the next on the ring. */
  #likelyHolders(unit: Unit, except: PeerId): PeerId[] {
    const near = this.#askPeersFirst ? this.#ownersOf(unit, this.#shape.replicaCount + 2) : [];
    return this.#reachable(new Set([...unit.tried, ...near])).filter((peer) => peer !== except);
  }

  #reachable(peers: Iterable<PeerId>): PeerId[] {
    return [...peers].filter((peer) => this.#placement.isReachable(peer));
  }

  #enqueue(unit: Unit, owner: PeerId, kind: TaskKind, sources: readonly PeerId[]): void {
    const id = this.#nextTaskId++;
    const times = { sentMs: undefined, recalledMs: undefined };
    const task = { id, kind, unit, owner, sources, attempt: unit.attempts, ...times };
    this.#tasks.set(id, task);
    unit.tasks.set(owner, task);
    this.#queueOf(owner).push(task);
  }

  /** A task that only waits is not needed any more; its queue passes over it. */
  #dropUnsent(task: TaskRun): void {
    if (task.sentMs !== undefined) return;
    this.#tasks.delete(task.id);
    task.unit.tasks.delete(task.owner);
  }

  #forget(queue: OwnerQueue, task: TaskRun): void {
    queue.settle(task);
    if (task.sentMs !== undefined) task.unit.file.inflightCount -= 1;
    this.#tasks.delete(task.id);
    if (task.unit.tasks.get(task.owner) === task) task.unit.tasks.delete(task.owner);
  }

  /** Tasks that nobody waits for any more, though their owner may still do them. */
  #giveUp(queue: OwnerQueue, tasks: readonly TaskRun[]): void {
    for (const task of tasks) {
      if (!this.#tasks.has(task.id)) continue;
      this.#forget(queue, task);
      if (task.sentMs !== undefined) this.#lost.set(task.id, task);
    }
    if (queue.out.size === 0) this.#pace.forgive(queue.owner);
    for (const id of this.#lost.keys()) {
      if (this.#lost.size <= LOST_MAX_COUNT) return;
      this.#lost.delete(id);
    }
  }

  #queueOf(owner: PeerId): OwnerQueue {
    let queue = this.#queues.get(owner);
    if (!queue) {
      queue = new OwnerQueue(owner, this.#limits.windowTasks, this.#limits.windowBytes);
      this.#queues.set(owner, queue);
    }
    return queue;
  }
}

/** The first free owner from the unit's offset on: it stays the same while others come and go. */
function chooseFetcher(unit: Unit, free: readonly PeerId[]): PeerId | undefined {
  const { owners, fetcherOffset } = unit;
  for (let step = 0; step < owners.length; step += 1) {
    const owner = owners[(fetcherOffset + step) % owners.length];
    if (owner !== undefined && free.includes(owner)) return owner;
  }
  return undefined;
}
