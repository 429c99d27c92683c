import test from 'ava';
import { fileKey, placementKey, segmentKey } from '../../src/ring/keys.ts';
import { membersOf, ringOf } from './fixtures.ts';

const PATH = 's3://bucket/a/b.bin';

test('keys: the first segment shares the key of the metadata', (t) => {
  t.is(fileKey(PATH), PATH);
  t.is(segmentKey(PATH, 0), fileKey(PATH));
  const ring = ringOf(membersOf(9));
  t.deepEqual(ring.ownersOf(segmentKey(PATH, 0), 3), ring.ownersOf(fileKey(PATH), 3));
});

test('keys: later segments have keys of their own that no other path has', (t) => {
  const keys = [1, 2, 10, 11].map((index) => segmentKey(PATH, index));
  t.is(keys[0], 's3://bucket/a/b.bin\u00001');
  keys.push(segmentKey(`${PATH}1`, 1), segmentKey(`${PATH}1`, 0));
  t.is(new Set(keys).size, keys.length);
});

test('keys: without segmentation all segments go to the metadata', (t) => {
  for (const index of [0, 1, 1000]) {
    t.is(placementKey({ path: PATH, index, segmented: false }), fileKey(PATH));
    t.is(placementKey({ path: PATH, index, segmented: true }), segmentKey(PATH, index));
  }
});
