/**
 * The tasks of one pass: what waits for whom, what is out, and what was given up and may be done
 * all the same. Ids only grow.
 */
import type { PeerId } from '../base/ids.ts';
import { OwnerQueue } from './owner-queue.ts';
import { type TaskKind, type TaskRun, type Unit, without } from './unit.ts';

export interface AnsweredTask {
  readonly task: TaskRun;
  /** It was given up meanwhile: a success counts, a failure concerns nobody any more. */
  readonly isLate: boolean;
}

/** Tasks given up whose late answers are still understood; the oldest are forgotten first. */
const LOST_MAX_COUNT = 16_384;

export class TaskBook {
  readonly #window: { readonly windowTasks: number; readonly windowBytes: number };
  #nextTaskId: number;
  /** Tasks that were sent, given up, and may be done all the same. Oldest first. */
  readonly #lost = new Map<number, TaskRun>();
  readonly #queues = new Map<PeerId, OwnerQueue>();

  /** @param window what may be out at an owner that has not said otherwise. */
  constructor(
    firstTaskId: number,
    window: { readonly windowTasks: number; readonly windowBytes: number },
  ) {
    this.#nextTaskId = firstTaskId;
    this.#window = window;
  }

  /** Higher than the id of every task so far. */
  get nextTaskId(): number {
    return this.#nextTaskId;
  }

  queues(): Iterable<OwnerQueue> {
    return this.#queues.values();
  }

  knownQueueOf(owner: PeerId): OwnerQueue | undefined {
    return this.#queues.get(owner);
  }

  queueOf(owner: PeerId): OwnerQueue {
    let queue = this.#queues.get(owner);
    if (!queue) {
      queue = new OwnerQueue(owner, this.#window.windowTasks, this.#window.windowBytes);
      this.#queues.set(owner, queue);
    }
    return queue;
  }

  enqueue(unit: Unit, owner: PeerId, kind: TaskKind, sources: readonly PeerId[]): void {
    const task = {
      id: this.#nextTaskId++,
      kind,
      unit,
      owner,
      sources,
      attempt: unit.attempts,
      sentMs: undefined,
      recalledMs: undefined,
    };
    unit.tasks = [...unit.tasks, task];
    this.queueOf(owner).push(task);
  }

  /** Those of the tasks that are out there. */
  outOf(owner: PeerId, ids: readonly number[]): TaskRun[] {
    const out = this.#queues.get(owner)?.out;
    return ids.flatMap((id) => out?.get(id) ?? []);
  }

  /** Takes the task that an answer is for; undefined when nothing is known of it any more. */
  takeAnswered(from: PeerId, id: number): AnsweredTask | undefined {
    const queue = this.#queues.get(from);
    const task = queue?.out.get(id);
    if (queue && task) {
      this.#forget(queue, task);
      return { task, isLate: false };
    }
    const lost = this.#lost.get(id);
    if (lost?.owner !== from) return undefined;
    this.#lost.delete(id);
    return { task: lost, isLate: true };
  }

  /** A task that only waits is not needed any more; its queue passes over it. */
  dropUnsent(task: TaskRun): void {
    if (task.sentMs !== undefined) return;
    forgetIn(task);
  }

  /** Tasks that nobody waits for any more, though their owner may still do them. */
  giveUp(queue: OwnerQueue, tasks: readonly TaskRun[]): void {
    for (const task of tasks) {
      if (!task.unit.tasks.includes(task)) continue;
      this.#forget(queue, task);
      if (task.sentMs !== undefined) this.#lost.set(task.id, task);
    }
    for (const id of this.#lost.keys()) {
      if (this.#lost.size <= LOST_MAX_COUNT) return;
      this.#lost.delete(id);
    }
  }

  /** No answer to a task that was given up comes from there any more. */
  forgetLostOf(peer: PeerId): void {
    for (const [id, task] of this.#lost) if (task.owner === peer) this.#lost.delete(id);
  }

  #forget(queue: OwnerQueue, task: TaskRun): void {
    queue.settle(task);
    if (task.sentMs !== undefined) task.unit.file.inflightCount -= 1;
    forgetIn(task);
  }
}

function forgetIn(task: TaskRun): void {
  const { unit } = task;
  unit.tasks = without(unit.tasks, task);
}
