import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { canonicalLoadPath, checkFilePath, jobPathOf } from '../../src/job/canonical-path.ts';
import { parseJobSpec } from '../../src/job/parse-spec.ts';
import { SPEC_SPELLINGS } from '../../src/job/spec-spellings.ts';

const BOUNDS = { defaultSegmentSizeBytes: 4 * 1024 * 1024 };
const MIB = 1024 * 1024;

const own = (input: Record<string, unknown>) =>
  parseJobSpec({ path: 's3://b/p', ...input }, BOUNDS);
const alluxio = (input: Record<string, unknown>) =>
  parseJobSpec({ path: 's3://b/p', ...input }, BOUNDS, 'alluxio');

const refusalOf = (work: () => unknown): string => {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof RingloadError && thrown.code === 'invalid_argument')
      return thrown.message;
    throw thrown;
  }
  return 'accepted';
};

test('spec: silence means the defaults, own and Alluxio', (t) => {
  const common = {
    path: 's3://b/p',
    replicaCount: 1,
    segmentSizeBytes: 4 * MIB,
    segmented: true,
    reload: false,
    metadataOnly: false,
    verify: false,
    partialListing: false,
    batchSize: 200,
  };
  t.deepEqual(own({}), { ...common, skipIfExists: true });
  t.deepEqual(alluxio({}), { ...common, skipIfExists: false });
});

test('spec: quoted and typed values mean the same', (t) => {
  const typed = {
    replicas: 2,
    segmentSize: MIB,
    segmented: false,
    skipIfExists: true,
    metadataOnly: true,
    verify: true,
    partialListing: true,
    fileFilterRegex: 'a.*',
    bandwidth: 1024,
    batchSize: 7,
  };
  const quoted = Object.fromEntries(Object.entries(typed).map(([k, v]) => [k, String(v)]));
  const expected = {
    path: 's3://b/p',
    replicaCount: 2,
    segmentSizeBytes: MIB,
    segmented: false,
    skipIfExists: true,
    reload: false,
    metadataOnly: true,
    verify: true,
    partialListing: true,
    fileFilterRegex: 'a.*',
    bandwidthBps: 1024,
    batchSize: 7,
  };
  for (const parse of [own, alluxio]) {
    t.deepEqual(parse(typed), expected);
    t.deepEqual(parse(quoted), expected);
  }
});

test('spec: every spelling is understood in both dialects', (t) => {
  for (const parse of [own, alluxio]) {
    for (const name of ['fileFilterRegx', 'fileFilterRegex', 'file-filter-regx']) {
      t.is(parse({ [name]: 'x.*' }).fileFilterRegex, 'x.*', name);
    }
    t.true(parse({ loadMetadataOnly: 'true' }).metadataOnly);
    t.true(parse({ 'metadata-only': true }).metadataOnly);
    t.true(parse({ 'partial-listing': true }).partialListing);
    t.true(parse({ 'skip-if-exists': true }).skipIfExists);
    t.false(parse({ segmentEnabled: 'false' }).segmented);
    t.is(parse({ 'batch-size': '9' }).batchSize, 9);
  }
  t.is(new Set(SPEC_SPELLINGS).size, SPEC_SPELLINGS.length);
});

test('spec: two spellings of one field must agree', (t) => {
  t.is(own({ fileFilterRegx: 'a', fileFilterRegex: 'a' }).fileFilterRegex, 'a');
  t.regex(
    refusalOf(() => alluxio({ fileFilterRegx: 'a', fileFilterRegex: 'b' })),
    /^fileFilterRegx 'a' contradicts fileFilterRegex|^fileFilterRegex 'b' contradicts fileFilterRegx/,
  );
});

test('spec: bandwidth takes bytes or sizes, 0 is unlimited, negative is refused', (t) => {
  t.is(own({ bandwidth: '100m' }).bandwidthBps, 100 * MIB);
  t.is(own({ bandwidth: '1.5KiB' }).bandwidthBps, 1536);
  t.false('bandwidthBps' in own({ bandwidth: 0 }));
  t.false('bandwidthBps' in alluxio({ bandwidth: '0' }));
  t.false('bandwidthBps' in alluxio({ bandwidth: '' }));
  for (const parse of [own, alluxio]) {
    t.regex(
      refusalOf(() => parse({ bandwidth: -5 })),
      /^bandwidth '-5' must not be negative/,
    );
    t.regex(
      refusalOf(() => parse({ bandwidth: '-5' })),
      /^bandwidth '-5' must not be negative/,
    );
    t.regex(
      refusalOf(() => parse({ bandwidth: '-5m' })),
      /^bandwidth '-5m' must be a size/,
    );
    t.regex(
      refusalOf(() => parse({ bandwidth: 1.5 })),
      /^bandwidth '1.5' must be a size in bytes/,
    );
    t.regex(
      refusalOf(() => parse({ bandwidth: '5 m' })),
      /must be a size/,
    );
  }
});

test('spec: bounds hold at one below, the value, one above', (t) => {
  const cases = [
    ['replicas', 1, 64],
    ['batchSize', 1, 10_000],
    ['segmentSize', 64 * 1024, 1024 * MIB],
  ] as const;
  for (const [field, min, max] of cases) {
    for (const good of [min, max, String(min)]) t.notThrows(() => own({ [field]: good }));
    for (const bad of [min - 1, max + 1, String(max + 1)]) {
      t.is(
        refusalOf(() => own({ [field]: bad })),
        `${field} '${bad}' must be between ${min} and ${max}`,
      );
    }
  }
  t.is(own({ segmentSize: '1MiB' }).segmentSizeBytes, MIB);
});

test('spec: numbers must be whole and written in digits', (t) => {
  for (const bad of [
    1.5,
    '1.5',
    'x',
    ' 2',
    '0x2',
    true,
    [],
    {},
    Number.NaN,
    1e300,
    '9'.repeat(40),
  ]) {
    t.regex(
      refusalOf(() => own({ replicas: bad })),
      /^replicas '.*' must be a whole number/s,
    );
  }
});

test('spec: booleans are strict in the own API and Alluxio-like in the dialects', (t) => {
  t.true(own({ verify: 'TRUE' }).verify);
  t.true(alluxio({ verify: 'True' }).verify);
  t.false(alluxio({ verify: 'yes' }).verify);
  for (const bad of ['yes', '1', '', 1]) {
    t.regex(
      refusalOf(() => own({ verify: bad })),
      /^verify '.*' must be true or false/,
    );
  }
});

test('spec: skipIfExists false asks the own API, and only it, to reload', (t) => {
  const pick = (spec: { skipIfExists: boolean; reload: boolean }) => [
    spec.skipIfExists,
    spec.reload,
  ];
  t.deepEqual(pick(own({ skipIfExists: true })), [true, false]);
  t.deepEqual(pick(own({ skipIfExists: false })), [false, true]);
  t.deepEqual(pick(own({ reload: true })), [false, true]);
  t.deepEqual(pick(own({ reload: false })), [true, false]);
  t.deepEqual(pick(own({ skipIfExists: false, reload: false })), [false, false]);
  t.deepEqual(pick(alluxio({ skipIfExists: 'false' })), [false, false]);
  t.deepEqual(pick(alluxio({ skipIfExists: 'true' })), [true, false]);
  t.deepEqual(pick(alluxio({ reload: 'true' })), [false, true]);
  for (const parse of [own, alluxio]) {
    t.regex(
      refusalOf(() => parse({ skipIfExists: true, reload: true })),
      /exclude each other/,
    );
  }
});

test('spec: unknown fields are refused by the own API and ignored by the dialects', (t) => {
  t.regex(
    refusalOf(() => own({ replica: 2 })),
    /^field 'replica' is unknown: use path, paths, replicas/,
  );
  t.notThrows(() => alluxio({ replica: 2 }));
  const hostile = JSON.parse('{"path":"s3://b/p","__proto__":{"verify":true}}') as object;
  t.regex(
    refusalOf(() => parseJobSpec({ ...hostile, ['__proto__']: 1 }, BOUNDS)),
    /__proto__/,
  );
  t.false(parseJobSpec(hostile as Record<string, unknown>, BOUNDS, 'alluxio').verify);
  t.regex(
    refusalOf(() => own({ constructor: 1 })),
    /'constructor' is unknown/,
  );
});

test('spec: what is null is omitted, what is not supported is refused', (t) => {
  t.is(own({ replicas: null, fileFilterRegex: null }).replicaCount, 1);
  t.regex(
    refusalOf(() => alluxio({ index: 's3://b/list' })),
    /^index 's3:\/\/b\/list' is given beside path: name one of them/,
  );
  t.regex(
    refusalOf(() => own({ indexFile: 's3://b/list' })),
    /^indexFile 's3:\/\/b\/list' is given beside path/,
  );
});

test('spec: filters are checked at once', (t) => {
  t.regex(
    refusalOf(() => own({ fileFilterRegex: 'a(' })),
    /^fileFilterRegex is not an RE2 pattern/,
  );
  t.regex(
    refusalOf(() => own({ fileFilterRegex: 5 })),
    /^fileFilterRegex '5' must be text/,
  );
  t.false('fileFilterRegex' in own({ fileFilterRegex: '' }));
});

test('path: one trailing slash is dropped, keys are kept to the byte', (t) => {
  t.is(canonicalLoadPath('s3://bucket/'), 's3://bucket');
  t.is(canonicalLoadPath('s3://bucket/a/'), 's3://bucket/a');
  t.is(canonicalLoadPath('s3://bucket/a//'), 's3://bucket/a/');
  for (const path of [
    's3://bucket',
    's3://bucket/a/../b',
    's3://bucket//x',
    's3://bucket/%41%2F',
    's3://bucket/a+b c?d#e&f',
    's3://bucket/new\nline\t\u0001',
    's3://bucket/ünï-🎈',
    'hdfs://name-node:8020/data',
    'file:///data/x',
  ]) {
    t.is(canonicalLoadPath(path), path);
  }
  t.is(checkFilePath('s3://bucket/dir/'), 's3://bucket/dir/');
  t.is(checkFilePath('s3://bucket/a*b'), 's3://bucket/a*b');
  t.is(jobPathOf('whatever/'), 'whatever');
});

test('path: what is no path is refused with the rule', (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /must not be empty/],
    ['s3://b/*.csv', /^Load does not support wildcard path/],
    ['S3://b/p', /scheme in lower case/],
    ['/path', /must be a URI/],
    ['s3:/b/p', /must be a URI/],
    ['s3:///p', /must name a bucket/],
    ['s3://', /must be a URI|must name a bucket/],
    ['s3://b@evil/p', /must be a URI/],
    ['s3://bücket/p', /must be a URI/],
    ['s3://b\u0000/p', /must not contain NUL/],
    ['s3://b/\ud800', /well-formed Unicode/],
    ['file:///data/../etc', /'\.\.' components/],
    [`s3://b/${'x'.repeat(2042)}`, /at most 2048 bytes/],
    [`s3://b/${'ü'.repeat(1021)}`, /at most 2048 bytes/],
  ];
  for (const [path, rule] of cases)
    t.regex(
      refusalOf(() => canonicalLoadPath(path)),
      rule,
      path,
    );
  t.notThrows(() => canonicalLoadPath(`s3://b/${'x'.repeat(2041)}`));
  t.regex(
    refusalOf(() => parseJobSpec({}, BOUNDS)),
    /^path is missing/,
  );
  t.regex(
    refusalOf(() => parseJobSpec({ path: 5 }, BOUNDS)),
    /^path '5' must be text/,
  );
});
