/**
 * L2: every segment of a version is read from the under store once; what is read again has to be
 * explained by something that went wrong. Where nothing did, nothing is read twice.
 */
import type { Plan } from './plan.ts';
import { SMALL_REGION_COUNT } from './plan.ts';
import type { World } from './world.ts';

/** Tasks that one owner may be working off when it is taken for lost. */
const WINDOW_TASKS = 8;
/** Faults that take nothing away that was fetched. */
const HARMLESS = new Set(['change', 'create', 'remove', 'wallJump', 'badUfs', 'deadUfs', 'rot']);

export function checkAmplification(world: World, plan: Plan): void {
  const isReloaded = plan.steps.some((step) => step.kind === 'submit' && step.reload);
  const isShort = plan.regionCount <= SMALL_REGION_COUNT || of(world, 'fault.fullDisk') > 0;
  const isMany = plan.steps.some(({ kind }) => kind === 'submitMany');
  // Then a segment may rightly be fetched again, any number of times.
  if (isReloaded || isShort || isMany || world.rules.letsGo) return;
  const times = new Map<string, number>();
  for (const { range, bytes, isForReader } of world.ufs.gets) {
    if (isForReader || bytes === 0) continue;
    const name = `${range.path}@${range.version}#${range.offset}`;
    times.set(name, (times.get(name) ?? 0) + 1);
  }
  const again = [...times.values()].reduce((sum, count) => sum + count - 1, 0);
  // A cache that is gone is filled once more, if need be.
  const allowed = allowance(world, plan) + of(world, 'fault.wipeCache') * times.size;
  world.check(
    'L2',
    again <= allowed,
    () => `${again} segments were read again, ${allowed} at most`,
  );
}

function allowance(world: World, plan: Plan): number {
  const brokenBodies = ['reset', 'short', 'corrupt', 'stalled'].reduce(
    (sum, fate) => sum + of(world, `ufs.${fate}`),
    0,
  );
  let disruptions = of(world, 'stops.accepted') + Math.max(0, of(world, 'elections') - 1);
  for (const [what, count] of world.counts) {
    const [, kind] = /^fault\.(.*)$/.exec(what) ?? [];
    if (kind !== undefined && !HARMLESS.has(kind)) disruptions += count;
  }
  const rotten = of(world, 'disk.rottenBits') * plan.peerCount;
  return brokenBodies + rotten + disruptions * plan.peerCount * WINDOW_TASKS;
}

function of(world: World, what: string): number {
  return world.counts.get(what) ?? 0;
}
