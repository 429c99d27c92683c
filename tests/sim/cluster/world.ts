/** What all parts of one simulated run share. */
import type { Chance } from '../raft/chance.ts';
import type { VirtualTime } from '../raft/virtual-time.ts';
import type { FaultAction } from './plan.ts';
import type { History } from './history.ts';
import type { Life } from './life.ts';
import type { RuleWatch } from './rule-watch.ts';
import type { SimWeather } from './sim-weather.ts';
import type { SimUfs } from './sim-ufs.ts';

/** A defect for the checkers to find; `plant` gives back how to remove it. */
export interface PlantedBug {
  readonly name: string;
  readonly plant?: () => () => void;
  /** Shows with faults of this kind. */
  readonly favours?: FaultAction['kind'];
  /** The under store serves what it has, whatever version was asked for. */
  readonly ignoresVersions?: boolean;
}

export class Violation extends Error {
  readonly invariant: string;

  constructor(invariant: string, message: string) {
    super(`${invariant}: ${message}`);
    this.invariant = invariant;
  }
}

export class World {
  readonly seed: number;
  readonly time: VirtualTime;
  readonly bug: PlantedBug | undefined;
  readonly counts = new Map<string, number>();
  network!: SimWeather;
  ufs!: SimUfs;
  history!: History;
  rules!: RuleWatch;
  /** Of the run: where its objects lie. */
  roots: readonly string[] = [];
  /** For latencies and sector losses of all disks. */
  disks!: Chance;
  /** Whether clients read that path now, or did a moment ago. */
  isReadLately: (path: string) => boolean = () => false;
  violation: Violation | undefined;
  checkCount = 0;
  /** What is under way outside of a process: it ends, or the process does. */
  readonly #open = new Set<{ readonly what: string; readonly life: Life }>();
  /** Lines of what happened, when somebody wants to read them. */
  readonly log: ((line: string) => void) | undefined;
  #trace = 0x811c9dc5;

  constructor(options: {
    seed: number;
    time: VirtualTime;
    bug: PlantedBug | undefined;
    log: ((line: string) => void) | undefined;
  }) {
    this.seed = options.seed;
    this.time = options.time;
    this.bug = options.bug;
    this.log = options.log;
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  /** Adds to the trace by which two runs are compared. */
  note(kind: string, value: number): void {
    let hash = this.#trace;
    for (const part of [kind.length, kind.charCodeAt(0), value, this.time.nowMs * 1000]) {
      hash = Math.imul(hash ^ (part | 0), 0x01000193);
    }
    this.#trace = hash >>> 0;
  }

  get trace(): number {
    return this.#trace;
  }

  /** Evaluates one check. */
  check(invariant: string, isHeld: boolean, message: () => string): void {
    this.checkCount += 1;
    this.count(`check.${invariant}`);
    if (isHeld) return;
    this.violated(invariant, message());
  }

  violated(invariant: string, message: string): void {
    this.violation ??= new Violation(invariant, message);
    this.say(`VIOLATION ${invariant}: ${message}`);
  }

  /** Something of a process begins; the returned function ends it. */
  begins(what: string, life: Life): () => void {
    const open = { what, life };
    this.#open.add(open);
    return () => {
      this.#open.delete(open);
    };
  }

  /** What has not ended of processes that run. */
  openNow(): string[] {
    return [...this.#open].flatMap(({ what, life }) => (life.isOver ? [] : [what]));
  }

  say(line: string): void {
    this.log?.(`${(this.time.nowMs / 1000).toFixed(3).padStart(9)} ${line}`);
  }
}
