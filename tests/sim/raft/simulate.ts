/** Declares the tests of one share of the seeds, so that each suite can take a part. */
import type { TestFn } from 'ava';
import { describeFailure, runRange, seedsOfPart, splitRange } from './seed-range.ts';

const DEFAULT_SEEDS = { first: 1, last: 520 };
const PARTS = 2;
const SEEDS_PER_TEST = 20;

export function declareSimulation(test: TestFn, part: number): void {
  const share = seedsOfPart(part, PARTS, DEFAULT_SEEDS);
  for (const range of splitRange(share, SEEDS_PER_TEST)) {
    test.serial(
      `raft: safe under faults, live after healing, seeds ${range.first}..${range.last}`,
      async (t) => {
        t.timeout(120_000);
        const { failures, counts } = await runRange(range);
        t.deepEqual(failures.map(describeFailure), []);
        t.true((counts['acknowledged'] ?? 0) > 0, 'no command was ever acknowledged');
      },
    );
  }
}
