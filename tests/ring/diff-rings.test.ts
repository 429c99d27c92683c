import test from 'ava';
import fc from 'fast-check';
import { changeAt, diffRings } from '../../src/ring/diff-rings.ts';
import { pointOf } from '../../src/ring/hash-points.ts';
import { idOf, keysOf, memberOf, membersOf, ringOf } from './fixtures.ts';
import { checkProperty } from './property.ts';

const anyNumbers = fc.uniqueArray(fc.nat({ max: 12 }), { maxLength: 7 });

test('diff: lists exactly the points whose owners change, with the owners of both rings', (t) => {
  checkProperty(
    t,
    fc.property(anyNumbers, anyNumbers, fc.integer({ min: 1, max: 4 }), (left, right, replicas) => {
      const before = ringOf(left.map((number) => memberOf(number, 0.05)));
      const after = ringOf(right.map((number) => memberOf(number, 0.05)));
      const diff = diffRings(before, after, replicas);
      const edges = diff.ranges.flatMap(({ start, end }) => [start, end]);
      const points = [0, 2 ** 32 - 1, ...keysOf(50).map(pointOf), ...edges];
      const near = points.flatMap((point) => [point - 1, point, point + 1]);
      for (const point of near.filter((value) => value >= 0 && value < 2 ** 32)) {
        const from = before.ownersAt(point, replicas);
        const to = after.ownersAt(point, replicas);
        const change = changeAt(diff, point);
        if (from.join() === to.join()) t.is(change, undefined);
        else t.like(change, { from, to, gained: to.filter((id) => !from.includes(id)) });
      }
    }),
  );
});

test('diff: ranges ascend, are disjoint, and neighbours differ', (t) => {
  const { ranges } = diffRings(ringOf(membersOf(5)), ringOf(membersOf(7)), 3);
  for (const [index, range] of ranges.entries()) {
    t.true(range.start <= range.end);
    const next = ranges[index + 1];
    if (!next) continue;
    t.true(range.end < next.start);
    if (range.end + 1 === next.start) t.notDeepEqual([range.from, range.to], [next.from, next.to]);
  }
});

test('diff: the same members give nothing, whatever the order or the epoch', (t) => {
  const members = membersOf(6);
  const diff = diffRings(ringOf(members), ringOf([...members].reverse()), 3);
  t.deepEqual(diff, { ranges: [], changedShare: 0, movedShare: 0 });
  t.is(changeAt(diff, 5), undefined);
});

test('diff: from no peers to some, everything is gained once per copy; the reverse loses it', (t) => {
  const empty = ringOf([]);
  const two = ringOf(membersOf(2));
  const birth = diffRings(empty, two, 2);
  t.is(birth.changedShare, 1);
  t.is(birth.movedShare, 2);
  t.is(birth.ranges[0]?.start, 0);
  t.is(birth.ranges.at(-1)?.end, 2 ** 32 - 1);
  const death = diffRings(two, empty, 2);
  t.is(death.changedShare, 1);
  t.is(death.movedShare, 0);
  t.deepEqual(diffRings(empty, empty, 2).ranges, []);
});

test('diff: a peer that leaves gives its share to others and takes nothing', (t) => {
  const before = ringOf(membersOf(5));
  const after = ringOf(membersOf(4));
  const diff = diffRings(before, after, 1);
  const share = before.shares().get(idOf(4))!;
  t.true(Math.abs(diff.movedShare - share) < 1e-12);
  t.true(Math.abs(diff.changedShare - share) < 1e-12);
  t.true(diff.ranges.every(({ from, gained }) => from[0] === idOf(4) && !gained.includes(idOf(4))));
});

test('diff: with as many copies as peers only the order can change', (t) => {
  const diff = diffRings(ringOf(membersOf(3)), ringOf(membersOf(3, (n) => n + 1)), 3);
  t.is(diff.movedShare, 0);
  t.true(diff.changedShare > 0);
});
