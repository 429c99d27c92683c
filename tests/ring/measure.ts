/** Prints the ring's figures: `node build/tests/ring/measure.js`. Not a test: it asserts nothing. */
import { diffRings } from '../../src/ring/diff-rings.ts';
import { keysOf, memberOf, membersOf, ringOf } from './fixtures.ts';

function timed<T>(label: string, unit: (seconds: number) => string, run: () => T): T {
  const startNs = process.hrtime.bigint();
  const result = run();
  const seconds = Number(process.hrtime.bigint() - startNs) / 1e9;
  console.log(`${label}: ${unit(seconds)}`);
  return result;
}

const asMs = (seconds: number): string => `${(seconds * 1000).toFixed(1)} ms`;
const keys = keysOf(200_000);
const asRate = (seconds: number): string => `${Math.round(keys.length / seconds)} lookups/s`;

for (const count of [3, 10, 100, 1000]) {
  const members = membersOf(count);
  const ring = timed(`build ${count} from scratch`, asMs, () => ringOf(members));
  const grown = timed(`build ${count} + 1 from previous`, asMs, () =>
    ringOf([...members, memberOf(count)], ring),
  );
  for (const replicas of [1, 3]) {
    const lookAll = () => keys.reduce((sum, key) => sum + ring.ownersOf(key, replicas).length, 0);
    lookAll();
    timed(`ownersOf(key, ${replicas}) among ${count}`, asRate, lookAll);
  }
  const diff = timed(`diff ${count} and ${count + 1}, R = 3`, asMs, () =>
    diffRings(ring, grown, 3),
  );
  const one = diffRings(ring, grown, 1);
  console.log(
    `join of one: ${diff.ranges.length} ranges, moved ${diff.movedShare.toFixed(4)} copies of 3, ` +
      `R = 1: ${(one.movedShare * (count + 1)).toFixed(3)} of 1/N`,
  );
  const held = new Map<string, number>();
  for (const key of keys) {
    const owner = ring.ownersOf(key, 1)[0] ?? '';
    held.set(owner, (held.get(owner) ?? 0) + 1);
  }
  const mean = keys.length / count;
  const ratio = (value: number): string => (value / mean).toFixed(3);
  console.log(
    `balance of ${keys.length} keys over ${count}: max/mean ${ratio(Math.max(...held.values()))}, ` +
      `min/mean ${ratio(Math.min(...held.values()))}`,
  );
}
