import test from 'ava';
import { COMBINABLE_SUMS, type CombinableSum } from '../../src/base/crc-combine.ts';
import { ExtraSum } from '../../src/data/io/extra-sum.ts';
import { OriginCheck } from '../../src/job/origin-check.ts';

const BYTES = Buffer.from(Array.from({ length: 250 }, (_unused, at) => at));

function sumOf(algorithm: CombinableSum, start: number, end: number): string {
  const sum = new ExtraSum(algorithm);
  sum.update(BYTES.subarray(start, end));
  return sum.result();
}

for (const algorithm of COMBINABLE_SUMS) {
  test(`origin check: ${algorithm} of segments in any order, and one that differs`, (t) => {
    const check = new OriginCheck({ algorithm, value: sumOf(algorithm, 0, 250) }, 250);
    check.add(200, 50, sumOf(algorithm, 200, 250));
    check.add(0, 100, sumOf(algorithm, 0, 100));
    t.is(check.verdict(), 'unknown');
    check.add(100, 100, sumOf(algorithm, 100, 200));
    t.is(check.verdict(), 'match');
    check.reset();
    t.is(check.verdict(), 'unknown');
    check.add(0, 100, sumOf(algorithm, 0, 100));
    check.add(100, 100, sumOf(algorithm, 0, 100));
    check.add(200, 50, sumOf(algorithm, 200, 250));
    t.is(check.verdict(), 'mismatch');
  });
}
