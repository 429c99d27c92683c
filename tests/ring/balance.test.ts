/** Balance and movement: bounds that users can rely on, over several independent sets of peers. */
import test from 'ava';
import { diffRings } from '../../src/ring/diff-rings.ts';
import type { Ring } from '../../src/ring/ring.ts';
import { idOf, keysOf, memberOf, membersOf, ringOf } from './fixtures.ts';

const KEYS = keysOf(200_000);

/** Keys per member as first owner, relative to the mean. */
function loads(ring: Ring): number[] {
  const counts = new Map<string, number>(ring.members.map(({ id }) => [id, 0]));
  for (const key of KEYS) {
    const owner = ring.ownersOf(key, 1)[0]!;
    counts.set(owner, counts.get(owner)! + 1);
  }
  return [...counts.values()].map((count) => (count * ring.members.length) / KEYS.length);
}

test('balance: of 10 equal peers and 200,000 keys the fullest holds at most 1.15 of the mean', (t) => {
  const ratios = loads(ringOf(membersOf(10)));
  t.log(`max/mean ${Math.max(...ratios).toFixed(3)}, min/mean ${Math.min(...ratios).toFixed(3)}`);
  t.true(Math.max(...ratios) <= 1.15);
  t.true(Math.min(...ratios) >= 0.85);
});

test('balance: the bound holds with margin for 100 other sets of 10 peers', (t) => {
  let worst = 0;
  for (let set = 0; set < 100; set++) {
    const members = Array.from({ length: 10 }, (_, number) => memberOf(1_000 + set * 10 + number));
    worst = Math.max(worst, ...[...ringOf(members).shares().values()].map((share) => share * 10));
  }
  t.log(`worst max/mean of the exact shares: ${worst.toFixed(3)}`);
  t.true(worst <= 1.13);
});

test('balance: shares follow the weights', (t) => {
  const shares = ringOf(membersOf(10, (number) => (number < 5 ? 1 : 3))).shares();
  for (let number = 0; number < 10; number++) {
    const expected = number < 5 ? 1 / 20 : 3 / 20;
    t.true(Math.abs(shares.get(idOf(number))! / expected - 1) <= 0.15, `peer ${number}`);
  }
});

test('movement: a peer that joins 9 others takes at most 1.3/N of the keys, and from no one else', (t) => {
  const before = ringOf(membersOf(9));
  const after = ringOf(membersOf(10), before);
  let movedCount = 0;
  for (const key of KEYS) {
    const [from, to] = [before.ownersOf(key, 1)[0], after.ownersOf(key, 1)[0]];
    if (from === to) continue;
    movedCount++;
    t.is(to, idOf(9));
  }
  const moved = movedCount / KEYS.length;
  t.log(`moved ${moved.toFixed(4)} = ${(moved * 10).toFixed(3)}/N`);
  t.true(moved <= 1.3 / 10);
  t.true(moved >= 0.7 / 10);
});

test('movement: for 2 to 40 peers a join or a leave moves at most 1.3/N per copy', (t) => {
  let worst = 0;
  for (const count of [2, 3, 5, 10, 20, 40]) {
    const larger = ringOf(membersOf(count));
    const smaller = ringOf(membersOf(count - 1), larger);
    for (const replicas of [1, 2, 3].filter((value) => value < count)) {
      for (const [before, after] of [
        [smaller, larger],
        [larger, smaller],
      ] as const) {
        const { movedShare } = diffRings(before, after, replicas);
        worst = Math.max(worst, (movedShare / replicas) * count);
      }
    }
  }
  t.log(`worst movement: ${worst.toFixed(3)}/N`);
  t.true(worst <= 1.3);
});
