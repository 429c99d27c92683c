/**
 * Assigns units to owners: the first reachable owner fetches, the others copy from it, and what
 * fails is tried again within a budget.
 *
 * Owns the open units and the owners' queues of one pass. It decides, but does not send: the
 * job run takes batches out of it. Invariant: a unit without holders has at most one task, so that
 * a segment is fetched from the UFS once.
 */
import type { PeerId } from '../base/ids.ts';
import { jitter, type Random } from '../base/random.ts';
import { OwnerQueue, type TaskRun } from './owner-queue.ts';
import type { Placement } from './placement.ts';
import { METADATA_ONLY_INDEX } from './protocol.ts';
import { backoffMs } from './retry-policy.ts';
import type { Unit } from './unit.ts';

export interface AssignerLimits {
  /** Tasks and bytes out per owner before its first acknowledgement says otherwise. */
  readonly windowTasks: number;
  readonly windowBytes: number;
  readonly batchSize: number;
  readonly retryDelayMs: number;
  readonly retryDelayMaxMs: number;
  /** An owner that answers nothing for so long while tasks are out is passed over. */
  readonly answerTimeoutMs: number;
}

export interface AssignerShape {
  readonly replicaCount: number;
  readonly segmented: boolean;
  /** Ask the peers that may hold a segment before the UFS: set in verification passes. */
  readonly askPeersFirst: boolean;
}

export interface OwnerBatch {
  readonly to: PeerId;
  readonly tasks: readonly TaskRun[];
}

const THROTTLE_MIN = 1 / 64;
const THROTTLE_STEP_MS = 500;

export class Assigner {
  readonly #limits: AssignerLimits;
  readonly #shape: AssignerShape;
  readonly #random: Random;
  readonly #onSettled: (unit: Unit) => void;
  #placement: Placement;
  #nextTaskId = 1;
  #throttle = 1;
  #throttleChangedMs = 0;
  readonly #units = new Set<Unit>();
  readonly #tasks = new Map<number, TaskRun>();
  readonly #queues = new Map<PeerId, OwnerQueue>();
  /** Units that wait for their next attempt. */
  readonly #resting = new Set<Unit>();

  constructor(options: {
    limits: AssignerLimits;
    shape: AssignerShape;
    placement: Placement;
    random: Random;
    /** Called once for each unit that all its owners hold. */
    onSettled: (unit: Unit) => void;
  }) {
    this.#limits = options.limits;
    this.#shape = options.shape;
    this.#placement = options.placement;
    this.#random = options.random;
    this.#onSettled = options.onSettled;
  }

  get openUnitCount(): number {
    return this.#units.size;
  }

  get restingCount(): number {
    return this.#resting.size;
  }

  outCountOf(peer: PeerId): number {
    return this.#queues.get(peer)?.out.size ?? 0;
  }

  open(unit: Unit): void {
    this.#units.add(unit);
    this.#place(unit);
    this.#advance(unit);
  }

  /** Gives a unit up; answers to its outstanding tasks still count towards inventories. */
  close(unit: Unit): void {
    unit.closed = true;
    this.#units.delete(unit);
    this.#resting.delete(unit);
    for (const task of unit.tasks.values()) {
      if (!task.sent) this.#tasks.delete(task.id);
    }
  }

  unitsOf(file: Unit['file']): Unit[] {
    return [...this.#units].filter((unit) => unit.file === file);
  }

  /** A new ring, or a change of who can be reached. */
  setPlacement(placement: Placement): void {
    const before = this.#placement;
    const ringChanged = placement.epoch !== before.epoch;
    this.#placement = placement;
    if (!ringChanged && !this.#reachabilityChanged(before)) return;
    for (const queue of this.#queues.values()) {
      if (!placement.isReachable(queue.owner)) this.#forgetTasks(queue);
    }
    for (const unit of this.#units) {
      if (ringChanged) this.#place(unit);
      this.#advance(unit);
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
    const units = this.#forgetTasks(queue);
    for (const unit of units) this.#advance(unit);
  }

  /** Tasks to send now, at most one batch an owner. */
  takeBatches(nowMs: number): OwnerBatch[] {
    const batches: OwnerBatch[] = [];
    for (const queue of this.#queues.values()) {
      if (nowMs < queue.blockedUntilMs || !this.#placement.isReachable(queue.owner)) continue;
      const wasIdle = queue.out.size === 0;
      const tasks = queue.takeBatch(this.#limits.batchSize, this.#throttle);
      if (tasks.length === 0) continue;
      if (wasIdle) queue.lastAnswerMs = nowMs;
      for (const task of tasks) task.unit.file.inflightCount += 1;
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
    for (const id of taskIds) {
      const task = this.#tasks.get(id);
      if (!task) continue;
      this.#forget(queue, task);
      this.#advance(task.unit);
    }
  }

  /** Takes the task an answer is for; undefined when it was given up meanwhile. */
  takeAnswered(from: PeerId, taskId: number, nowMs: number): TaskRun | undefined {
    const task = this.#tasks.get(taskId);
    if (task?.owner !== from) return undefined;
    const queue = this.#queueOf(from);
    queue.lastAnswerMs = nowMs;
    this.#forget(queue, task);
    return task;
  }

  /** `task.owner` holds the unit now. */
  addHolder(task: TaskRun): void {
    task.unit.holders.add(task.owner);
    if (!task.unit.closed) this.#advance(task.unit);
  }

  /** Tries the unit again later; with `elsewhere` another owner fetches. */
  retryLater(unit: Unit, nowMs: number, elsewhere: boolean): void {
    unit.attempts += 1;
    if (elsewhere) unit.fetcherOffset += 1;
    const delayMs = backoffMs(
      unit.attempts,
      this.#limits.retryDelayMs,
      this.#limits.retryDelayMaxMs,
    );
    unit.dueMs = nowMs + jitter(this.#random, delayMs);
    this.#resting.add(unit);
  }

  /** The under store asked to slow down: all owners get a smaller window. */
  slowDown(nowMs: number): void {
    if (nowMs - this.#throttleChangedMs < THROTTLE_STEP_MS) return;
    this.#throttle = Math.max(THROTTLE_MIN, this.#throttle / 2);
    this.#throttleChangedMs = nowMs;
  }

  /** Wakes units whose rest is over, recovers from throttling, finds owners that fell silent. */
  tick(nowMs: number): void {
    if (this.#throttle < 1 && nowMs - this.#throttleChangedMs >= THROTTLE_STEP_MS) {
      this.#throttle = Math.min(1, this.#throttle * 1.25);
      this.#throttleChangedMs = nowMs;
    }
    for (const unit of this.#resting) {
      if (unit.dueMs > nowMs) continue;
      unit.dueMs = 0;
      this.#resting.delete(unit);
      this.#advance(unit);
    }
    for (const queue of this.#queues.values()) {
      const silentMs = nowMs - queue.lastAnswerMs;
      if (queue.out.size === 0 || silentMs < this.#limits.answerTimeoutMs) continue;
      for (const unit of this.#forgetTasks(queue)) this.retryLater(unit, nowMs, true);
    }
  }

  #place(unit: Unit): void {
    const segment = {
      path: unit.file.object.path,
      index: Math.max(0, unit.index),
      segmented: this.#shape.segmented,
    };
    unit.owners = this.#placement.ownersOf(segment, this.#shape.replicaCount);
    for (const holder of unit.holders) {
      if (!this.#placement.isOnRing(holder)) unit.holders.delete(holder);
    }
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
      for (const owner of free) this.#enqueue(unit, owner, []);
      return;
    }
    if (unit.holders.size === 0) {
      const fetcher = free[unit.fetcherOffset % Math.max(1, free.length)];
      if (unit.tasks.size === 0 && fetcher !== undefined) {
        this.#enqueue(
          unit,
          fetcher,
          this.#shape.askPeersFirst ? this.#likelyHolders(unit, fetcher) : [],
        );
      }
      return;
    }
    const sources = [...unit.holders].filter((holder) => this.#placement.isReachable(holder));
    if (sources.length === 0) return;
    for (const owner of free) this.#enqueue(unit, owner, sources);
  }

  /** Peers where a segment may already lie: its owners and the next ones on the ring. */
  #likelyHolders(unit: Unit, except: PeerId): PeerId[] {
    const segment = {
      path: unit.file.object.path,
      index: unit.index,
      segmented: this.#shape.segmented,
    };
    const near = this.#placement.ownersOf(segment, this.#shape.replicaCount + 2);
    return near.filter((peer) => peer !== except && this.#placement.isReachable(peer));
  }

  #enqueue(unit: Unit, owner: PeerId, sources: readonly PeerId[]): void {
    const task: TaskRun = {
      id: this.#nextTaskId++,
      unit,
      owner,
      sources,
      attempt: unit.attempts,
      sent: false,
    };
    this.#tasks.set(task.id, task);
    unit.tasks.set(owner, task);
    this.#queueOf(owner).waiting.push(task);
  }

  #forget(queue: OwnerQueue, task: TaskRun): void {
    if (queue.settle(task)) task.unit.file.inflightCount -= 1;
    this.#tasks.delete(task.id);
    if (task.unit.tasks.get(task.owner) === task) task.unit.tasks.delete(task.owner);
  }

  /** Empties the queue; returns the open units that lost a task. */
  #forgetTasks(queue: OwnerQueue): Unit[] {
    const units: Unit[] = [];
    for (const task of queue.drain()) {
      if (task.sent) task.unit.file.inflightCount -= 1;
      this.#tasks.delete(task.id);
      if (task.unit.tasks.get(task.owner) === task) task.unit.tasks.delete(task.owner);
      if (!task.unit.closed) units.push(task.unit);
    }
    return units;
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
