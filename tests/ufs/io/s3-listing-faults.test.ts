/** Listings and heads that lie, loop, stall or cannot be read. */
import test from 'ava';

import type { ErrorCode } from '../../../src/base/errors.ts';
import { NumberedObjects } from '../../../src/sample/object-set.ts';
import { startSampleStore } from '../../../src/sample/sample-store.ts';
import type { SampleRequest } from '../../../src/sample/s3-request.ts';
import { decodeUrlEncoded } from '../../../src/ufs/io/s3-listing.ts';
import { S3UnderStore } from '../../../src/ufs/io/s3-under-store.ts';
import { UFS_DEFAULT_LIMITS } from '../../../src/ufs/mounts.ts';
import { listAll } from '../../conformance/under-store.ts';
import { FaultyOrigin, type FaultAction } from '../../support/faulty-origin.ts';
import { failureOf, S3Fixture, SHORT_LIMITS } from '../../support/s3-fixture.ts';
import { fastClock, ufsDependencies } from '../../support/ufs-dependencies.ts';

const KEYS = Array.from({ length: 25 }, (_, i) => `d/${String(i).padStart(3, '0')}`);
const SIZES = Object.fromEntries(KEYS.map((key, i) => [key, i]));

const edit = (change: (text: string, request: SampleRequest) => string): FaultAction => ({
  kind: 'edit',
  edit: change,
});

const CONTENTS = /<Contents>.*?<\/Contents>/g;

/** An empty page that says that more follow. */
const emptyPage = (token: string): FaultAction =>
  edit((text) =>
    text
      .replace(CONTENTS, '')
      .replace(/<NextContinuationToken>.*<\/NextContinuationToken>/, '')
      .replace(
        /<IsTruncated>.*?<\/IsTruncated>/,
        `<IsTruncated>true</IsTruncated><NextContinuationToken>${token}</NextContinuationToken>`,
      ),
  );

interface Case {
  readonly fault: string;
  readonly action: FaultAction;
  readonly times?: number;
  /** `all`: every key, once, in order. */
  readonly expect: 'all' | ErrorCode;
  readonly message?: RegExp;
}

const cases: readonly Case[] = [
  {
    fault: 'a duplicate key',
    action: edit((text) => text.replace(/<Contents>.*?<\/Contents>/, '$&$&')),
    expect: 'all',
  },
  {
    fault: 'keys out of order',
    action: edit((text) => {
      const found = text.match(CONTENTS) ?? [];
      return text.replace(found.join(''), [...found].reverse().join(''));
    }),
    expect: 'ufs_bad_response',
    message: /order of their UTF-8 bytes/,
  },
  {
    fault: 'the last key of a page again on the next',
    action: edit((text, request) => {
      const after = request.query.get('start-after');
      const again = `<Contents><Key>${after ?? ''}</Key><Size>1</Size></Contents>`;
      return after === undefined ? text : text.replace('<Contents>', `${again}<Contents>`);
    }),
    expect: 'all',
  },
  {
    fault: 'a page that goes back behind the one before, after a new key',
    action: edit((text, request) =>
      request.query.get('start-after') === undefined
        ? text
        : text.replace(
            /<\/Contents>/,
            '</Contents><Contents><Key>d/001</Key><Size>1</Size></Contents>',
          ),
    ),
    expect: 'ufs_bad_response',
    message: /order of their UTF-8 bytes/,
  },
  {
    fault: 'groups in place of keys',
    action: edit((text) =>
      text
        .replace(CONTENTS, '')
        .replace(
          '</ListBucketResult>',
          '<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes></ListBucketResult>',
        ),
    ),
    expect: 'ufs_bad_response',
    message: /groups/,
  },
  {
    fault: 'an empty page that is not the last, once',
    action: emptyPage(Buffer.from('d/').toString('base64url')),
    times: 1,
    expect: 'all',
  },
  {
    fault: 'empty pages that go round in a circle',
    action: emptyPage('same'),
    expect: 'ufs_bad_response',
    message: /circle/,
  },
  {
    fault: 'empty pages without end',
    action: edit((_text, request) => {
      const token = `${request.query.get('continuation-token') ?? ''}x`;
      return `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>${token}</NextContinuationToken></ListBucketResult>`;
    }),
    expect: 'ufs_bad_response',
    message: /brought no new key/,
  },
  {
    fault: 'an empty page without token',
    action: edit(() => '<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>'),
    expect: 'ufs_bad_response',
    message: /but not where/,
  },
  {
    fault: 'an HTML page with 200',
    action: { kind: 'status', status: 200, body: '<html><body>maintenance</body></html>' },
    expect: 'ufs_bad_response',
    message: /not a listing/,
  },
  {
    fault: 'an error document with 200',
    action: { kind: 'status', status: 200, code: 'InternalError' },
    expect: 'ufs_unavailable',
    message: /InternalError/,
  },
  {
    fault: 'an empty body with 200',
    action: { kind: 'status', status: 200, body: '' },
    expect: 'ufs_bad_response',
  },
  {
    fault: 'cut XML',
    action: edit((text) => text.slice(0, text.length / 2)),
    expect: 'ufs_bad_response',
  },
  {
    fault: 'cut XML once',
    action: edit((text) => text.slice(0, text.length / 2)),
    times: 1,
    expect: 'all',
  },
  {
    fault: 'an entity bomb',
    action: edit(
      () =>
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><ListBucketResult><Name>&b;</Name></ListBucketResult>',
    ),
    expect: 'ufs_bad_response',
  },
  {
    fault: 'XML nested a million deep',
    action: edit(() => '<a>'.repeat(1_000_000)),
    expect: 'ufs_bad_response',
  },
  {
    fault: 'a document of 17 MiB',
    action: edit((text) => text + ' '.repeat(17 * 1024 * 1024)),
    expect: 'ufs_bad_response',
    message: /document of more than/,
  },
  {
    fault: 'a key that is not decodable',
    action: edit((text) => text.replace('d/000', 'd/%E0%A4%A')),
    expect: 'ufs_bad_response',
    message: /not decodable/,
  },
  {
    fault: 'a key outside the prefix',
    action: edit((text) => text.replace('<Key>d/000', '<Key>c/000')),
    expect: 'ufs_bad_response',
    message: /outside the prefix/,
  },
  {
    fault: 'an object without size',
    action: edit((text) => text.replace('<Size>0</Size>', '')),
    expect: 'ufs_bad_response',
    message: /no valid size/,
  },
  {
    fault: 'an object of negative size',
    action: edit((text) => text.replace('<Size>0</Size>', '<Size>-1</Size>')),
    expect: 'ufs_bad_response',
  },
  {
    fault: 'an impossible date',
    action: edit((text) => text.replace('2026-01-01T', '2026-99-99T')),
    expect: 'ufs_bad_response',
  },
  {
    fault: '503 once',
    action: { kind: 'status', status: 503, code: 'SlowDown' },
    times: 1,
    expect: 'all',
  },
  {
    fault: '503',
    action: { kind: 'status', status: 503, code: 'SlowDown' },
    expect: 'ufs_throttled',
  },
  {
    fault: '403',
    action: { kind: 'status', status: 403, code: 'AccessDenied' },
    expect: 'ufs_forbidden',
  },
  {
    fault: 'no such bucket',
    action: { kind: 'status', status: 404, code: 'NoSuchBucket' },
    expect: 'ufs_not_found',
    message: /bucket does not exist/,
  },
  { fault: 'reset in the document', action: { kind: 'reset', at: 100 }, times: 1, expect: 'all' },
  { fault: 'FIN in the document', action: { kind: 'fin', at: 100 }, times: 1, expect: 'all' },
  { fault: 'FIN in each document', action: { kind: 'fin', at: 100 }, expect: 'ufs_unavailable' },
];

for (const { fault, action, times, expect, message } of cases) {
  test.serial(`s3 listing: ${fault} gives ${expect}`, async (t) => {
    await using fixture = await S3Fixture.open(SIZES);
    const rule = { operation: 'list', action } as const;
    // The page below the root, not the look for the root itself.
    fixture.origin.script(times === undefined ? rule : { ...rule, times });
    const listing = listAll(fixture.store, `${fixture.root}/d`, 10);
    if (expect === 'all') {
      const objects = await listing;
      t.deepEqual(
        objects.map(({ path }) => path),
        KEYS.map((key) => `${fixture.root}/${key}`),
      );
      t.deepEqual(
        objects.map(({ sizeBytes }) => sizeBytes),
        Object.values(SIZES),
      );
    } else {
      const error = await failureOf(listing);
      t.is(error.code, expect, error.message);
      if (message) t.regex(error.message, message);
    }
    fixture.origin.script();
    t.is((await listAll(fixture.store, fixture.root, 1_000)).length, KEYS.length);
  });
}

for (const action of [
  { kind: 'stall', at: -1 },
  { kind: 'stall', at: 50 },
  { kind: 'loris', intervalMs: 50 },
] as const satisfies readonly FaultAction[]) {
  test.serial(`s3 listing: ${JSON.stringify(action)} ends at the deadline`, async (t) => {
    await using fixture = await S3Fixture.open(SIZES, { limits: SHORT_LIMITS });
    fixture.origin.script({ operation: 'list', action, times: 1 });
    t.is((await listAll(fixture.store, `${fixture.root}/d`, 1_000)).length, KEYS.length);
    fixture.origin.script({ operation: 'list', action });
    const error = await failureOf(listAll(fixture.store, `${fixture.root}/d`, 1_000));
    t.is(error.code, 'ufs_unavailable');
    t.regex(error.message, /no answer within 700 ms/);
  });
}

test.serial('s3 listing: a page that takes 30 s is waited for', async (t) => {
  // A clock that is a hundred times as fast: half a minute is 300 ms, the default deadline 600 ms.
  const { listTimeoutMs } = UFS_DEFAULT_LIMITS;
  await using fixture = await S3Fixture.open(
    SIZES,
    { limits: { listTimeoutMs } },
    {
      clock: fastClock(100),
    },
  );
  fixture.origin.script({ operation: 'list', action: { kind: 'delay', delayMs: 300 } });
  t.is((await listAll(fixture.store, `${fixture.root}/d`, 1_000)).length, KEYS.length);
  t.is(fixture.origin.countOf('list'), 2);
});

test.serial('s3 listing: a hundred million keys are listed from any place', async (t) => {
  const count = 100_000_000;
  const objects = new NumberedObjects({ prefix: 'n/', count, sizeBytes: 5 });
  const bucket = FaultyOrigin.BUCKET;
  await using server = await startSampleStore({ bucket, objects });
  const store = new S3UnderStore(
    { path: `s3://${bucket}`, endpoint: server.endpoint, credentials: { kind: 'anonymous' } },
    ufsDependencies(),
  );
  const { signal } = new AbortController();
  const root = `s3://${bucket}/n`;
  const name = (number: number): string => `${root}/${String(number).padStart(10, '0')}`;
  for (const start of [-1, 49_999_999, count - 11]) {
    const request = { root, limit: 20, ...(start >= 0 && { after: name(start) }) };
    const page = await store.list(request, signal);
    const expected = Math.min(20, count - 1 - start);
    t.deepEqual(
      page.objects.map(({ path }) => path),
      Array.from({ length: expected }, (_, i) => name(start + 1 + i)),
    );
    t.is(page.done, start === count - 11);
  }
  await store.close();
});

test.serial('s3 listing: a store that ignores StartAfter is followed by its tokens', async (t) => {
  await using fixture = await S3Fixture.open(SIZES);
  const request = { root: fixture.root, after: `${fixture.root}/d/003`, limit: 5 };
  fixture.origin.ignoresStartAfter = true;
  const page = await fixture.store.list(request, fixture.signal);
  t.deepEqual(
    page.objects.map(({ path }) => path),
    [`${fixture.root}/d/004`],
  );
  const all = await listAll(fixture.store, fixture.root, 5);
  t.is(all.length, KEYS.length);
});

test.serial(
  's3 listing: a policy that allows only the prefix with its slash is enough',
  async (t) => {
    await using fixture = await S3Fixture.open({ ...SIZES, d: 1 });
    const action: FaultAction = { kind: 'status', status: 403, code: 'AccessDenied' };
    fixture.origin.script({ operation: 'list', nth: 1, action });
    t.is((await listAll(fixture.store, `${fixture.root}/d`, 1_000)).length, KEYS.length);
  },
);

test.serial('s3 listing: keys that come and go between pages cost no other key', async (t) => {
  await using fixture = await S3Fixture.open(SIZES);
  const { objects } = fixture.origin;
  const first = await fixture.store.list({ root: fixture.root, limit: 10 }, fixture.signal);
  objects.delete('d/009');
  objects.delete('d/010');
  objects.put('d/000-late', 1);
  objects.put('d/011-new', 1);
  const after = first.cursor ?? '';
  const rest = await fixture.store.list(
    { root: fixture.root, after, limit: 1_000 },
    fixture.signal,
  );
  t.deepEqual(
    rest.objects.map(({ path }) => path.slice(fixture.root.length + 1)),
    ['d/011', 'd/011-new', ...KEYS.slice(12)],
  );
});

test.serial('s3 listing: url encoding is undone for blanks in either spelling', (t) => {
  t.is(decodeUrlEncoded('a+b%20c%2Bd/%25'), 'a b c+d/%');
  t.is(decodeUrlEncoded('%F0%9F%99%82'), '🙂');
  t.is(decodeUrlEncoded('100%'), undefined);
});

test.serial('s3 listing: a store that does not know the encoding is believed', async (t) => {
  await using fixture = await S3Fixture.open({ 'a+b': 1, 'c%20d': 1 });
  fixture.origin.script({
    operation: 'list',
    action: edit((text) =>
      text
        .replace('<EncodingType>url</EncodingType>', '')
        .replace('a%2Bb', 'a+b')
        .replace('c%2520d', 'c%20d'),
    ),
  });
  const objects = await listAll(fixture.store, fixture.root, 10);
  t.deepEqual(
    objects.map(({ path }) => path.slice(fixture.root.length + 1)),
    ['a+b', 'c%20d'],
  );
});

const stats: readonly (readonly [string, FaultAction, ErrorCode])[] = [
  [
    '403 with a reason',
    { kind: 'status', status: 403, code: 'InvalidAccessKeyId' },
    'ufs_credentials',
  ],
  ['403 of the object', { kind: 'status', status: 403, code: 'AccessDenied' }, 'ufs_forbidden'],
  [
    '400 with an expired token',
    { kind: 'status', status: 400, code: 'ExpiredToken' },
    'ufs_credentials',
  ],
  ['301', { kind: 'status', status: 301, code: 'PermanentRedirect' }, 'config_invalid'],
  ['404', { kind: 'status', status: 404, code: 'NoSuchKey' }, 'ufs_not_found'],
  ['503', { kind: 'status', status: 503, code: 'SlowDown' }, 'ufs_throttled'],
  ['no length', { kind: 'headers', set: { 'content-length': null } }, 'ufs_bad_response'],
  ['a reset', { kind: 'reset', at: -1 }, 'ufs_unavailable'],
];

for (const [fault, action, expect] of stats) {
  test.serial(`s3 stat: ${fault} gives ${expect}`, async (t) => {
    await using fixture = await S3Fixture.open(SIZES);
    fixture.origin.script({ action });
    t.is((await failureOf(fixture.stat('d/007'))).code, expect);
    fixture.origin.script({ action: { kind: 'reset', at: -1 }, times: 1 });
    t.is((await fixture.stat('d/007')).sizeBytes, 7);
  });
}

test.serial('s3 stat: a weak ETag keeps its mark and cannot pin bytes', async (t) => {
  await using fixture = await S3Fixture.open({ key: 100 });
  fixture.origin.script({
    operation: 'head',
    action: { kind: 'headers', set: { etag: 'W/"abc"' } },
  });
  const object = await fixture.stat('key');
  t.is(object.version, 'W/"abc"');
  t.is((await failureOf(fixture.read(object))).code, 'ufs_changed');
});

test.serial('s3 stat: a multipart ETag round-trips through If-Match', async (t) => {
  await using fixture = await S3Fixture.open({ key: 100 });
  fixture.origin.script({ action: { kind: 'headers', set: { etag: '"0123-12"' } } });
  const object = await fixture.stat('key');
  t.is(object.version, '0123-12');
  await failureOf(fixture.read(object));
  t.is(fixture.origin.requests.at(-1)?.headers['if-match'], '"0123-12"');
});
