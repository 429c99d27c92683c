/**
 * Which owners do not keep pace with the others, judged by what the leader sees of them. Pure.
 *
 * An owner is slow when the others, at the rate that they showed, would have done several times
 * what it did in the same time, and when it has had some work for so long that it matters. Why not
 * by how much work is out: copies pile up at an owner that is busy with slow fetches, and would
 * excuse it. Why twice in a row: after a stall of this process the answers that came meanwhile are
 * still unread, and must not be held against anybody.
 */
import type { PeerId } from '../base/ids.ts';

export interface PaceLimits {
  /** Work that is out for less is never too old. */
  readonly slowAfterMs: number;
}

/** What one owner has out. */
export interface OwnerLoad {
  readonly oldestSentMs: number;
  readonly bytes: number;
  readonly count: number;
}

/** How often the time that the others would need may pass. */
const PATIENCE_FACTOR = 4;
/** Answers after which an owner's rate says something. */
const SAMPLE_MIN_COUNT = 4;
/** What is left of an answer's weight after each one that follows: some ten answers count. */
const WEIGHT_KEPT = 0.9;
/** Tasks that may be nearly done: an owner works on many at a time, and may end them together. */
const NEARLY_DONE_COUNT = 16;
/** A slow owner is given full work again after this time, the next time after twice as much. */
const REST_MS = 30_000;
const REST_MAX_MS = 600_000;

interface Pace {
  /** Undefined while nothing is out. */
  countedToMs: number | undefined;
  /** Of the last answers: the time with work out before them, and what they stored. */
  busyMs: number;
  bytes: number;
  count: number;
  answeredCount: number;
  suspected: boolean;
  /** Undefined while it keeps pace. */
  slowUntilMs: number | undefined;
  restMs: number;
}

export class PaceWatch {
  readonly #limits: PaceLimits;
  readonly #paces = new Map<PeerId, Pace>();

  constructor(limits: PaceLimits) {
    this.#limits = limits;
  }

  isSlow(owner: PeerId): boolean {
    return this.#paces.get(owner)?.slowUntilMs !== undefined;
  }

  /** The owner was idle and has work out from now on. */
  begin(owner: PeerId, nowMs: number): void {
    this.#paceOf(owner).countedToMs = nowMs;
  }

  /**
   * @param storedBytes undefined: the task failed, which says nothing about the owner's rate.
   * @param isIdle nothing is out any more.
   */
  answered(owner: PeerId, storedBytes: number | undefined, nowMs: number, isIdle: boolean): void {
    const pace = this.#paceOf(owner);
    pace.busyMs += nowMs - (pace.countedToMs ?? nowMs);
    pace.countedToMs = isIdle ? undefined : nowMs;
    if (storedBytes === undefined) return;
    pace.busyMs *= WEIGHT_KEPT;
    pace.bytes = (pace.bytes + storedBytes) * WEIGHT_KEPT;
    pace.count = (pace.count + 1) * WEIGHT_KEPT;
    pace.answeredCount += 1;
  }

  /** Nothing of the owner is out any more, and not because it answered. */
  forgive(owner: PeerId): void {
    const pace = this.#paceOf(owner);
    pace.countedToMs = undefined;
    pace.suspected = false;
  }

  /** Asked at every tick, of owners that have work out. */
  judge(owner: PeerId, load: OwnerLoad, nowMs: number): void {
    const pace = this.#paceOf(owner);
    if (pace.slowUntilMs !== undefined) {
      if (nowMs >= pace.slowUntilMs) pace.slowUntilMs = undefined;
      return;
    }
    const isLate = this.#isLate(owner, load, nowMs);
    const wasSuspected = pace.suspected;
    pace.suspected = isLate;
    if (!isLate || !wasSuspected) return;
    pace.suspected = false;
    pace.slowUntilMs = nowMs + pace.restMs;
    pace.restMs = Math.min(REST_MAX_MS, pace.restMs * 2);
  }

  #isLate(owner: PeerId, load: OwnerLoad, nowMs: number): boolean {
    if (nowMs - load.oldestSentMs <= this.#limits.slowAfterMs) return false;
    const pace = this.#paceOf(owner);
    const busyMs = pace.busyMs + nowMs - (pace.countedToMs ?? nowMs);
    const bytes = pace.bytes + (NEARLY_DONE_COUNT * load.bytes) / load.count;
    const count = pace.count + NEARLY_DONE_COUNT;
    return busyMs > PATIENCE_FACTOR * this.#othersMs(owner, bytes, count);
  }

  /** How long the others would need for so much; infinite when nothing is known of them. */
  #othersMs(owner: PeerId, bytes: number, count: number): number {
    const others = [...this.#paces].filter(
      ([peer, { answeredCount, slowUntilMs }]) =>
        peer !== owner && answeredCount >= SAMPLE_MIN_COUNT && slowUntilMs === undefined,
    );
    if (others.length === 0) return Infinity;
    // Why the longer of the two: rates of small objects say little about large ones, and the reverse.
    const byBytes = bytes * median(others.map(([, pace]) => pace.busyMs / Math.max(1, pace.bytes)));
    const byCount = count * median(others.map(([, pace]) => pace.busyMs / Math.max(1, pace.count)));
    return Math.max(byBytes, byCount);
  }

  #paceOf(owner: PeerId): Pace {
    let pace = this.#paces.get(owner);
    if (!pace) {
      pace = {
        countedToMs: undefined,
        busyMs: 0,
        bytes: 0,
        count: 0,
        answeredCount: 0,
        suspected: false,
        slowUntilMs: undefined,
        restMs: REST_MS,
      };
      this.#paces.set(owner, pace);
    }
    return pace;
  }
}

/** The higher of the middle two: in doubt the others are taken for slower. */
function median(values: number[]): number {
  values.sort((a, b) => a - b);
  return values[Math.floor(values.length / 2)] ?? Infinity;
}
