import test from 'ava';

import {
  addDigests,
  formatDigest,
  parseDigest,
  recordDigest,
  segmentDigest,
} from '../../src/cache/digest.ts';

const key = { path: 's3://b/k', version: 'v', segmentSizeBytes: 8_388_608, index: 3 };

test('digest: the identity of a segment is pinned, it is compared between releases', (t) => {
  t.is(formatDigest(segmentDigest(key, 1234, 0xdead_beef)), 'b7515c2d32505450');
});

test('digest: the identity of a record is pinned, and every part of it counts', (t) => {
  const record = {
    ...{ path: 's3://b/k', version: 'v', sizeBytes: 9, mtimeMs: 1 },
    ...{ segmentSizeBytes: 8, segmented: true, replicaCount: 2 },
  };
  t.is(formatDigest(recordDigest(record)), 'ffabc5b390a8b479');
  const others = [
    { path: 's3://b/kv' },
    { path: 's3://b/', version: 'kv' },
    { sizeBytes: 98 },
    { segmentSizeBytes: 88 },
    { segmented: false },
  ].map((change) => recordDigest({ ...record, ...change }));
  t.is(new Set([recordDigest(record), ...others]).size, 6);
  t.is(recordDigest({ ...record, mtimeMs: 2, replicaCount: 1 }), recordDigest(record));
  t.is(parseDigest(formatDigest(recordDigest(record))), recordDigest(record));
});

test('digest: every part of the identity counts', (t) => {
  const all = [
    segmentDigest(key, 1234, 1),
    segmentDigest({ ...key, path: 's3://b/kv' }, 1234, 1),
    segmentDigest({ ...key, path: 's3://b/', version: 'kv' }, 1234, 1),
    segmentDigest({ ...key, version: '' }, 1234, 1),
    segmentDigest({ ...key, segmentSizeBytes: 64 }, 1234, 1),
    segmentDigest({ ...key, index: 2 ** 40 }, 1234, 1),
    segmentDigest(key, 12341, 1),
    segmentDigest(key, 1234, 11),
    segmentDigest({ ...key, version: 'v\0' }, 1234, 1),
  ];
  t.is(new Set(all).size, all.length);
});

test('digest: sums wrap at 64 bits and do not depend on order', (t) => {
  t.is(addDigests(2n ** 64n - 1n, 2n), 1n);
  const parts = [5n, 2n ** 63n, 2n ** 63n + 7n, 99n];
  const forward = parts.reduce(addDigests, 0n);
  t.is(forward, parts.reduceRight(addDigests, 0n));
  t.is(formatDigest(0n), '0000000000000000');
  t.is(formatDigest(255n), '00000000000000ff');
});
