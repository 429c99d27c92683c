/**
 * Tasks of an owner, of all jobs: what waits, what runs, and how much of it at once.
 *
 * Copies go before fetches: a segment that one peer alone has is lost with that peer.
 */
import { UrgentFirst } from './fifo.ts';
import type { Order } from './order.ts';
import type { Task, TaskBatch } from './protocol.ts';

export interface TaskQueueLimits {
  /** Tasks that run at once, all jobs together. */
  readonly parallelTasks: number;
  /** Bytes of the segments that are loaded at once; one always may. */
  readonly parallelBytes: number;
}

export interface QueuedTask {
  readonly order: Order;
  readonly batch: TaskBatch;
  readonly task: Task;
}

export class TaskQueue {
  readonly #limits: TaskQueueLimits;
  readonly #run: (queued: QueuedTask) => Promise<void>;
  readonly #waiting = new UrgentFirst<QueuedTask>();
  #runningCount = 0;
  #runningBytes = 0;

  /** @param run never rejects. */
  constructor(limits: TaskQueueLimits, run: (queued: QueuedTask) => Promise<void>) {
    this.#limits = limits;
    this.#run = run;
  }

  /** Tasks that wait or run. */
  get pendingCount(): number {
    return this.#waiting.length + this.#runningCount;
  }

  add(order: Order, batch: TaskBatch): void {
    for (const task of batch.tasks) this.#waiting.push({ order, batch, task }, task.copy);
    this.#startTasks();
  }

  /** Takes these tasks of the order out, as far as they wait. */
  takeBack(order: Order, taskIds: ReadonlySet<number>): QueuedTask[] {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    const taken: QueuedTask[] = [];
    for (const queued of waiting) {
      if (queued.order === order && taskIds.has(queued.task.id)) taken.push(queued);
      else this.#waiting.push(queued, queued.task.copy);
    }
    this.#startTasks();
    return taken;
  }

  /** Nothing of it is begun any more. */
  clear(): void {
    this.#waiting.clear();
  }

  #startTasks(): void {
    const { parallelTasks, parallelBytes } = this.#limits;
    for (let next = this.#waiting.peek(); next; next = this.#waiting.peek()) {
      if (next.order.abandoned) {
        this.#waiting.shift();
        continue;
      }
      const { length } = next.task;
      const fits = this.#runningBytes === 0 || this.#runningBytes + length <= parallelBytes;
      if (this.#runningCount >= parallelTasks || !fits) return;
      this.#waiting.shift();
      this.#runningCount += 1;
      this.#runningBytes += length;
      void this.#run(next).finally(() => {
        this.#runningCount -= 1;
        this.#runningBytes -= length;
        this.#startTasks();
      });
    }
  }
}
