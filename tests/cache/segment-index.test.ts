import test from 'ava';

import { SeededRandom, randomInt } from '../../src/base/random.ts';
import { NO_ENTRY, SegmentIndex, type EntryId } from '../../src/cache/segment-index.ts';
import { testSeed } from './support/fixtures.ts';

function hashOf(number: number, spread = 0x9e37_79b1): Uint32Array {
  return Uint32Array.of(Math.imul(number, spread) >>> 0, number, 7, 9);
}

function insert(index: SegmentIndex, number: number, hash = hashOf(number)): EntryId {
  return index.insert(hash, {
    slot: number % 50,
    offset: number * 64,
    recordOffset: number * 8,
    lengthBytes: number,
    crc32c: (number * 3) >>> 0,
    digestLow: number,
    digestHigh: 0xffff_ffff,
    tenure: number % 7,
    stamp: number % 11,
    isOnTrial: number % 2 === 0,
  });
}

test('index: what was inserted is found with all its words', (t) => {
  const index = new SegmentIndex();
  const id = insert(index, 123_456);
  t.is(index.find(hashOf(123_456)), id);
  t.is(index.find(hashOf(1)), NO_ENTRY);
  t.is(index.slotOf(id), 6);
  t.is(index.offsetOf(id), 123_456 * 64);
  t.is(index.recordOffsetOf(id), 123_456 * 8);
  t.is(index.lengthOf(id), 123_456);
  t.is(index.crc32cOf(id), 370_368);
  t.is(index.digestLowOf(id), 123_456);
  t.is(index.digestHighOf(id), 0xffff_ffff);
  t.is(index.tenureOf(id), 123_456 % 7);
  t.deepEqual(index.hashOf(id), hashOf(123_456));
});

test('index: entries whose hashes share a bucket are told apart', (t) => {
  const index = new SegmentIndex();
  const hashes = Array.from({ length: 3000 }, (_, number) => Uint32Array.of(42, 0, 0, number));
  const ids = hashes.map((hash, number) => insert(index, number, hash));
  hashes.forEach((hash, number) => {
    t.is(index.find(hash), ids[number] ?? NO_ENTRY);
  });
  for (let number = 0; number < 3000; number += 2) index.kill(ids[number] ?? NO_ENTRY);
  hashes.forEach((hash, number) => {
    t.is(index.find(hash), number % 2 === 0 ? NO_ENTRY : (ids[number] ?? NO_ENTRY));
  });
});

test('index: heat saturates and leaves the region alone', (t) => {
  const index = new SegmentIndex();
  const id = insert(index, 9);
  index.setHeat(id, 100);
  t.is(index.heatOf(id), 3);
  t.is(index.slotOf(id), 9);
  t.true(index.isLive(id));
  index.setHeat(id, 0);
  t.is(index.heatOf(id), 0);
  t.true(index.isLive(id));
});

test('index: a million of random steps agree with a map', (t) => {
  const seed = testSeed(11);
  const random = new SeededRandom(seed);
  const index = new SegmentIndex();
  const model = new Map<number, EntryId>();
  for (let step = 0; step < 300_000; step++) {
    const number = randomInt(random, 40_000);
    const known = model.get(number);
    if (known === undefined) {
      model.set(number, insert(index, number));
    } else if (randomInt(random, 3) > 0) {
      index.kill(known);
      model.delete(number);
    }
    if (step % 10_000 === 9_999) {
      const slot = randomInt(random, 50);
      for (const id of index.takeRegion(slot)) {
        if (index.isLive(id)) {
          model.delete(index.lengthOf(id));
          index.kill(id);
        }
        index.free(id);
      }
    }
  }
  t.is(index.size, model.size, `SEED=${seed}`);
  for (let number = 0; number < 40_000; number++) {
    const expected = model.get(number) ?? NO_ENTRY;
    if (index.find(hashOf(number)) !== expected) t.fail(`number ${number}, SEED=${seed}`);
  }
  let listedCount = 0;
  for (let slot = 0; slot < 50; slot++) {
    index.forEachInRegion(slot, (id) => {
      if (index.isLive(id)) listedCount++;
    });
  }
  t.is(listedCount, model.size);
});

test('index: a segment costs at most 64 bytes, at any size of the index', (t) => {
  const index = new SegmentIndex();
  for (let number = 1; number <= 400_000; number++) {
    insert(index, number);
    // Below it the first chunks dominate: they are half a megabyte.
    if (number >= 100_000 && number % 10_000 === 0) {
      t.true(index.allocatedBytes / number <= 64, `${index.allocatedBytes / number} at ${number}`);
    }
  }
});

test('index: freed entries are used again', (t) => {
  const index = new SegmentIndex();
  for (let round = 0; round < 20; round++) {
    for (let number = 0; number < 5000; number++) insert(index, number);
    for (let slot = 0; slot < 50; slot++) {
      for (const id of index.takeRegion(slot)) {
        index.kill(id);
        index.free(id);
      }
    }
  }
  t.is(index.size, 0);
  t.is(index.highestId, 5000);
});
