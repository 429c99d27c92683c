/**
 * What is going to happen in a run, drawn from its seed before it begins: the cluster, the objects,
 * what clients ask for, and the faults. A fault names its victim by number or by office, so that
 * the list can be cut down and the rest still means the same.
 */
import { Chance } from '../raft/chance.ts';
import { cachePlanOf } from './plan-rules.ts';
import { START_MS, type ClientAction, type ClientStep, type PlannedFile } from './client-step.ts';
import type { UfsWeather } from './sim-ufs.ts';

export type Mode = 'safety' | 'liveness';

/** A peer by its number, or whoever leads at that moment. */
export type Victim = number | 'leader';

export type FaultAction =
  | { readonly kind: 'kill' | 'powerCut'; readonly victim: Victim; readonly forMs: number }
  /** Ends the process after so many operations more. */
  | {
      readonly kind: 'fuse';
      readonly victim: Victim;
      readonly operations: number;
      readonly forMs: number;
    }
  | { readonly kind: 'killAll'; readonly isPowerCut: boolean; readonly forMs: number }
  | { readonly kind: 'pause'; readonly victim: Victim; readonly forMs: number }
  | { readonly kind: 'wallJump'; readonly victim: Victim; readonly byMs: number }
  | { readonly kind: 'isolate'; readonly victim: Victim; readonly forMs: number }
  | { readonly kind: 'split'; readonly group: readonly number[]; readonly forMs: number }
  /** Directions that carry nothing: one way between two peers, or both ways of some pairs. */
  | {
      readonly kind: 'oneWay' | 'mesh';
      readonly directions: readonly (readonly [number, number])[];
      readonly forMs: number;
    }
  | {
      readonly kind: 'slowLink';
      readonly victim: Victim;
      readonly byMs: number;
      readonly forMs: number;
    }
  | {
      readonly kind: 'badNetwork';
      readonly latencyMs: number;
      readonly resent: number;
      readonly forMs: number;
    }
  | {
      readonly kind: 'hostileNetwork';
      readonly lost: number;
      readonly doubled: number;
      readonly reordered: number;
      readonly forMs: number;
    }
  | { readonly kind: 'rot'; readonly victim: Victim; readonly count: number }
  | {
      readonly kind: 'slowDisk';
      readonly victim: Victim;
      readonly syncMs: number;
      readonly forMs: number;
    }
  | { readonly kind: 'fullDisk'; readonly victim: Victim; readonly forMs: number }
  | { readonly kind: 'badUfs'; readonly weather: Partial<UfsWeather>; readonly forMs: number }
  | { readonly kind: 'deadUfs'; readonly forMs: number }
  | {
      readonly kind: 'change' | 'create' | 'remove';
      readonly root: number;
      readonly file: number;
      readonly sizeBytes: number;
    }
  /** The process ends, and what its cache directory held is gone when it starts again. */
  | { readonly kind: 'wipeCache'; readonly victim: Victim; readonly forMs: number }
  | { readonly kind: 'transfer'; readonly to: number }
  | { readonly kind: 'drain'; readonly victim: Victim }
  | { readonly kind: 'addPeer' };

export type Fault = FaultAction & { readonly atMs: number };

export interface Plan {
  readonly mode: Mode;
  readonly peerCount: number;
  readonly electionTicks: number;
  readonly regionCount: number;
  readonly stormMs: number;
  /** Of the under store, at most, as long as nothing is wrong with it. */
  readonly ufsLatencyMs: number;
  readonly files: readonly PlannedFile[];
  readonly steps: readonly ClientStep[];
  readonly faults: readonly Fault[];
}

const FAULT_KIND_COUNT = 25;
const FAVOURED_WEIGHT = 18;
/** Of runs: those whose listings lag behind. */
const LYING_SHARE = 0.12;
/** Of runs: those that lose power while a disk is slow. */
const TEARING_SHARE = 0.2;
/** So few regions do not hold what is loaded. */
export const SMALL_REGION_COUNT = 2;

/** @param favours the kind of which there are more than of the others; default: some, by chance. */
export function planOf(seed: number, mode: Mode, favours?: FaultAction['kind']): Plan {
  return new Planner(seed, mode, favours).plan();
}

/** How often, of all, and what. */
type Draw = readonly [number, FaultAction['kind'], () => FaultAction];

class Planner {
  readonly #seed: number;
  readonly #chance: Chance;
  readonly #faultChance: Chance;
  /** For what was thought of later: what a seed drew before stays as it was. */
  readonly #laterChance: Chance;
  readonly #mode: Mode;
  readonly #isCalm: boolean;
  readonly #peerCount: number;
  readonly #rootCount: number;
  readonly #stormMs: number;
  readonly #favours: FaultAction['kind'] | undefined;
  /** Kinds of faults that this run has more of: what comes once seldom meets itself. */
  readonly #favoured: ReadonlySet<number>;

  constructor(seed: number, mode: Mode, favours: FaultAction['kind'] | undefined) {
    this.#seed = seed;
    this.#favours = favours;
    this.#chance = new Chance(seed, 1);
    this.#faultChance = new Chance(seed, 2);
    this.#laterChance = new Chance(seed, 11);
    this.#mode = mode;
    // What costs nothing without faults shows only where there are none.
    this.#isCalm = seed % 12 === 0;
    this.#peerCount = this.#chance.pick([1, 2, 3, 3, 3, 3, 4, 5]) ?? 3;
    this.#rootCount = this.#chance.whole(1, 2);
    this.#stormMs = this.#chance.whole(7, 12) * 1000;
    this.#favoured = new Set([1, 2, 3].map(() => this.#faultChance.whole(0, FAULT_KIND_COUNT - 1)));
  }

  plan(): Plan {
    const chance = this.#chance;
    const isSmallCache = !this.#isCalm && chance.hit(0.12);
    const files = this.#files(isSmallCache ? 40 : chance.whole(4, 24));
    const electionTicks = chance.whole(8, 12);
    const ufsLatencyMs = chance.pick([20, 300, 1000]) ?? 300;
    const steps = this.#steps(files);
    const faults = this.#isCalm ? [] : this.#faults(files);
    const submits = steps.filter((step) => step.kind === 'submit');
    const bounds = { peerCount: this.#peerCount, stormMs: this.#stormMs, files, submits };
    const cache = cachePlanOf(this.#seed, { ...bounds, isSmallCache });
    if (!this.#isCalm) faults.push(...cache.changes);
    return {
      mode: this.#mode,
      peerCount: this.#peerCount,
      electionTicks,
      regionCount: isSmallCache ? SMALL_REGION_COUNT : 6,
      stormMs: this.#stormMs,
      ufsLatencyMs,
      files,
      steps: [...steps, ...cache.steps].sort((a, b) => a.atMs - b.atMs),
      faults: faults.sort((a, b) => a.atMs - b.atMs),
    };
  }

  #files(count: number): PlannedFile[] {
    const chance = this.#chance;
    const files: PlannedFile[] = [];
    for (let root = 0; root < this.#rootCount; root++) {
      for (let file = 0; file < Math.max(1, count / (root + 1)); file++) {
        files.push({ root, file, sizeBytes: this.#size(chance) });
      }
    }
    return files;
  }

  #size(chance: Chance): number {
    if (chance.hit(0.15)) return chance.whole(0, 2);
    if (chance.hit(0.2)) return 1024 * chance.whole(1, 3) + chance.whole(-1, 1);
    return chance.whole(1, 4500);
  }

  #steps(files: readonly PlannedFile[]): ClientStep[] {
    const chance = this.#chance;
    const steps: ClientStep[] = [];
    const push = (atMs: number, action: ClientAction): void => {
      steps.push({ ...action, atMs, peer: chance.whole(0, this.#peerCount - 1) });
    };
    for (let root = 0; root < this.#rootCount; root++) {
      const submit = {
        kind: 'submit',
        root,
        replicaCount: chance.whole(1, Math.min(3, this.#peerCount)),
        verify: chance.hit(0.15),
        segmented: chance.hit(0.8),
        reload: chance.hit(0.1),
        filter: chance.hit(0.2),
      } as const;
      const firstMs = START_MS + chance.between(0, root === 0 ? 600 : 3000);
      push(firstMs, submit);
      if (!this.#isCalm && chance.hit(0.35)) {
        const stopMs = firstMs + chance.between(50, 3000);
        push(stopMs, { kind: 'stop', root });
        if (chance.hit(0.7)) push(stopMs + chance.between(100, 4000), submit);
      }
      if (chance.hit(0.3))
        push(firstMs + chance.between(500, 6000), { ...submit, reload: chance.hit(0.3) });
      if (chance.hit(0.4)) push(firstMs + chance.between(1000, 7000), { kind: 'retry', root });
    }
    const endMs = START_MS + this.#stormMs;
    for (let count = chance.whole(3, 12); count > 0; count--) {
      const { root, file } = chance.pick(files) ?? { root: 0, file: 0 };
      const atMs = chance.between(START_MS + 500, endMs);
      if (chance.hit(0.25)) push(atMs, { kind: 'status', root });
      else push(atMs, { kind: 'read', root, file, isPart: chance.hit(0.5) });
    }
    const later = this.#laterChance;
    for (let count = later.whole(0, 3); count > 0; count--) {
      const atMs = later.between(START_MS + 500, endMs);
      const root = later.whole(0, this.#rootCount - 1);
      const peer = later.whole(0, this.#peerCount - 1);
      steps.push(
        later.hit(0.8) ? { kind: 'list', root, atMs, peer } : { kind: 'trespass', atMs, peer },
      );
    }
    return steps.sort((a, b) => a.atMs - b.atMs);
  }

  #faults(files: readonly PlannedFile[]): Fault[] {
    const chance = this.#faultChance;
    const faults: Fault[] = [];
    const count = chance.whole(1, 10);
    for (let drawn = 0; drawn < count; drawn++) {
      // Most of them while the first loads run.
      const spanMs = chance.hit(0.6) ? Math.min(4000, this.#stormMs) : this.#stormMs;
      const atMs = chance.between(START_MS + 100, START_MS + spanMs);
      faults.push({ ...this.#draw(files), atMs });
    }
    if (this.#laterChance.hit(LYING_SHARE)) faults.push(...this.#lies(files));
    if (this.#laterChance.hit(TEARING_SHARE)) faults.push(...this.#tears());
    return faults.sort((a, b) => a.atMs - b.atMs);
  }

  /** Power cuts that find much that is not synced yet. */
  #tears(): Fault[] {
    const chance = this.#laterChance;
    const victim = chance.whole(0, this.#peerCount - 1);
    const slowMs = START_MS + chance.between(0, 600);
    const cutMs = slowMs + chance.between(100, 1200);
    const syncMs = chance.between(100, 600);
    const forMs = chance.between(200, 2000);
    return [
      { kind: 'slowDisk', victim, syncMs, forMs: cutMs - slowMs + 1, atMs: slowMs },
      { kind: 'powerCut', victim, forMs, atMs: cutMs },
    ];
  }

  /** Listings that lag behind what happens to objects while the first loads list them. */
  #lies(files: readonly PlannedFile[]): Fault[] {
    const chance = this.#laterChance;
    const weather = { stale: chance.between(0.3, 0.9) };
    const lies: Fault[] = [
      { kind: 'badUfs', weather, forMs: chance.between(2000, 8000), atMs: START_MS },
    ];
    for (let count = chance.whole(2, 6); count > 0; count--) {
      const { root, file } = chance.pick(files) ?? { root: 0, file: 0 };
      const kind = chance.pick(['change', 'create', 'remove', 'remove'] as const) ?? 'change';
      const isNew = kind === 'create';
      lies.push({
        kind,
        root,
        file: isNew ? chance.whole(50, 99) : file,
        sizeBytes: this.#size(chance),
        // Before the first page, so that it is told of what was.
        atMs: START_MS + chance.between(0, chance.hit(0.5) ? 200 : 2500),
      });
    }
    return lies;
  }

  #draw(files: readonly PlannedFile[]): FaultAction {
    const chance = this.#faultChance;
    const peers = Array.from({ length: this.#peerCount }, (_, index) => index);
    const victim: Victim = chance.hit(0.4) ? 'leader' : (chance.pick(peers) ?? 0);
    const someOf = <Item>(items: readonly Item[]): Item[] =>
      chance.shuffled(items).slice(0, chance.whole(1, Math.max(1, items.length - 1)));
    const forMs = chance.hit(0.7) ? chance.between(200, 3000) : chance.between(3000, 12_000);
    const pairs = peers.flatMap((a) => peers.filter((b) => b !== a).map((b) => [a, b] as const));
    const object = (keepsSize = false): PlannedFile => {
      const { root, file, sizeBytes } = chance.pick(files) ?? { root: 0, file: 0, sizeBytes: 1 };
      return { root, file, sizeBytes: keepsSize ? sizeBytes : this.#size(chance) };
    };
    const share = (): number => (chance.hit(0.5) ? 0 : chance.between(0.02, 0.4));
    const draws: readonly Draw[] = [
      [6, 'kill', () => ({ kind: 'kill', victim, forMs })],
      [6, 'powerCut', () => ({ kind: 'powerCut', victim, forMs })],
      [9, 'fuse', () => ({ kind: 'fuse', victim, operations: chance.whole(1, 120), forMs })],
      [
        2,
        'killAll',
        () => ({ kind: 'killAll', isPowerCut: chance.hit(0.5), forMs: Math.min(forMs, 3000) }),
      ],
      [
        9,
        'pause',
        () => ({
          kind: 'pause',
          victim: chance.hit(0.5) ? 'leader' : victim,
          forMs: chance.pick([500, 1800, 2200, 6000]) ?? 500,
        }),
      ],
      [4, 'wipeCache', () => ({ kind: 'wipeCache', victim, forMs: Math.min(forMs, 2000) })],
      [2, 'wallJump', () => ({ kind: 'wallJump', victim, byMs: chance.between(-4e11, 4e11) })],
      [6, 'isolate', () => ({ kind: 'isolate', victim, forMs })],
      [3, 'split', () => ({ kind: 'split', group: someOf(peers), forMs })],
      [4, 'oneWay', () => ({ kind: 'oneWay', directions: someOf(pairs).slice(0, 3), forMs })],
      [
        3,
        'mesh',
        () => ({ kind: 'mesh', directions: withReverse(someOf(pairs).slice(0, 2)), forMs }),
      ],
      [3, 'slowLink', () => ({ kind: 'slowLink', victim, byMs: chance.between(50, 1500), forMs })],
      [
        4,
        'badNetwork',
        () => ({
          kind: 'badNetwork',
          latencyMs: chance.between(5, 300),
          resent: chance.between(0, 0.3),
          forMs,
        }),
      ],
      [
        this.#mode === 'safety' ? 4 : 0,
        'hostileNetwork',
        () => ({
          kind: 'hostileNetwork',
          lost: chance.between(0, 0.2),
          doubled: chance.between(0, 0.2),
          reordered: this.#laterChance.between(0, 0.3),
          forMs,
        }),
      ],
      [5, 'rot', () => ({ kind: 'rot', victim, count: chance.whole(1, 30) })],
      [2, 'slowDisk', () => ({ kind: 'slowDisk', victim, syncMs: chance.between(20, 600), forMs })],
      [2, 'fullDisk', () => ({ kind: 'fullDisk', victim, forMs })],
      [
        8,
        'badUfs',
        () => ({
          kind: 'badUfs',
          weather: {
            unavailable: share(),
            throttled: share(),
            reset: share(),
            short: share(),
            corrupt: share(),
            stalled: share() / 4,
            stale: share(),
            latencyMaxMs: chance.between(5, 200),
          },
          forMs,
        }),
      ],
      [2, 'deadUfs', () => ({ kind: 'deadUfs', forMs })],
      [8, 'change', () => ({ kind: 'change', ...object(chance.hit(0.6)) })],
      [2, 'create', () => ({ kind: 'create', ...object(), file: chance.whole(50, 99) })],
      [3, 'remove', () => ({ kind: 'remove', ...object() })],
      [2, 'transfer', () => ({ kind: 'transfer', to: chance.pick(peers) ?? 0 })],
      [2, 'drain', () => ({ kind: 'drain', victim })],
      [2, 'addPeer', () => ({ kind: 'addPeer' })],
    ];
    const weightOf = ([weight, kind]: Draw, at: number): number => {
      const isFavoured =
        this.#favours === undefined ? this.#favoured.has(at) : kind === this.#favours;
      return weight > 0 && isFavoured ? weight + FAVOURED_WEIGHT : weight;
    };
    let left = chance.between(
      0,
      draws.reduce((sum, draw, at) => sum + weightOf(draw, at), 0),
    );
    const drawn = draws.find((draw, at) => (left -= weightOf(draw, at)) < 0);
    return (drawn ?? draws[0]!)[2]();
  }
}

function withReverse(pairs: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  return pairs.flatMap(([a, b]) => [[a, b] as const, [b, a] as const]);
}
