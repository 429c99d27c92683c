import test from 'ava';
import fc from 'fast-check';
import HashRing from 'hashring';
import { epoch, peerId } from '../../src/base/ids.ts';
import { InvariantError } from '../../src/base/invariant.ts';
import { POINTS_PER_VNODE, pointOf, vnodeCountOf } from '../../src/ring/hash-points.ts';
import { Ring, type RingMember } from '../../src/ring/ring.ts';
import { idOf, keysOf, memberOf, membersOf, ringOf } from './fixtures.ts';
import { checkProperty } from './property.ts';

/** All members in one ring of the package itself, under the package's own hash. */
function packageRing(members: readonly RingMember[]): HashRing {
  const servers = Object.fromEntries(
    [...members]
      .sort((left, right) => (left.id < right.id ? -1 : 1))
      .map(({ id, weight }) => [id, { vnodes: vnodeCountOf(weight) }]),
  );
  return new HashRing(servers, 'md5', { 'vnode count': 0, replicas: POINTS_PER_VNODE });
}

const anyMembers = fc
  .uniqueArray(fc.integer({ min: 0, max: 10_000 }), { minLength: 1, maxLength: 9 })
  .chain((numbers) =>
    fc.tuple(...numbers.map((number) => anyWeight.map((weight) => memberOf(number, weight)))),
  );
const anyWeight = fc.constantFrom(0.01, 0.1, 0.5, 1, 1, 1, 2, 3.3);
const anyKey = fc.oneof(fc.string({ unit: 'binary', maxLength: 80 }), fc.webUrl());

test('ring: answers equal those of the package, for one and for many members', (t) => {
  for (const count of [1, 2, 3, 10, 40]) {
    const members = membersOf(count, (number) => [1, 1, 0.5, 2.5][number % 4] ?? 1);
    const ring = ringOf(members);
    const reference = packageRing(members);
    for (const key of keysOf(2_000)) {
      const size = Math.min(count, 1 + ((key.length + key.charCodeAt(key.length - 9)) % 5));
      t.deepEqual(ring.ownersOf(key, size), reference.range(key, size));
    }
    t.deepEqual(ring.ownersOf('whole circle', count), reference.range('whole circle', count));
  }
});

test('ring: answers equal those of the package for keys of any characters', (t) => {
  const members = membersOf(7);
  const ring = ringOf(members);
  const reference = packageRing(members);
  checkProperty(
    t,
    fc.property(anyKey, (key) => {
      t.deepEqual(ring.ownersOf(key, 3), reference.range(key, 3));
    }),
  );
});

test('ring: owners do not depend on the order of the members nor on the previous ring', (t) => {
  checkProperty(
    t,
    fc.property(
      anyMembers,
      anyMembers,
      fc.array(anyKey, { maxLength: 20 }),
      (members, others, keys) => {
        const ring = ringOf(members);
        const reversed = ringOf([...members].reverse());
        const derived = ringOf(members, ringOf(others));
        t.deepEqual([...derived.table.values], [...ring.table.values]);
        t.deepEqual([...derived.table.owners], [...ring.table.owners]);
        for (const key of keys) {
          t.deepEqual(reversed.ownersOf(key, 3), ring.ownersOf(key, 3));
        }
      },
    ),
  );
});

test('ring: owners are distinct members, as many as asked for or as there are', (t) => {
  checkProperty(
    t,
    fc.property(anyMembers, anyKey, fc.nat({ max: 12 }), (members, key, count) => {
      const ring = ringOf(members);
      const owners = ring.ownersOf(key, count);
      t.is(owners.length, Math.min(count, members.length));
      t.is(new Set(owners).size, owners.length);
      t.true(owners.every((id) => ring.has(id)));
      t.deepEqual(ring.ownersOf(key, count + 1).slice(0, owners.length), owners);
    }),
  );
});

test('ring: a member that joins takes keys and moves none between the others', (t) => {
  checkProperty(
    t,
    fc.property(
      anyMembers,
      anyWeight,
      fc.array(anyKey, { maxLength: 50 }),
      (members, weight, keys) => {
        const newcomer = memberOf(20_000, weight);
        const before = ringOf(members);
        const after = ringOf([...members, newcomer], before);
        for (const key of keys) {
          const [ownerBefore, ownerAfter] = [before.ownersOf(key, 1), after.ownersOf(key, 1)];
          if (ownerAfter[0] !== newcomer.id) t.deepEqual(ownerAfter, ownerBefore);
          const rest = after.ownersOf(key, members.length + 1).filter((id) => id !== newcomer.id);
          t.deepEqual(rest, before.ownersOf(key, members.length));
        }
      },
    ),
  );
});

test('ring: more weight only takes keys, less weight only gives keys', (t) => {
  const members = membersOf(5);
  const grown = ringOf([memberOf(0, 1.5), ...members.slice(1)]);
  const even = ringOf(members);
  for (const key of keysOf(5_000)) {
    const [before, after] = [even.ownersOf(key, 1)[0], grown.ownersOf(key, 1)[0]];
    if (before !== after) t.is(after, idOf(0));
  }
});

test('ring: no member means no owner', (t) => {
  const ring = ringOf([]);
  t.deepEqual(ring.ownersOf('key', 3), []);
  t.deepEqual(ring.ownersAt(0, 1), []);
  t.is(ring.shares().size, 0);
  t.false(ring.has(idOf(0)));
});

test('ring: one member owns everything, whatever its weight', (t) => {
  for (const weight of [0.01, 1, 100]) {
    const ring = ringOf([memberOf(0, weight)]);
    t.deepEqual(ring.ownersOf('key', 0), []);
    t.deepEqual(ring.ownersOf('key', 3), [idOf(0)]);
    t.deepEqual(ring.ownersAt(2 ** 32 - 1, 1), [idOf(0)]);
    t.is(ring.shares().get(idOf(0)), 1);
  }
});

test('ring: a point belongs to the next point up, round the end to the first', (t) => {
  const ring = ringOf(membersOf(3));
  const { values, owners } = ring.table;
  const ownerOf = (index: number) => ring.members[owners[index]!]!.id;
  const last = values.length - 1;
  for (const index of [0, 1, 7, last]) {
    t.is(ring.ownersAt(values[index]!, 1)[0], ownerOf(index));
  }
  t.is(ring.ownersAt(values[4]! + 1, 1)[0], ownerOf(5));
  t.is(ring.ownersAt(0, 1)[0], ownerOf(0));
  t.is(ring.ownersAt(values[last]! + 1, 1)[0], ownerOf(0));
});

test('ring: shares are exact, sum to one and follow the weights', (t) => {
  const ring = ringOf(membersOf(4, (number) => number + 1));
  const shares = ring.shares();
  const sum = [...shares.values()].reduce((total, share) => total + share, 0);
  t.true(Math.abs(sum - 1) < 1e-12);
  for (let number = 0; number < 4; number++) {
    const expected = (number + 1) / 10;
    t.true(Math.abs(shares.get(idOf(number))! / expected - 1) < 0.12, `weight ${number + 1}`);
  }
});

test('ring: shares agree with the owners of many keys', (t) => {
  const ring = ringOf(membersOf(5));
  const keys = keysOf(50_000);
  const counts = new Map<string, number>();
  for (const key of keys) {
    const owner = ring.ownersOf(key, 1)[0]!;
    counts.set(owner, (counts.get(owner) ?? 0) + 1);
  }
  for (const [id, share] of ring.shares()) {
    // Four standard deviations of counting 50,000 keys.
    const tolerance = 4 * Math.sqrt((share * (1 - share)) / keys.length);
    t.true(Math.abs((counts.get(id) ?? 0) / keys.length - share) < tolerance, `share of ${id}`);
  }
});

test('ring: many owners are found by the same walk as few', (t) => {
  const ring = ringOf(membersOf(60));
  const all = ring.ownersOf('key', 60);
  t.is(new Set(all).size, 60);
  for (const count of [1, 31, 32, 33, 59])
    t.deepEqual(ring.ownersOf('key', count), all.slice(0, count));
});

test('ring: knows its members and cannot be changed through them', (t) => {
  const given = { ...memberOf(1), zone: 'a' };
  const members = [given, memberOf(0)];
  const ring = Ring.from({ epoch: epoch(7), members });
  given.zone = 'b';
  members.pop();
  t.is(ring.epoch, epoch(7));
  t.is(ring.members.length, 2);
  t.is(ring.memberOf(given.id)?.zone, 'a');
  t.is(ring.memberOf(peerId('nobody')), undefined);
  t.true(Object.isFrozen(ring.members) && Object.isFrozen(ring.members[0]));
});

test('ring: a duplicate id or a weight out of bounds is a broken invariant', (t) => {
  t.throws(() => ringOf([memberOf(1), memberOf(1)]), { instanceOf: InvariantError });
  for (const weight of [0, -1, 0.0099, 100.01, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.throws(() => ringOf([memberOf(1, weight)]), { instanceOf: InvariantError });
  }
  t.throws(() => ringOf([{ id: peerId('__proto__'), weight: 1, zone: '' }]), {
    instanceOf: InvariantError,
  });
});

test('ring: pointOf is the little-endian start of the MD5, as the package has it', (t) => {
  // md5('') = d41d8cd9…, md5('abc') = 90015098…
  t.is(pointOf(''), 0xd98c1dd4);
  t.is(pointOf('abc'), 0x98500190);
});
