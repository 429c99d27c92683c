import test from 'ava';
import { compileFilters, compileGlobs } from '../../src/job/file-filter.ts';

function matches(glob: string, path: string): boolean {
  return compileGlobs([glob], 'include')(path);
}

const TABLE: readonly (readonly [
  glob: string,
  matching: readonly string[],
  others: readonly string[],
])[] = [
  [
    '*.tmp',
    ['s3://b/a.tmp', 's3://b/d/.tmp', 'file:///d/x.tmp'],
    ['s3://b/a.tmp/x', 's3://b/a.tmpx'],
  ],
  [
    'logs/*.gz',
    ['s3://b/logs/a.gz', 's3://b/x/logs/a.gz'],
    ['s3://b/logs/x/a.gz', 's3://b/xlogs/a.gz'],
  ],
  ['/logs/*.gz', ['s3://b/logs/a.gz', 'file:///logs/a.gz'], ['s3://b/x/logs/a.gz']],
  ['a/**/z', ['s3://b/a/z', 's3://b/a/b/c/z', 's3://b/q/a/b/z'], ['s3://b/az', 's3://b/a/zz']],
  ['**/z', ['s3://b/z', 's3://b/a/z'], ['s3://b/az']],
  ['a/**', ['s3://b/a/b', 's3://b/a/b/c'], ['s3://b/a', 's3://b/ab/c']],
  ['tmp/', ['s3://b/tmp/x', 's3://b/d/tmp/x/y'], ['s3://b/tmp', 's3://b/xtmp/y']],
  ['a**z', ['s3://b/a/b/z', 's3://b/az'], ['s3://b/ab']],
  ['?.bin', ['s3://b/1.bin', 's3://b/\u{1f388}.bin'], ['s3://b/12.bin', 's3://b/.bin']],
  ['[a-c]x', ['s3://b/ax', 's3://b/cx'], ['s3://b/dx', 's3://b/-x']],
  ['[!a-c]x', ['s3://b/dx'], ['s3://b/ax', 's3://b/d/x']],
  ['[]]x', ['s3://b/]x'], ['s3://b/x']],
  ['*.{jpg,jp{e,}g}', ['s3://b/a.jpg', 's3://b/a.jpeg'], ['s3://b/a.png']],
  ['a\\*b', ['s3://b/a*b'], ['s3://b/axb']],
  ['a+b(c)', ['s3://b/a+b(c)'], ['s3://b/aab(c)']],
  ['x,y}', ['s3://b/x,y}'], ['s3://b/x']],
  ['s3:', [], ['s3://b/x']],
];

for (const [glob, matching, others] of TABLE) {
  test(`glob: ${glob}`, (t) => {
    for (const path of matching) t.true(matches(glob, path), path);
    for (const path of others) t.false(matches(glob, path), path);
  });
}

test('glob: what is no pattern, too long or too complex is refused with the reason', (t) => {
  for (const [glob, says] of [
    ['[a', "glob '[a' has a [ without its ]"],
    ['{a,b', "glob '{a,b' has a { without its }"],
    ['a\\', "glob 'a\\' ends in a \\"],
    ['[z-a]', 'include is not an RE2 pattern'],
    ['', 'include must have globs of 1 to 1024 characters, has one of 0'],
    ['x'.repeat(1025), 'include must have globs of 1 to 1024 characters, has one of 1025'],
  ] as const) {
    const error = t.throws(() => matches(glob, 's3://b/x'));
    t.like(error, { code: 'invalid_argument' });
    t.true(error.message.startsWith(says), error.message);
  }
  const many = Array.from({ length: 30 }, () => '?'.repeat(1000));
  t.regex(t.throws(() => compileGlobs(many, 'exclude')).message, /^exclude is too complex/);
});

test('glob: many stars take time linear in the path', (t) => {
  const glob = compileGlobs([`${'*a'.repeat(200)}b`, `${'**a'.repeat(200)}b`], 'include');
  const path = `s3://b/${'a'.repeat(2000)}`;
  const startedMs = performance.now();
  t.false(glob(path));
  // A matcher that backtracks takes longer than anybody waits.
  t.true(performance.now() - startedMs < 20_000);
});

test('filters: all of them have to hold', (t) => {
  const file = { path: 's3://b/d/x.bin', sizeBytes: 100, mtimeMs: 5000 };
  t.true(compileFilters({})(file));
  t.true(compileFilters({ minSizeBytes: 100, maxSizeBytes: 100 })(file));
  t.false(compileFilters({ minSizeBytes: 101 })(file));
  t.false(compileFilters({ maxSizeBytes: 99 })(file));
  t.true(compileFilters({ modifiedAfterMs: 4999, modifiedBeforeMs: 5001 })(file));
  t.false(compileFilters({ modifiedAfterMs: 5000 })(file));
  t.false(compileFilters({ modifiedBeforeMs: 5000 })(file));
  t.false(compileFilters({ modifiedAfterMs: 1 })({ ...file, mtimeMs: 0 }), 'unknown age');
  t.true(compileFilters({ include: ['*.txt', '*.bin'] })(file));
  t.false(compileFilters({ include: ['*.txt'] })(file));
  t.false(compileFilters({ include: ['*.bin'], exclude: ['d/'] })(file));
  t.false(compileFilters({ include: ['*.bin'], fileFilterRegex: 'y.*' })(file));
});
