import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { compileNameFilter, lastComponent } from '../../src/job/file-filter.ts';

test('filter: a name is kept when it matches fully', (t) => {
  const keep = compileNameFilter('^hello.*');
  t.true(keep('s3://b/d/hello'));
  t.true(keep('s3://b/d/hello.txt'));
  t.false(keep('s3://b/hello/world'));
  t.false(compileNameFilter('ell')('s3://b/hello'));
  t.true(compileNameFilter('a|ab')('s3://b/ab'));
  t.true(compileNameFilter('.*\\.parquet')('s3://b/part\n1.parquet'));
  t.true(compileNameFilter('.*')('s3://b/ünïcode-🎈'));
});

test('filter: only the last path component counts', (t) => {
  t.is(lastComponent('s3://b/a/c'), 'c');
  t.is(lastComponent('s3://b/a/dir/'), 'dir');
  t.is(lastComponent('s3://b/a//'), '');
  t.is(lastComponent('name'), 'name');
});

for (const [pattern, reason] of [
  ['a(', /missing closing \)/],
  ['(?=x)', /invalid or unsupported Perl syntax/],
  ['(?<!x)y', /invalid/],
  ['(a)\\1', /invalid escape sequence/],
  ['((a{100}){100}){100}', /invalid repeat count/],
  ['x'.repeat(1025), /at most 1024 characters, is 1025/],
  [`${'(x{900}|'.repeat(60)}y${')'.repeat(60)}`, /too complex/],
] as const) {
  test(`filter: ${pattern.slice(0, 24)} (${pattern.length}) is refused with the reason`, (t) => {
    const error = t.throws(() => compileNameFilter(pattern), { instanceOf: RingloadError });
    t.is(error.code, 'invalid_argument');
    t.regex(error.message, reason);
  });
}

test('filter: patterns that hang a back-tracking engine answer in linear time', (t) => {
  t.timeout(20_000);
  const name = `s3://b/${'a'.repeat(900)}!`;
  for (const pattern of ['^(a+)+$', '(a|aa)*b', '(.*)*x', '(a*)*(a*)*(a*)*c']) {
    t.false(compileNameFilter(pattern)(name), pattern);
  }
  t.notThrows(() => compileNameFilter('x'.repeat(1024)));
});
