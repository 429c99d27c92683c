import test from 'ava';
import fc from 'fast-check';

import { RingloadError } from '../../src/base/errors.ts';
import {
  canonicalRoot,
  comparePaths,
  formatPath,
  isAtOrBelow,
  lastComponent,
  PATH_MAX_BYTES,
  parsePath,
} from '../../src/ufs/path.ts';
import { ODD_KEYS, S3_ONLY_ODD_KEYS } from '../support/odd-keys.ts';

const SEED = Number(process.env['RINGLOAD_TEST_SEED'] ?? 20_261);

const refusals: readonly (readonly [text: string, rule: RegExp])[] = [
  ['', /no scheme/],
  ['/data', /no scheme/],
  ['bucket/key', /no scheme/],
  ['s3:/bucket/key', /no scheme/],
  ['S3://bucket/key', /unknown scheme 'S3'/],
  ['s3a://bucket/key', /unknown scheme 's3a'/],
  ['http://169.254.169.254/latest', /unknown scheme 'http'/],
  ['s3://', /empty bucket/],
  ['s3:///key', /empty bucket/],
  ['s3://user@bucket/key', /user information/],
  ['s3://b@evil/key', /user information/],
  ['s3://../key', /bucket name/],
  ['s3://bu:cket/key', /bucket name/],
  ['s3://bucket?x/key', /bucket name/],
  ['s3://b%41/key', /bucket name/],
  ['s3://bücket/key', /bucket name/],
  ['s3://bucket/a\0b', /NUL/],
  ['s3://bucket/\ud800', /Unicode/],
  [`s3://b/${'x'.repeat(PATH_MAX_BYTES - 6)}`, /2049 bytes/],
  [`s3://b/${'é'.repeat(PATH_MAX_BYTES / 2 - 3)}`, /2049 bytes/],
  ['file://host/data', /names a host/],
  ['file:///', /root of the file system/],
  ['file://', /root of the file system/],
  ['file:///data/../etc', /segment '\.\.'/],
  ['file:///./data', /segment '\.'/],
  ['file:///data//x', /empty segment/],
  ['file:///data/', /empty segment/],
];

for (const [text, rule] of refusals) {
  test(`path: ${JSON.stringify(text.slice(0, 40))} is refused by ${String(rule)}`, (t) => {
    const error = t.throws(() => parsePath(text), { instanceOf: RingloadError, message: rule });
    t.is(error.code, 'invalid_argument');
  });
}

test('path: the longest path is accepted', (t) => {
  t.is(parsePath(`s3://b/${'x'.repeat(PATH_MAX_BYTES - 7)}`).key.length, PATH_MAX_BYTES - 7);
});

test('path: a key is kept character for character', (t) => {
  for (const key of [...ODD_KEYS, ...S3_ONLY_ODD_KEYS]) {
    const path = `s3://bucket/${key}`;
    t.deepEqual(parsePath(path), { scheme: 's3', authority: 'bucket', key });
    t.is(formatPath(parsePath(path)), path);
  }
});

test('path: a root loses one trailing slash and nothing else', (t) => {
  t.is(canonicalRoot('s3://bucket'), 's3://bucket');
  t.is(canonicalRoot('s3://bucket/'), 's3://bucket');
  t.is(canonicalRoot('s3://bucket/a/'), 's3://bucket/a');
  t.is(canonicalRoot('s3://bucket/a//'), 's3://bucket/a/');
  t.is(canonicalRoot('s3://bucket/a/../b/'), 's3://bucket/a/../b');
  t.is(canonicalRoot('file:///data/'), 'file:///data');
  t.throws(() => canonicalRoot('s3://'), { message: /empty bucket/ });
});

test('path: below is decided by whole segments', (t) => {
  t.true(isAtOrBelow('s3://b/pub', 's3://b/pub'));
  t.true(isAtOrBelow('s3://b/pub', 's3://b/pub/x'));
  t.true(isAtOrBelow('s3://b', 's3://b//x'));
  t.false(isAtOrBelow('s3://b/pub', 's3://b/public-secret'));
  t.false(isAtOrBelow('s3://b/pub', 's3://b'));
  t.false(isAtOrBelow('s3://b', 's3://bb/x'));
});

test('path: the last component is what follows the last slash', (t) => {
  t.is(lastComponent('s3://b/a/c.txt'), 'c.txt');
  t.is(lastComponent('s3://b/a/'), '');
});

test(`path: order is that of the UTF-8 bytes (seed ${SEED})`, (t) => {
  const text = fc.string({ unit: 'binary', maxLength: 12 });
  t.notThrows(() => {
    fc.assert(
      fc.property(text, text, (left, right) => {
        const expected = Buffer.compare(Buffer.from(left), Buffer.from(right));
        return Math.sign(comparePaths(left, right)) === expected;
      }),
      { seed: SEED, numRuns: 5_000 },
    );
  });
  const byBytes = [...ODD_KEYS].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  t.deepEqual([...ODD_KEYS].sort(comparePaths), byBytes);
  t.true(comparePaths('\uffee', '\u{1f642}') < 0);
});
