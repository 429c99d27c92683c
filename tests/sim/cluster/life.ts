/**
 * One life of a simulated process: everything that reaches it goes through here, so that it can be
 * paused, and end at any moment between two of its operations on the outside world.
 */
import type { Clock, Timer } from '../../../src/base/clock.ts';
import type { VirtualTime } from '../raft/virtual-time.ts';

export interface LifeOptions {
  readonly time: VirtualTime;
  /** How fast its monotonic clock runs. */
  readonly clockRate: number;
  readonly wallOffsetMs: () => number;
  /** Ends the process: its fuse burned down. */
  readonly onFuse: () => void;
}

/** 2023-11-14: some day. */
const WALL_ORIGIN_MS = 1_700_000_000_000;

export class Life {
  readonly clock: Clock;
  readonly #options: LifeOptions;
  /** Rejects when the process ends, as the connections of its clients do. */
  readonly ended: Promise<never>;
  /** Timers that are set. */
  timerCount = 0;
  #isOver = false;
  #isPaused = false;
  #backlog: (() => void)[] = [];
  #fuse = Number.POSITIVE_INFINITY;
  #tellEnd!: (error: Error) => void;

  constructor(options: LifeOptions) {
    this.#options = options;
    this.ended = new Promise((_resolve, reject) => {
      this.#tellEnd = reject;
    });
    this.ended.catch(() => undefined);
    const { time, clockRate, wallOffsetMs } = options;
    this.clock = {
      nowMs: () => time.nowMs * clockRate,
      wallMs: () => Math.round(WALL_ORIGIN_MS + time.nowMs + wallOffsetMs()),
      setTimer: (delayMs, callback) => this.#setTimer(delayMs / clockRate, callback),
    };
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Something from outside reaches the process: now, after its pause, or never. */
  deliver(action: () => void): void {
    if (this.#isOver) return;
    if (this.#isPaused) this.#backlog.push(action);
    else action();
  }

  /** The process begins something that others can see; false when it is dead, maybe just now. */
  begin(): boolean {
    if (this.#isOver) return false;
    this.#fuse -= 1;
    if (this.#fuse > 0) return true;
    this.#options.onFuse();
    return false;
  }

  /** Ends after so many operations more. */
  lightFuse(operations: number): void {
    this.#fuse = operations;
  }

  pause(): void {
    this.#isPaused = true;
  }

  /** What came meanwhile comes all at once. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const action of backlog) this.deliver(action);
  }

  end(): void {
    this.#isOver = true;
    this.#backlog = [];
    this.#tellEnd(new Error('the process ended'));
  }

  #setTimer(delayMs: number, callback: () => void): Timer {
    let isSet = true;
    this.timerCount += 1;
    const unset = (): boolean => {
      if (!isSet) return false;
      isSet = false;
      this.timerCount -= 1;
      return true;
    };
    const timer = this.#options.time.after(delayMs, () => {
      this.deliver(() => {
        if (unset()) callback();
      });
    });
    return {
      cancel: () => {
        if (unset()) timer.cancel();
      },
    };
  }
}
