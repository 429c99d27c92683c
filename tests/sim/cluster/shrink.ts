/** Cuts the faults of a failing run down to a few without which it does not fail. */
import type { Mode } from './plan.ts';
import { runSeed } from './run-seed.ts';
import type { PlantedBug, Violation } from './world.ts';

export interface Failing {
  readonly seed: number;
  readonly mode: Mode;
  readonly violation: Violation | undefined;
  readonly bug?: PlantedBug;
  /** Positions in the plan. */
  readonly faults: readonly number[];
}

/** Runs that may be spent on it. */
const ATTEMPT_MAX_COUNT = 60;

/** Halves first, then quarters, down to single ones; the same promise has to be broken. */
export async function shrink(failing: Failing): Promise<readonly number[]> {
  let kept = failing.faults;
  let attempts = 0;
  for (
    let size = Math.ceil(kept.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let start = 0; start < kept.length && attempts < ATTEMPT_MAX_COUNT;) {
      const fewer = [...kept.slice(0, start), ...kept.slice(start + size)];
      attempts += 1;
      if (await fails(failing, fewer)) kept = fewer;
      else start += size;
    }
  }
  return kept;
}

async function fails(
  { seed, mode, violation, bug }: Failing,
  only: readonly number[],
): Promise<boolean> {
  const result = await runSeed(seed, { mode, only, ...(bug && { bug }) });
  return result.violation?.invariant === violation?.invariant && result.violation !== undefined;
}
