/**
 * What clients ask of the caches in some runs: rules of paths, frees, checks, and loads of several
 * roots or of an index file. Drawn by a chance of their own, so that other runs stay as they were.
 */
import type { Freshness, RuleChanges } from '../../../src/base/path-rule.ts';
import { Chance } from '../raft/chance.ts';
import {
  START_MS,
  type ClientAction,
  type ClientStep,
  type Place,
  type PlannedFile,
} from './client-step.ts';

/** Of runs. */
const RULING_SHARE = 0.3;

/** What happens beside them: objects that change where readers look. */
export interface CachePlan {
  readonly steps: readonly ClientStep[];
  readonly changes: readonly (PlannedFile & { readonly kind: 'change'; readonly atMs: number })[];
}

interface Bounds {
  readonly peerCount: number;
  readonly stormMs: number;
  /** The caches do not hold what is loaded. */
  readonly isSmallCache: boolean;
  readonly files: readonly PlannedFile[];
  readonly submits: readonly Extract<ClientAction, { kind: 'submit' }>[];
}

export function cachePlanOf(seed: number, bounds: Bounds): CachePlan {
  const chance = new Chance(seed, 12);
  if (!chance.hit(RULING_SHARE)) return { steps: [], changes: [] };
  const { peerCount, stormMs, files, submits } = bounds;
  const steps: ClientStep[] = [];
  const changed: CachePlan['changes'][number][] = [];
  const push = (atMs: number, action: ClientAction): void => {
    // No later: then it is looked whether all comes to rest.
    const untilMs = START_MS + stormMs - 500;
    const peer = chance.whole(0, peerCount - 1);
    steps.push({ ...action, atMs: Math.min(atMs, untilMs), peer });
  };
  const place = (): Place => {
    const { root, file } = chance.pick(files) ?? { root: 0, file: 0 };
    return { root, file: chance.hit(0.3) ? file : undefined };
  };
  const later = (): number => START_MS + chance.between(500, stormMs);
  for (const changes of changesOf(chance, bounds)) {
    const at = place();
    // Some before anything is loaded.
    const atMs = START_MS + (chance.hit(0.6) ? -2500 : chance.between(0, 3000));
    push(atMs, { kind: 'rule', changes, ...at });
    if (changes.freshness !== undefined) {
      for (const file of filesBelow(chance, at, bounds)) {
        const changeMs = later();
        changed.push({ kind: 'change', ...file, atMs: changeMs });
        for (const afterMs of [chance.between(-600, -1), chance.between(1, 600)])
          push(changeMs + afterMs, {
            kind: 'read',
            root: file.root,
            file: file.file,
            isPart: false,
          });
      }
    }
    if (chance.hit(0.3)) {
      const cleared = Object.fromEntries(Object.keys(changes).map((field) => [field, null]));
      push(later(), { kind: 'rule', changes: cleared, ...at });
    }
  }
  for (let count = chance.whole(0, 3); count > 0; count -= 1) {
    const atMs = later();
    const at = place();
    push(atMs, { kind: 'free', evenPinned: chance.hit(0.5), ...at });
    const again = submits.find(({ root }) => root === at.root);
    if (again && chance.hit(0.6)) push(atMs + chance.between(1, 2500), again);
  }
  for (let count = chance.whole(0, 2); count > 0; count -= 1)
    push(later(), { kind: 'check', root: place().root });
  if (chance.hit(0.5))
    push(START_MS + chance.between(0, 5000), {
      kind: 'submitMany',
      isIndexed: chance.hit(0.5),
      replicaCount: chance.whole(1, Math.min(3, peerCount)),
      segmented: chance.hit(0.8),
    });
  return { steps, changes: changed };
}

/** Some of the files that a rule is about. */
function filesBelow(chance: Chance, { root, file }: Place, { files }: Bounds): PlannedFile[] {
  const meant = files.filter((each) => each.root === root && (file ?? each.file) === each.file);
  return chance.shuffled(meant).slice(0, 3);
}

function changesOf(chance: Chance, { files, isSmallCache }: Bounds): RuleChanges[] {
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const changes: RuleChanges[] = [];
  if (chance.hit(isSmallCache ? 0.9 : 0.4)) changes.push({ pinned: true });
  if (chance.hit(0.3)) changes.push({ priority: chance.pick(['high', 'low'] as const) ?? 'low' });
  if (chance.hit(0.15)) changes.push({ ttlMs: chance.whole(1, 5) * 1000 });
  if (chance.hit(0.2))
    changes.push({ quotaBytes: Math.max(1, Math.round(sizeBytes * chance.between(0.2, 2))) });
  if (chance.hit(0.5))
    changes.push({ freshness: freshnessOf(chance.pick([0, 0, 700, 3000, Infinity]) ?? 0) });
  return changes;
}

function freshnessOf(revalidateAfterMs: number): Freshness {
  return revalidateAfterMs === Infinity ? 'immutable' : { revalidateAfterMs };
}

/** What lets go of segments that were loaded: then some may be fetched again, or be missing. */
export function letsGo({ kind, ...action }: ClientAction): boolean {
  if (kind === 'free') return true;
  if (!('changes' in action)) return false;
  const { ttlMs, quotaBytes } = action.changes;
  return typeof ttlMs === 'number' || typeof quotaBytes === 'number';
}
