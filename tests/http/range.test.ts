import test from 'ava';
import type { FileRecord } from '../../src/cache/file-catalog.ts';
import {
  checkPreconditions,
  entityTagOf,
  ifRangeHolds,
  lastModifiedOf,
  parseRange,
  resolveRange,
} from '../../src/http/range.ts';

const record = (change: Partial<FileRecord> = {}): FileRecord => ({
  path: 's3://b/f',
  sizeBytes: 10,
  version: 'v1',
  mtimeMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  segmentSizeBytes: 4,
  segmented: true,
  replicaCount: 1,
  ...change,
});

test('range: RFC 9110 forms resolve against the size', (t) => {
  const resolve = (header: string, size: number): unknown => {
    const range = parseRange(header);
    if (range === undefined) return 'whole';
    const resolved = resolveRange(range, size);
    return resolved === undefined ? 'unsatisfiable' : [resolved.offset, resolved.length];
  };
  const cases: readonly (readonly [string, number, unknown])[] = [
    ['bytes=0-0', 10, [0, 1]],
    ['bytes=0-9', 10, [0, 10]],
    ['bytes=0-10', 10, [0, 10]],
    ['bytes=9-', 10, [9, 1]],
    ['bytes=10-', 10, 'unsatisfiable'],
    ['bytes=10-20', 10, 'unsatisfiable'],
    ['bytes=-1', 10, [9, 1]],
    ['bytes=-10', 10, [0, 10]],
    ['bytes=-11', 10, [0, 10]],
    ['bytes=-0', 10, 'unsatisfiable'],
    ['bytes=0-', 0, 'unsatisfiable'],
    ['bytes=-5', 0, 'unsatisfiable'],
    ['BYTES= 1-2 ', 10, [1, 2]],
    [`bytes=0-${'9'.repeat(400)}`, 10, [0, 10]],
    [`bytes=${'9'.repeat(400)}-`, 10, 'unsatisfiable'],
    ['bytes=4294967296-4294967297', 5 * 2 ** 40, [4294967296, 2]],
    ['', 10, 'whole'],
    ['bytes=', 10, 'whole'],
    ['bytes=-', 10, 'whole'],
    ['bytes=0--2', 10, 'whole'],
    ['bytes=5-4', 10, 'whole'],
    ['bytes=0-1,3-4', 10, 'whole'],
    ['bytes=a-b', 10, 'whole'],
    ['bytes 0-1', 10, 'whole'],
    ['items=0-1', 10, 'whole'],
    ['bytes=1e1-', 10, 'whole'],
    ['bytes=+1-2', 10, 'whole'],
  ];
  for (const [header, size, expected] of cases)
    t.deepEqual(resolve(header, size), expected, header);
});

test('range: an entity tag is quoted once and always legal', (t) => {
  t.is(entityTagOf(record({ version: 'abc-2' })), '"abc-2"');
  t.is(entityTagOf(record({ version: '"abc-2"' })), '"abc-2"');
  t.is(entityTagOf(record({ version: 'a b\r\n"' })), '"a%20b%0D%0A%22"');
});

test('range: preconditions in the order of RFC 9110', (t) => {
  const none = { ifMatch: '', ifNoneMatch: '', ifUnmodifiedSince: '', ifModifiedSince: '' };
  const check = (conditions: Partial<typeof none>): string =>
    checkPreconditions(record(), { ...none, ...conditions });
  const date = 'Fri, 02 Jan 2026 03:04:05 GMT';
  const before = 'Fri, 02 Jan 2026 03:04:04 GMT';
  t.is(lastModifiedOf(record()), date);
  t.is(lastModifiedOf(record({ mtimeMs: 0 })), undefined);
  t.is(check({}), 'go-on');
  t.is(check({ ifMatch: '"x", "v1"' }), 'go-on');
  t.is(check({ ifMatch: '*' }), 'go-on');
  t.is(check({ ifMatch: '"x"' }), 'failed');
  t.is(check({ ifMatch: 'W/"v1"' }), 'failed');
  t.is(check({ ifNoneMatch: '"v1"' }), 'not-modified');
  t.is(check({ ifNoneMatch: 'W/"v1"' }), 'not-modified');
  t.is(check({ ifNoneMatch: '"x"', ifModifiedSince: date }), 'go-on');
  t.is(check({ ifModifiedSince: date }), 'not-modified');
  t.is(check({ ifModifiedSince: before }), 'go-on');
  t.is(check({ ifModifiedSince: 'nonsense' }), 'go-on');
  t.is(check({ ifUnmodifiedSince: date }), 'go-on');
  t.is(check({ ifUnmodifiedSince: before }), 'failed');
  t.is(check({ ifMatch: '"v1"', ifUnmodifiedSince: before }), 'go-on');
  t.true(ifRangeHolds(record(), ''));
  t.true(ifRangeHolds(record(), '"v1"'));
  t.true(ifRangeHolds(record(), date));
  t.false(ifRangeHolds(record(), '"v2"'));
  t.false(ifRangeHolds(record(), before));
});
