import test from 'ava';

import { SeededRandom, randomInt } from '../../src/base/random.ts';
import { spaceOf } from '../../src/cache/layout.ts';
import { RegionSet } from '../../src/cache/region-set.ts';
import { Region } from '../../src/cache/region.ts';
import { testSeed } from './support/fixtures.ts';

const SIZE = 256 * 1024;

const newRegion = (id = 0): Region =>
  new Region({ slot: id, directoryIndex: 0, id, sizeBytes: SIZE });

test('region: large segments lie on pages, small ones are packed', (t) => {
  const region = newRegion();
  t.is(region.allocate(100), 0);
  t.is(region.allocate(1), 128);
  t.is(region.allocate(64 * 1024), 4096);
  t.is(region.allocate(64 * 1024 + 1), 4096 + 64 * 1024);
  t.is(region.allocate(64), 192, 'the gap before the first page is used');
  t.is(region.allocate(8192), 4096 + 64 * 1024 + 68 * 1024);
});

test('region: it is filled to the last byte and not beyond', (t) => {
  const region = newRegion();
  t.is(region.allocate(SIZE - 64 * 1024), 0);
  t.is(region.allocate(64 * 1024 + 1), undefined);
  t.is(region.allocate(64 * 1024), SIZE - 64 * 1024);
  t.is(region.allocate(1), undefined);
  t.is(region.tailSpace, 0);
});

test('region: random allocations and returns never overlap', (t) => {
  const seed = testSeed(3);
  const random = new SeededRandom(seed);
  const region = newRegion();
  let extents: { offset: number; length: number }[] = [];
  for (let step = 0; step < 20_000; step++) {
    if (randomInt(random, 5) < 3) {
      const length = randomInt(random, 4) === 0 ? 65_536 : 1 + randomInt(random, 3000);
      const offset = region.allocate(length);
      if (offset === undefined) continue;
      const end = offset + spaceOf(length);
      t.true(end <= SIZE);
      for (const other of extents) {
        const isApart = end <= other.offset || offset >= other.offset + spaceOf(other.length);
        if (!isApart) t.fail(`extents overlap, SEED=${seed}`);
      }
      extents.push({ offset, length });
    } else {
      const [extent] = extents.splice(randomInt(random, extents.length || 1), 1);
      if (extent) region.giveBack(extent.offset, extent.length);
    }
  }
  for (const extent of extents) region.giveBack(extent.offset, extent.length);
  extents = [];
  t.is(region.allocate(SIZE), 0, 'all of it comes back');
});

function newSet(count: number): { set: RegionSet; regions: Region[] } {
  const regions = Array.from({ length: count }, (_, id) => newRegion(id));
  const set = new RegionSet(regions);
  set.adopt([]);
  return { set, regions };
}

const choose = (set: RegionSet, leased: (region: Region) => number, space = 1000) =>
  set.chooseVictim({ space, room: SIZE, mayTakeOpen: true, keptSpaceOf: leased });

test('regions: the oldest goes first, one in use is passed over', (t) => {
  const { set, regions } = newSet(4);
  for (let count = 0; count < 3; count++) set.openNext();
  t.like(
    choose(set, () => 0),
    { kind: 'victim', region: { id: 0 } },
  );
  if (regions[0]) regions[0].pinCount = 1;
  t.like(
    choose(set, () => 0),
    { kind: 'victim', region: { id: 1 } },
  );
});

test('regions: little leased goes before much leased, whatever their age', (t) => {
  const { set } = newSet(4);
  for (let count = 0; count < 3; count++) set.openNext();
  const leased = (region: Region): number => [SIZE * 0.8, SIZE * 0.6, SIZE * 0.7][region.id] ?? 0;
  t.like(choose(set, leased), { kind: 'victim', region: { id: 1 } });
});

test('regions: full means leased, busy means wait', (t) => {
  const { set, regions } = newSet(3);
  for (let count = 0; count < 2; count++) set.openNext();
  t.is(choose(set, () => SIZE).kind, 'full');
  t.is(choose(set, () => SIZE * 0.97).kind, 'full', 'too little to win');
  t.is(choose(set, () => SIZE / 2, SIZE * 0.6).kind, 'full', 'no room left for the new one');
  for (const region of regions) region.pinCount = 1;
  t.is(choose(set, () => 0).kind, 'busy');
});

test('regions: recovery continues the newest and frees the empty', (t) => {
  const regions = Array.from({ length: 5 }, (_, id) => newRegion(id));
  const set = new RegionSet(regions);
  [4, 9, 2].forEach((sequence, id) => {
    const region = regions[id];
    if (region) region.sequence = sequence;
  });
  set.adopt(regions.slice(0, 3));
  t.is(set.open?.id, 1);
  t.is(set.freeCount, 2);
  t.is(set.nextSequence(), 10);
  t.like(
    choose(set, () => 0),
    { kind: 'victim', region: { id: 2 } },
  );
});
