/**
 * Which owners do not keep pace with the others, judged by what the leader sees of them. Pure.
 *
 * An owner is behind when it needs much longer for the work that it has out than the others for
 * theirs: what it has not begun is better done by them. It crawls when the others, at the rate
 * that they showed, would have done several times what it did in the same time: what it has begun
 * is better given up, too. Why twice in a row: after a stall of this process the answers that came
 * meanwhile are still unread, and must not be held against anybody.
 */
import type { PeerId } from '../base/ids.ts';

export interface PaceLimits {
  /** Work that is out for less is never too old. */
  readonly slowAfterMs: number;
}

interface Amount {
  readonly bytes: number;
  readonly count: number;
}

/** What one owner has out. */
export interface OwnerLoad extends Amount {
  readonly oldestSentMs: number;
}

/** From good to bad. */
const LEVELS = ['steady', 'behind', 'crawling'] as const;

export type PaceLevel = (typeof LEVELS)[number];

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

/** What was stored, and the time with work out that it took. */
interface Work {
  busyMs: number;
  bytes: number;
  count: number;
}

interface Pace {
  /** Undefined while nothing is out. */
  countedToMs: number | undefined;
  /** Of answers that came before the last ones, weighed by their age. */
  earlier: Work;
  /** Of the answers that came last, all at once: their time belongs to all of them. */
  latest: Work;
  answeredCount: number;
  /** How it looked the last time. */
  seen: PaceLevel;
  level: PaceLevel;
  slowUntilMs: number;
  restMs: number;
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

  /**
   * @param storedBytes undefined: the task failed, which says nothing about the owner's rate.
   * @param isIdle nothing is out any more.
   */
  answered(owner: PeerId, storedBytes: number | undefined, nowMs: number, isIdle: boolean): void {
    const pace = this.#paceOf(owner);
    const passedMs = nowMs - (pace.countedToMs ?? nowMs);
    pace.countedToMs = isIdle ? undefined : nowMs;
    if (passedMs > 0 && pace.latest.count > 0) {
      pace.earlier = recentWork(pace);
      pace.latest = noWork();
    }
    pace.latest.busyMs += passedMs;
    if (storedBytes === undefined) return;
    pace.latest.bytes += storedBytes;
    pace.latest.count += 1;
    pace.answeredCount += 1;
  }

  /** Nothing of the owner is out any more, and not because it answered. */
  forgive(owner: PeerId): void {
    const pace = this.#paceOf(owner);
    pace.countedToMs = undefined;
    pace.seen = 'steady';
  }

  /** Asked at every tick, with all owners that have work out. */
  judge(loads: ReadonlyMap<PeerId, OwnerLoad>, nowMs: number): void {
    for (const pace of this.#paces.values()) {
      if (nowMs >= pace.slowUntilMs) pace.level = 'steady';
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
      }
      pace.level = level;
    }
  }

  #look(owner: PeerId, loads: ReadonlyMap<PeerId, OwnerLoad>, nowMs: number): PaceLevel {
    const load = loads.get(owner);
    if (!load || nowMs - load.oldestSentMs <= this.#limits.slowAfterMs) return 'steady';
    const others = this.#othersOf(owner);
    if (others.length === 0) return 'steady';
    const pace = this.#paceOf(owner);
    const done = recentWork(pace);
    const busyMs = done.busyMs + nowMs - (pace.countedToMs ?? nowMs);
    const bytes = done.bytes + (NEARLY_DONE_COUNT * load.bytes) / load.count;
    const count = done.count + NEARLY_DONE_COUNT;
    const needed = others.map(([, other]) => timeFor({ bytes, count }, recentWork(other)));
    if (busyMs > PATIENCE_FACTOR * median(needed)) return 'crawling';
    const restMs = timeFor(load, { busyMs, bytes, count });
    const rests = others.map(([peer, other]) => timeFor(loads.get(peer), recentWork(other)));
    const isBehind = restMs > this.#limits.slowAfterMs + PATIENCE_FACTOR * median(rests);
    return isBehind ? 'behind' : 'steady';
  }

  /** Those that keep pace, as far as is known. */
  #othersOf(owner: PeerId): (readonly [PeerId, Pace])[] {
    return [...this.#paces].filter(
      ([peer, { answeredCount, level }]) =>
        peer !== owner && answeredCount >= SAMPLE_MIN_COUNT && level === 'steady',
    );
  }

  #paceOf(owner: PeerId): Pace {
    let pace = this.#paces.get(owner);
    if (!pace) {
      pace = {
        countedToMs: undefined,
        earlier: noWork(),
        latest: noWork(),
        answeredCount: 0,
        seen: 'steady',
        level: 'steady',
        slowUntilMs: 0,
        restMs: REST_MS,
      };
      this.#paces.set(owner, pace);
    }
    return pace;
  }
}

function noWork(): Work {
  return { busyMs: 0, bytes: 0, count: 0 };
}

function recentWork({ earlier, latest }: Pace): Work {
  const kept = WEIGHT_KEPT ** latest.count;
  return {
    busyMs: earlier.busyMs * kept + latest.busyMs,
    bytes: earlier.bytes * kept + latest.bytes,
    count: earlier.count * kept + latest.count,
  };
}

/**
 * How long who did `done` needs for so much. Why the longer of the two: rates of small objects say
 * little about large ones, and the reverse.
 */
function timeFor(wanted: Amount | undefined, done: Work): number {
  if (!wanted) return 0;
  const byBytes = (wanted.bytes * done.busyMs) / Math.max(1, done.bytes);
  return Math.max(byBytes, (wanted.count * done.busyMs) / Math.max(1, done.count));
}

/** The higher of the middle two: in doubt the others are taken for slower. */
function median(values: number[]): number {
  values.sort((a, b) => a - b);
  return values[Math.floor(values.length / 2)] ?? Infinity;
}
