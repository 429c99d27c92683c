/** Tasks bound for one owner: what waits, what is out, and how much may be out. */
import type { PeerId } from '../base/ids.ts';
import { Fifo } from './fifo.ts';
import type { OwnerLoad } from './pace-watch.ts';
import { isFirstCopy, type TaskRun, type Unit } from './unit.ts';

/** Paths of a batch may take so much text, so that no frame comes near its limit. */
const BATCH_TEXT_MAX_LENGTH = 1024 * 1024;
/**
 * What copies may take of a window while fetches wait: their sources may be slow, which must not
 * keep everybody who copies from there from everything else.
 */
const COPY_SHARE = 0.75;

export class OwnerQueue {
  readonly owner: PeerId;
  /**
   * Copies go before fetches: what only one peer has is lost with that peer, and until the last
   * copy is made no checkpoint counts the file.
   */
  readonly #copies = new Fifo<TaskRun>();
  readonly #fetches = new Fifo<TaskRun>();
  readonly out = new Map<number, TaskRun>();
  #outBytes = 0;
  #outFetchBytes = 0;
  #outFetchCount = 0;
  #outFollowCount = 0;
  #loanCount = 0;
  #loanBytes = 0;
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

  push(task: TaskRun): void {
    (task.kind === 'fetch' ? this.#fetches : this.#copies).push(task);
  }

  /** Fetches that are out. */
  get outFetchCount(): number {
    return this.#outFetchCount;
  }

  /** The fetches that are out; undefined when none is. */
  get load(): OwnerLoad | undefined {
    if (this.#outFetchCount === 0) return undefined;
    for (const task of this.out.values()) {
      if (!isFirstCopy(task) || task.sentMs === undefined) continue;
      const [bytes, count] = [this.#outFetchBytes, this.#outFetchCount];
      return { oldestSentMs: task.sentMs, bytes, count };
    }
    return undefined;
  }

  /** False: there is nothing to send. */
  get hasWaiting(): boolean {
    return this.#copies.length > 0 || this.#fetches.length > 0;
  }

  /** The first fetch that still waits. */
  peekFetch(): TaskRun | undefined {
    return this.#head(this.#fetches);
  }

  /** Units that others fetch for this owner, and that it has not yet. */
  get loanCount(): number {
    return this.#loanCount;
  }

  /** Whether others may fetch one more: what they fetch ahead stays within the window. */
  mayLend({ length }: Unit): boolean {
    if (this.#loanCount === 0) return true;
    return this.#loanCount < this.windowTasks && this.#loanBytes + length <= this.windowBytes;
  }

  lend({ length }: Unit): void {
    this.#loanCount += 1;
    this.#loanBytes += length;
  }

  endLoan({ length }: Unit): void {
    this.#loanCount -= 1;
    this.#loanBytes -= length;
  }

  /**
   * Takes the next batch out of the queue, within the window scaled by `throttle` (0 to 1) and at
   * most `maxCount` tasks, with no more than `fetchMaxCount` fetches out. One task always fits an
   * empty window, however large.
   */
  takeBatch(
    { maxCount, fetchMaxCount }: { readonly maxCount: number; readonly fetchMaxCount: number },
    throttle: number,
    nowMs: number,
  ): TaskRun[] {
    const batch: TaskRun[] = [];
    let textLength = 0;
    const taskRoom = Math.max(1, Math.floor(this.windowTasks * throttle));
    const byteRoom = this.windowBytes * throttle;
    while (batch.length < maxCount && this.out.size < taskRoom) {
      const next = this.#peek(fetchMaxCount, taskRoom, byteRoom);
      if (!next) break;
      if (textLength > BATCH_TEXT_MAX_LENGTH) break;
      if (next.unit.file !== batch.at(-1)?.unit.file) {
        textLength += next.unit.file.object.path.length;
      }
      if (!this.#fits(next, byteRoom)) break;
      if (next.kind === 'fetch') this.#fetches.shift();
      else this.#copies.shift();
      next.sentMs = nowMs;
      this.out.set(next.id, next);
      this.#count(next, 1);
      batch.push(next);
    }
    return batch;
  }

  /** The task was answered or given up. False when it was not out. */
  settle(task: TaskRun): boolean {
    if (!this.out.delete(task.id)) return false;
    this.#count(task, -1);
    return true;
  }

  /** What follows a fetch takes no room: how much of it there is, the windows of others bound. */
  #fits({ kind, unit }: TaskRun, byteRoom: number): boolean {
    if (kind === 'follow' || this.out.size === this.#outFollowCount) return true;
    return this.#outBytes + unit.length <= byteRoom;
  }

  #count(task: TaskRun, sign: 1 | -1): void {
    if (task.kind === 'follow') {
      this.#outFollowCount += sign;
      return;
    }
    const bytes = sign * task.unit.length;
    this.#outBytes += bytes;
    if (!isFirstCopy(task)) return;
    this.#outFetchBytes += bytes;
    this.#outFetchCount += sign;
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
    const tasks = [...this.out.values(), ...this.#fetches, ...this.#copies];
    this.out.clear();
    this.#fetches.clear();
    this.#copies.clear();
    this.#outBytes = 0;
    this.#outFetchBytes = 0;
    this.#outFetchCount = 0;
    this.#outFollowCount = 0;
    return tasks;
  }

  #peek(fetchMaxCount: number, taskRoom: number, byteRoom: number): TaskRun | undefined {
    const copy = this.#head(this.#copies);
    const mayFetch = this.#outFetchCount < fetchMaxCount;
    if (copy && !(mayFetch && this.#isFullOfCopies(taskRoom, byteRoom))) return copy;
    return (mayFetch ? this.#head(this.#fetches) : undefined) ?? copy;
  }

  #isFullOfCopies(taskRoom: number, byteRoom: number): boolean {
    const count = this.out.size - this.#outFollowCount - this.#outFetchCount;
    const bytes = this.#outBytes - this.#outFetchBytes;
    return count >= COPY_SHARE * taskRoom || bytes >= COPY_SHARE * byteRoom;
  }

  /** Passes over what is not wanted any more. */
  #head(tasks: Fifo<TaskRun>): TaskRun | undefined {
    let next = tasks.peek();
    while (next && (next.unit.closed || !next.unit.tasks.includes(next))) {
      tasks.shift();
      next = tasks.peek();
    }
    return next;
  }
}
