/** Tasks bound for one owner: what waits, what is out, and how much may be out. */
import type { PeerId } from '../base/ids.ts';
import { UrgentFirst } from './fifo.ts';
import type { TaskRun } from './unit.ts';

/** Paths of a batch may take so much text, so that no frame comes near its limit. */
const BATCH_TEXT_MAX_LENGTH = 1024 * 1024;

export class OwnerQueue {
  readonly owner: PeerId;
  /**
   * Copies go before fetches: what only one peer has is lost with that peer, and until the last
   * copy is made no checkpoint counts the file.
   */
  readonly waiting = new UrgentFirst<TaskRun>();
  readonly out = new Map<number, TaskRun>();
  #outBytes = 0;
  windowTasks: number;
  windowBytes: number;
  /** No batch before this time: the last one was refused or lost. */
  blockedUntilMs = 0;
  /** When the owner last said anything about the job, or was given work after a pause. */
  lastHeardMs = 0;

  constructor(owner: PeerId, windowTasks: number, windowBytes: number) {
    this.owner = owner;
    this.windowTasks = windowTasks;
    this.windowBytes = windowBytes;
  }

  /**
   * Takes the next batch out of the queue, within the window scaled by `throttle` (0 to 1) and at
   * most `maxCount` tasks. One task always fits an empty window, however large.
   */
  takeBatch(maxCount: number, throttle: number, nowMs: number): TaskRun[] {
    const batch: TaskRun[] = [];
    let textLength = 0;
    const taskRoom = Math.max(1, Math.floor(this.windowTasks * throttle));
    const byteRoom = this.windowBytes * throttle;
    while (batch.length < maxCount && this.out.size < taskRoom) {
      const next = this.waiting.peek();
      if (!next) break;
      if (next.unit.closed || next.unit.tasks.get(this.owner) !== next) {
        this.waiting.shift();
        continue;
      }
      if (textLength > BATCH_TEXT_MAX_LENGTH) break;
      if (next.unit.file !== batch.at(-1)?.unit.file) {
        textLength += next.unit.file.object.path.length;
      }
      if (this.out.size > 0 && this.#outBytes + next.unit.length > byteRoom) break;
      this.waiting.shift();
      next.sentMs = nowMs;
      this.out.set(next.id, next);
      this.#outBytes += next.unit.length;
      batch.push(next);
    }
    return batch;
  }

  /** The task was answered or given up. False when it was not out. */
  settle(task: TaskRun): boolean {
    if (!this.out.delete(task.id)) return false;
    this.#outBytes -= task.unit.length;
    return true;
  }

  /** Tasks that were sent before `beforeMs` and are still out, oldest first. */
  outSince(beforeMs: number): TaskRun[] {
    const old: TaskRun[] = [];
    for (const task of this.out.values()) {
      if (task.sentMs === undefined || task.sentMs > beforeMs) break;
      old.push(task);
    }
    return old;
  }

  /** Everything, out and waiting, for reassignment. */
  drain(): TaskRun[] {
    const tasks = [...this.out.values(), ...this.waiting];
    this.out.clear();
    this.waiting.clear();
    this.#outBytes = 0;
    return tasks;
  }
}
