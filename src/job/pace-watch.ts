/**
 * Which owners do not keep pace with the others, judged by their fetches as the leader sees them:
 * a copy is as slow as its source. Pure.
 *
 * An owner is behind when it needs much longer for the work that it has out than the others for
 * theirs: what it has not begun is better done by them. It crawls when the others, at the rate
 * that they showed, would have done several times what it did in the same time: what it has begun
 * is better given up, too. Why twice in a row: after a stall of this process the answers that came
 * meanwhile are still unread, and must not be held against anybody.
 */
import type { PeerId } from '../base/ids.ts';
import { type Amount, RecentWork, timeFor, type Work } from './recent-work.ts';

export interface PaceLimits {
  /** Work that is out for less is never too old. */
  readonly slowAfterMs: number;
}

/** What one owner has out. */
export interface OwnerLoad extends Amount {
  readonly oldestSentMs: number;
}

export interface Answer {
  /** Undefined: the task failed. */
  readonly storedBytes: number | undefined;
  /** Nothing is out any more. */
  readonly isIdle: boolean;
  /** It had as much out as it can work on at a time. */
  readonly isFull: boolean;
}

/** From good to bad. */
const LEVELS = ['steady', 'behind', 'crawling'] as const;

export type PaceLevel = (typeof LEVELS)[number];

/** How often the time that the others would need may pass. */
const PATIENCE_FACTOR = 4;
/** Answers after which an owner's rate says something. */
const SAMPLE_MIN_COUNT = 4;
/** Tasks that may be nearly done: an owner works on many at a time, and may end them together. */
export const NEARLY_DONE_COUNT = 16;
/** A slow owner is given full work again after this time, the next time after twice as much. */
const REST_MS = 30_000;
const REST_MAX_MS = 600_000;
/** Or when it did so much, in at most so many times as long as the others need. */
const RECOVERED_COUNT = 10;
const RECOVERED_FACTOR = 2;

interface Pace {
  /** Undefined while nothing is out. */
  countedToMs: number | undefined;
  readonly recent: RecentWork;
  /** While it had as much as it can do: where little is left to do, time says little. */
  readonly atFull: RecentWork;
  /** How it looked the last time. */
  seen: PaceLevel;
  level: PaceLevel;
  slowUntilMs: number;
  restMs: number;
  /** Of all its answers, those before it was found slow. */
  answeredBeforeCount: number;
}

export class PaceWatch {
  readonly #limits: PaceLimits;
  readonly #paces = new Map<PeerId, Pace>();

  constructor(limits: PaceLimits) {
    this.#limits = limits;
  }

  levelOf(owner: PeerId): PaceLevel {
    return this.#paces.get(owner)?.level ?? 'steady';
  }

  isSlow(owner: PeerId): boolean {
    return this.levelOf(owner) !== 'steady';
  }

  /** The owner was idle and has work out from now on. */
  begin(owner: PeerId, nowMs: number): void {
    this.#paceOf(owner).countedToMs = nowMs;
  }

  answered(owner: PeerId, { storedBytes, isIdle, isFull }: Answer, nowMs: number): void {
    const pace = this.#paceOf(owner);
    const passedMs = nowMs - (pace.countedToMs ?? nowMs);
    pace.countedToMs = isIdle ? undefined : nowMs;
    pace.recent.add(passedMs, storedBytes);
    if (isFull) pace.atFull.add(passedMs, storedBytes);
  }

  /** Nothing of the owner is out any more, and not because it answered. */
  forgive(owner: PeerId): void {
    const pace = this.#paceOf(owner);
    pace.countedToMs = undefined;
    pace.seen = 'steady';
  }

  /** Asked at every tick, with all owners that have work out. */
  judge(loads: ReadonlyMap<PeerId, OwnerLoad>, nowMs: number): void {
    for (const [owner, pace] of this.#paces) {
      if (pace.level === 'steady') continue;
      if (nowMs >= pace.slowUntilMs || this.#hasRecovered(owner, nowMs)) pace.level = 'steady';
    }
    for (const owner of loads.keys()) {
      const pace = this.#paceOf(owner);
      const before = pace.seen;
      pace.seen = this.#look(owner, loads, nowMs);
      const level = LEVELS[Math.min(LEVELS.indexOf(before), LEVELS.indexOf(pace.seen))];
      if (!level || LEVELS.indexOf(level) <= LEVELS.indexOf(pace.level)) continue;
      if (pace.level === 'steady') {
        pace.slowUntilMs = nowMs + pace.restMs;
        pace.restMs = Math.min(REST_MAX_MS, pace.restMs * 2);
        pace.answeredBeforeCount = pace.recent.answeredCount;
      }
      pace.level = level;
    }
  }

  #look(owner: PeerId, loads: ReadonlyMap<PeerId, OwnerLoad>, nowMs: number): PaceLevel {
    const load = loads.get(owner);
    if (!load || nowMs - load.oldestSentMs <= this.#limits.slowAfterMs) return 'steady';
    const others = this.#othersOf(owner);
    // Why: where most are slow, or nobody is known, none is slower than usual.
    if (others.length <= this.#slowCountBut(owner)) return 'steady';
    const done = this.#doneBy(owner, nowMs);
    const nearly = {
      bytes: done.bytes + (NEARLY_DONE_COUNT * load.bytes) / load.count,
      count: done.count + NEARLY_DONE_COUNT,
    };
    const needed = others.map(([, work]) => timeFor(nearly, work));
    if (done.busyMs > PATIENCE_FACTOR * median(needed)) return 'crawling';
    const restMs = timeFor(load, { ...nearly, busyMs: done.busyMs });
    const rests = others.map(([peer, work]) => timeFor(loads.get(peer), work));
    const isBehind = restMs > this.#limits.slowAfterMs + PATIENCE_FACTOR * median(rests);
    return isBehind ? 'behind' : 'steady';
  }

  /** What it had begun when it was found slow came as quickly as from others. */
  #hasRecovered(owner: PeerId, nowMs: number): boolean {
    const { recent, answeredBeforeCount } = this.#paceOf(owner);
    if (recent.answeredCount - answeredBeforeCount < RECOVERED_COUNT) return false;
    const others = this.#othersOf(owner);
    const done = this.#doneBy(owner, nowMs);
    const needed = others.map(([, work]) => timeFor(done, work));
    return done.busyMs <= RECOVERED_FACTOR * median(needed);
  }

  /** With the time that passed since. */
  #doneBy(owner: PeerId, nowMs: number): Work {
    const { recent, countedToMs = nowMs } = this.#paceOf(owner);
    const { busyMs, ...done } = recent.sum;
    return { ...done, busyMs: busyMs + nowMs - countedToMs };
  }

  /** Those that keep pace, as far as is known, and what they can do. */
  #othersOf(owner: PeerId): (readonly [PeerId, Work])[] {
    return [...this.#paces].flatMap(([peer, { recent, atFull, level }]) => {
      if (peer === owner || level !== 'steady') return [];
      const shown = atFull.answeredCount < SAMPLE_MIN_COUNT ? recent : atFull;
      return shown.answeredCount < SAMPLE_MIN_COUNT ? [] : [[peer, shown.sum] as const];
    });
  }

  #slowCountBut(owner: PeerId): number {
    let count = 0;
    for (const [peer, { level }] of this.#paces) {
      if (peer !== owner && level !== 'steady') count += 1;
    }
    return count;
  }

  #paceOf(owner: PeerId): Pace {
    let pace = this.#paces.get(owner);
    if (!pace) {
      pace = {
        countedToMs: undefined,
        recent: new RecentWork(),
        atFull: new RecentWork(),
        seen: 'steady',
        level: 'steady',
        slowUntilMs: 0,
        restMs: REST_MS,
        answeredBeforeCount: 0,
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
