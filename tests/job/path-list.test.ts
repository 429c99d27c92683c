import test from 'ava';
import { PathList } from '../../src/job/path-list.ts';
import { comparePaths } from '../../src/ufs/path.ts';

test('path list: many runs come out as one, in order of UTF-8 bytes, each path once', (t) => {
  const paths: string[] = [];
  for (let n = 0; n < 35_000; n += 1) paths.push(`s3://b/${(n * 7919) % 30_011}`);
  paths.push('s3://b/\u{1f388}', 's3://b/\ufffd', '\ufeffs3://b/bom');
  const list = PathList.of(paths);
  const sorted = [...new Set(paths)].sort(comparePaths);
  t.deepEqual([...list.after()], sorted);
  t.true(list.has('s3://b/\u{1f388}'));
  t.false(list.has('s3://b'));
  const middle = sorted[20_000] ?? '';
  t.deepEqual([...list.after(middle)], sorted.slice(20_001));
  t.deepEqual(
    [...list.after('s3://b/5x')],
    sorted.filter((path) => comparePaths(path, 's3://b/5x') > 0),
  );
  t.deepEqual([...new PathList().after()], []);
});
