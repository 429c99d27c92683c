/**
 * Who fetches a unit first: its first free owner, unless that one does not keep pace. Then another
 * owner does, or a peer near on the ring that is lent to it, and it copies from there.
 *
 * Owns who is slow and what is lent. Bounded: for a slow owner no more is fetched ahead than it may
 * have out.
 */
import type { PeerId } from '../base/ids.ts';
import type { OwnerQueue } from './owner-queue.ts';
import { NEARLY_DONE_COUNT, type OwnerLoad, type PaceLimits, PaceWatch } from './pace-watch.ts';
import type { Placement } from './placement.ts';
import type { TaskBook } from './task-book.ts';
import { isFirstCopy, type TaskRun, type Unit } from './unit.ts';

/** Tasks that their owner shall give back. */
export interface Recall {
  readonly to: PeerId;
  readonly taskIds: readonly number[];
  readonly alsoRunning: boolean;
}

export interface Fetcher {
  readonly peer: PeerId;
  /** `relay`: it is no owner. */
  readonly kind: 'fetch' | 'relay';
  /** Another one than it would be if all kept pace. */
  readonly isMoved: boolean;
}

/** Fetches that a slow owner keeps at a time when nobody else can do them. */
const SLOW_FETCH_MAX_COUNT = 1;
/**
 * A recall is a message that may be lost: it is said again. Who crawls may hear of it late, on the
 * same line: after this time its tasks are given up.
 */
const RECALL_REPEAT_MS = 2_000;

export class FetcherChoice {
  readonly #book: TaskBook;
  readonly #placement: () => Placement;
  readonly #nearOf: (unit: Unit) => readonly PeerId[];
  readonly #pace: PaceWatch;

  constructor(options: {
    limits: PaceLimits;
    book: TaskBook;
    placement: () => Placement;
    /** The unit's owners, and those that follow on the ring. */
    nearOf: (unit: Unit) => readonly PeerId[];
  }) {
    this.#book = options.book;
    this.#placement = options.placement;
    this.#nearOf = options.nearOf;
    this.#pace = new PaceWatch(options.limits);
  }

  /** @param free owners that could begin now. */
  choose(unit: Unit, free: readonly PeerId[]): Fetcher | undefined {
    this.endLoan(unit);
    const usual = firstOf(unit, free);
    if (usual === undefined) return undefined;
    if (!this.#pace.isSlow(usual)) return { peer: usual, kind: 'fetch', isMoved: false };
    const swift = this.#swiftOwner(unit);
    if (swift !== undefined) return { peer: swift, kind: 'fetch', isMoved: true };
    const queue = this.#book.queueOf(usual);
    const helper = this.#helperOf(unit, queue);
    if (helper === undefined) return { peer: usual, kind: 'fetch', isMoved: false };
    unit.lentFor = usual;
    queue.lend(unit);
    return { peer: helper, kind: 'relay', isMoved: true };
  }

  /** The unit needs no helper any more. */
  endLoan(unit: Unit): void {
    if (unit.lentFor === undefined) return;
    this.#book.queueOf(unit.lentFor).endLoan(unit);
    unit.lentFor = undefined;
  }

  /** Fetches that may be out at that owner. */
  fetchMaxCountOf(owner: PeerId): number {
    return this.#pace.isSlow(owner) ? SLOW_FETCH_MAX_COUNT : Infinity;
  }

  // --- what the owners do ---

  /** The owner was idle and has work out from now on. */
  begin(owner: PeerId, nowMs: number): void {
    this.#pace.begin(owner, nowMs);
  }

  answered(task: TaskRun, stored: boolean, nowMs: number): void {
    if (!isFirstCopy(task)) return;
    const { owner, unit } = task;
    const queue = this.#book.queueOf(owner);
    const count = queue.outFetchCount;
    const isFull = count + 1 >= NEARLY_DONE_COUNT || (count > 0 && queue.peekFetch() !== undefined);
    const storedBytes = stored ? unit.length : undefined;
    this.#pace.answered(owner, { storedBytes, isIdle: count === 0, isFull }, nowMs);
  }

  /** What the owner had was given up. */
  gaveUp({ owner, outFetchCount }: OwnerQueue): void {
    if (outFetchCount === 0) this.#pace.forgive(owner);
  }

  /**
   * Looks who does not keep pace, and spares slow owners what others can do.
   * @param move takes a task that still waits, or is given up, for somebody else.
   * @returns what they shall give back.
   */
  takeRecalls(nowMs: number, move: (task: TaskRun) => void): Recall[] {
    this.#pace.judge(this.#loads(), nowMs);
    const recalls: Recall[] = [];
    for (const queue of this.#book.queues()) {
      const level = this.#pace.levelOf(queue.owner);
      if (level === 'steady') continue;
      this.#moveWaiting(queue, move);
      const alsoRunning = level === 'crawling';
      const tasks = this.#recallOut(queue, nowMs);
      if (tasks.length === 0) continue;
      recalls.push({ to: queue.owner, taskIds: tasks.map(({ id }) => id), alsoRunning });
      for (const task of tasks) {
        if (alsoRunning && task.recalledMs !== undefined) move(task);
        task.recalledMs = nowMs;
      }
    }
    return recalls;
  }

  #loads(): ReadonlyMap<PeerId, OwnerLoad> {
    const loads = new Map<PeerId, OwnerLoad>();
    for (const { owner, load } of this.#book.queues()) {
      if (load && this.#placement().isReachable(owner)) loads.set(owner, load);
    }
    return loads;
  }

  #moveWaiting(queue: OwnerQueue, move: (task: TaskRun) => void): void {
    for (let task = queue.peekFetch(); task; task = queue.peekFetch()) {
      const { unit } = task;
      if (!this.#swiftOwner(unit) && !this.#helperOf(unit, queue)) return;
      move(task);
    }
  }

  /** Fetches that are out and that somebody else can do, as far as there are peers to lend. */
  #recallOut(queue: OwnerQueue, nowMs: number): TaskRun[] {
    const tasks: TaskRun[] = [];
    let room = queue.windowTasks - queue.loanCount;
    for (const task of queue.out.values()) {
      const { unit, kind, recalledMs } = task;
      if (kind !== 'fetch' || unit.closed) continue;
      if (!this.#swiftOwner(unit)) {
        if (room <= 0 || !this.#helperOf(unit, queue)) continue;
        room -= 1;
      }
      if (recalledMs !== undefined && nowMs - recalledMs < RECALL_REPEAT_MS) continue;
      tasks.push(task);
    }
    return tasks;
  }

  /** The owner that fetches while others are slow. */
  #swiftOwner(unit: Unit): PeerId | undefined {
    return firstOf(
      unit,
      unit.owners.filter((owner) => this.#isSwift(owner)),
    );
  }

  /** A peer that fetches for owners that are all slow. */
  #helperOf(unit: Unit, slow: OwnerQueue): PeerId | undefined {
    if (!unit.mayLend || !slow.mayLend(unit)) return undefined;
    return this.#nearOf(unit).find((peer) => !unit.owners.includes(peer) && this.#isSwift(peer));
  }

  #isSwift(peer: PeerId): boolean {
    return this.#placement().isReachable(peer) && !this.#pace.isSlow(peer);
  }
}

/** The first free owner from the unit's offset on: it stays the same while others come and go. */
function firstOf(unit: Unit, free: readonly PeerId[]): PeerId | undefined {
  const { owners, fetcherOffset } = unit;
  for (let step = 0; step < owners.length; step += 1) {
    const owner = owners[(fetcherOffset + step) % owners.length];
    if (owner !== undefined && free.includes(owner)) return owner;
  }
  return undefined;
}
