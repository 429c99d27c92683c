/**
 * Tasks of an owner, of all jobs: what waits, what runs, and how much of it at once.
 *
 * Copies go before fetches: a segment that one peer alone has is lost with that peer. What follows
 * the fetch of another peer has places of its own: it is as slow as that one, and must not keep what
 * this peer can do from its turn.
 */
import { UrgentFirst } from './fifo.ts';
import type { Order } from './order.ts';
import type { Task, TaskBatch } from './protocol.ts';

export interface TaskQueueLimits {
  /** Tasks that run at once, all jobs together; and as many that follow. */
  readonly parallelTasks: number;
  /** Bytes of the segments that are loaded at once; one always may. And as many that follow. */
  readonly parallelBytes: number;
}

export interface QueuedTask {
  readonly order: Order;
  readonly batch: TaskBatch;
  readonly task: Task;
}

export class TaskQueue {
  readonly #work: Places;
  readonly #following: Places;

  /** @param run never rejects. */
  constructor(limits: TaskQueueLimits, run: (queued: QueuedTask) => Promise<void>) {
    this.#work = new Places(limits, run);
    this.#following = new Places(limits, run);
  }

  /** Tasks that wait or run. */
  get pendingCount(): number {
    return this.#work.pendingCount + this.#following.pendingCount;
  }

  add(order: Order, batch: TaskBatch): void {
    for (const task of batch.tasks) {
      const places = task.follows === true ? this.#following : this.#work;
      places.push({ order, batch, task });
    }
    this.#work.startTasks();
    this.#following.startTasks();
  }

  /** Takes these tasks of the order out, as far as they wait. */
  takeBack(order: Order, taskIds: ReadonlySet<number>): QueuedTask[] {
    return [this.#work, this.#following].flatMap((places) => places.takeBack(order, taskIds));
  }

  /** Nothing of it is begun any more. */
  clear(): void {
    this.#work.clear();
    this.#following.clear();
  }
}

class Places {
  readonly #limits: TaskQueueLimits;
  readonly #run: (queued: QueuedTask) => Promise<void>;
  readonly #waiting = new UrgentFirst<QueuedTask>();
  #runningCount = 0;
  #runningBytes = 0;

  constructor(limits: TaskQueueLimits, run: (queued: QueuedTask) => Promise<void>) {
    this.#limits = limits;
    this.#run = run;
  }

  get pendingCount(): number {
    return this.#waiting.length + this.#runningCount;
  }

  push(queued: QueuedTask): void {
    this.#waiting.push(queued, queued.task.copy);
  }

  takeBack(order: Order, taskIds: ReadonlySet<number>): QueuedTask[] {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    const taken: QueuedTask[] = [];
    for (const queued of waiting) {
      if (queued.order === order && taskIds.has(queued.task.id)) taken.push(queued);
      else this.push(queued);
    }
    this.startTasks();
    return taken;
  }

  clear(): void {
    this.#waiting.clear();
  }

  startTasks(): void {
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
        this.startTasks();
      });
    }
  }
}
