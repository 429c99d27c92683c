/** GetObject and HeadObject, as clients meet them. */
import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { ODD_KEYS, S3_ONLY_ODD_KEYS } from '../support/odd-keys.ts';
import { LAST_MODIFIED, S3World } from './support.ts';

const TEXT = 'the quick brown fox jumps over the lazy dog';
let world: S3World;

test.before(async () => {
  world = await S3World.open();
  world.put('fox', TEXT);
  world.put('empty', '');
});
test.after.always(async () => {
  await world[Symbol.asyncDispose]();
});

test('objects: a whole one comes with its length, tag, date and type', async (t) => {
  const { status, headers, body } = await world.get('/b/fox');
  t.is(status, 200);
  t.is(body.toString(), TEXT);
  t.like(headers, {
    'content-length': String(TEXT.length),
    etag: '"v1"',
    'last-modified': LAST_MODIFIED,
    'accept-ranges': 'bytes',
    'content-type': 'binary/octet-stream',
    'x-amz-request-id': 'REQUEST',
  });
  t.is(headers['content-range'], undefined);
});

test('objects: HEAD tells the same without a body', async (t) => {
  const head = await world.send('HEAD', '/b/fox');
  t.is(head.status, 200);
  t.is(head.body.length, 0);
  t.like(head.headers, { 'content-length': String(TEXT.length), etag: '"v1"' });
});

test('objects: an empty one is 200 with nothing in it', async (t) => {
  const { status, headers, body } = await world.get('/b/empty');
  t.is(status, 200);
  t.is(headers['content-length'], '0');
  t.is(body.length, 0);
});

const SIZE = TEXT.length;
for (const [range, status, from, to] of [
  ['bytes=0-0', 206, 0, 1],
  ['bytes=4-8', 206, 4, 9],
  ['bytes=4-', 206, 4, SIZE],
  ['bytes=-5', 206, SIZE - 5, SIZE],
  ['bytes=-1000', 206, 0, SIZE],
  ['bytes=40-1000', 206, 40, SIZE],
  ['BYTES=1-2', 206, 1, 3],
  [`bytes=${SIZE - 1}-`, 206, SIZE - 1, SIZE],
  ['bytes=9-99999999999999999999', 206, 9, SIZE],
  ['bytes=0-1,3-4', 200, 0, SIZE],
  ['bytes=0--2', 200, 0, SIZE],
  ['bytes=5-4', 200, 0, SIZE],
  ['bytes=-', 200, 0, SIZE],
  ['bytes=a-b', 200, 0, SIZE],
  ['lines=0-1', 200, 0, SIZE],
  ['', 200, 0, SIZE],
] as const) {
  test(`objects: Range ${range || '(empty)'} gives ${status} with bytes ${from} to ${to}`, async (t) => {
    const reply = await world.get('/b/fox', { range });
    t.is(reply.status, status);
    t.is(reply.body.toString(), TEXT.slice(from, to));
    const told = status === 206 ? `bytes ${from}-${to - 1}/${SIZE}` : undefined;
    t.is(reply.headers['content-range'], told);
    const head = await world.send('HEAD', '/b/fox', { range });
    t.is(head.status, status);
    t.is(head.headers['content-length'], String(to - from));
  });
}

for (const [key, range] of [
  ['fox', `bytes=${SIZE}-`],
  ['fox', 'bytes=1000-2000'],
  ['fox', 'bytes=-0'],
  ['empty', 'bytes=0-0'],
  ['empty', 'bytes=-1'],
] as const) {
  test(`objects: Range ${range} of ${key} is 416 and names the size`, async (t) => {
    const reply = await world.get(`/b/${key}`, { range });
    t.is(reply.status, 416);
    t.is(reply.code, 'InvalidRange');
    const size = key === 'fox' ? SIZE : 0;
    t.is(reply.headers['content-range'], `bytes */${size}`);
    t.true(reply.body.includes(`<ActualObjectSize>${size}<`));
  });
}

const BEFORE = 'Sat, 31 Jan 2026 11:59:59 GMT';
const AFTER = 'Sat, 31 Jan 2026 12:00:01 GMT';
for (const [conditions, status] of [
  [{ 'if-match': '"v1"' }, 200],
  [{ 'if-match': 'v1' }, 200],
  [{ 'if-match': '"other", "v1"' }, 200],
  [{ 'if-match': '*' }, 200],
  [{ 'if-match': '"other"' }, 412],
  [{ 'if-match': 'W/"v1"' }, 412],
  [{ 'if-none-match': '"v1"' }, 304],
  [{ 'if-none-match': 'v1' }, 304],
  [{ 'if-none-match': 'W/"v1"' }, 304],
  [{ 'if-none-match': '*' }, 304],
  [{ 'if-none-match': '"other"' }, 200],
  [{ 'if-modified-since': LAST_MODIFIED }, 304],
  [{ 'if-modified-since': AFTER }, 304],
  [{ 'if-modified-since': BEFORE }, 200],
  [{ 'if-modified-since': 'no date' }, 200],
  [{ 'if-unmodified-since': LAST_MODIFIED }, 200],
  [{ 'if-unmodified-since': BEFORE }, 412],
  // The tag decides where both are given.
  [{ 'if-match': '"v1"', 'if-unmodified-since': BEFORE }, 200],
  [{ 'if-none-match': '"other"', 'if-modified-since': AFTER }, 200],
  [{ 'if-match': '"other"', 'if-none-match': '"v1"' }, 412],
] as const) {
  test(`objects: ${JSON.stringify(conditions)} is ${status}`, async (t) => {
    for (const method of ['GET', 'HEAD']) {
      const reply = await world.send(method, '/b/fox', conditions);
      t.is(reply.status, status, method);
      if (status === 304) t.is(reply.headers['etag'], '"v1"');
      const wanted = status !== 412 || method === 'HEAD' ? undefined : 'PreconditionFailed';
      t.is(reply.code, wanted);
    }
  });
}

test('objects: a condition is looked at before the range', async (t) => {
  const range = 'bytes=1000-';
  t.is((await world.get('/b/fox', { range, 'if-match': '"other"' })).status, 412);
  t.is((await world.get('/b/fox', { range, 'if-none-match': '"v1"' })).status, 304);
});

test('objects: If-Range of another version gives the whole', async (t) => {
  const range = 'bytes=0-1';
  t.is((await world.get('/b/fox', { range, 'if-range': '"v1"' })).status, 206);
  t.is((await world.get('/b/fox', { range, 'if-range': '"other"' })).status, 200);
});

test('objects: what an object carries is told, checksums only of the whole and on demand', async (t) => {
  await using own = await S3World.open();
  const { path } = own.put('typed', TEXT);
  own.attributes.set(path, [
    ['content-type', 'text/plain'],
    ['cache-control', 'no-cache'],
    ['content-encoding', 'identity'],
    ['x-amz-meta-color', 'blue \xfc'],
    ['x-amz-version-id', 'id1'],
    ['x-amz-checksum-crc32c', 'AAAAAA=='],
  ]);
  const plain = await own.get('/b/typed');
  t.like(plain.headers, {
    'content-type': 'text/plain',
    'cache-control': 'no-cache',
    'content-encoding': 'identity',
    'x-amz-meta-color': 'blue \xfc',
    'x-amz-version-id': 'id1',
  });
  t.is(plain.headers['x-amz-checksum-crc32c'], undefined);
  const mode = { 'x-amz-checksum-mode': 'ENABLED' };
  t.is((await own.get('/b/typed', mode)).headers['x-amz-checksum-crc32c'], 'AAAAAA==');
  const part = await own.get('/b/typed', { ...mode, range: 'bytes=0-1' });
  t.is(part.headers['x-amz-checksum-crc32c'], undefined);
  t.is(part.headers['content-type'], 'text/plain');
});

test('objects: the under store is asked once what a version carries', async (t) => {
  await using own = await S3World.open();
  own.put('a');
  for (let i = 0; i < 3; i++) t.is((await own.get('/b/a')).status, 200);
  t.is(own.statCount, 1);
  own.put('a', 'another');
  t.is((await own.get('/b/a')).body.toString(), 'another');
  t.is(own.statCount, 2);
});

test('objects: what a record tells of an object is told without the under store', async (t) => {
  await using own = await S3World.open();
  const attributes = [
    ['content-type', 'image/png'],
    ['x-amz-meta-color', 'blue'],
  ] as const;
  const shape = { segmented: true, replicaCount: 1, attributes };
  const small = { ...own.put('small', TEXT), ...shape, segmentSizeBytes: 1000 };
  const large = { ...own.put('large', TEXT), ...shape, segmentSizeBytes: 10 };
  await own.reads.peer('me').catalog.putAll([small, large]);
  own.fault = new RingloadError('ufs_unavailable', 'down');
  const told = Object.fromEntries(attributes);
  const mode = { 'x-amz-checksum-mode': 'ENABLED' };
  for (const key of ['/b/small', '/b/large']) t.like((await own.get(key)).headers, told);
  t.like((await own.get('/b/small', mode)).headers, told);
  t.is(own.statCount, 0);
  // Of an object that came in ranges nobody has told the checksums yet.
  t.like((await own.get('/b/large', mode)).headers, told);
  t.is(own.statCount, 1);
});

test('objects: without an answer of the under store the bytes come, and nobody waits again', async (t) => {
  await using own = await S3World.open();
  own.put('a');
  own.put('c');
  own.fault = new RingloadError('ufs_unavailable', 'down');
  t.is((await own.get('/b/a')).body.toString(), 'a');
  t.is((await own.get('/b/c')).status, 200);
  t.is(own.statCount, 1);
});

test('objects: a missing one is NoSuchKey, a missing bucket NoSuchBucket', async (t) => {
  const missing = await world.get('/b/no%20such');
  t.is(missing.status, 404);
  t.is(missing.code, 'NoSuchKey');
  t.is(missing.headers['content-type'], 'application/xml');
  t.true(missing.body.includes('<RequestId>REQUEST</RequestId>'));
  t.is((await world.get('/other/key')).code, 'NoSuchBucket');
  const head = await world.send('HEAD', '/b/no%20such');
  t.is(head.status, 404);
  t.is(head.body.length, 0);
});

test('objects: parts of one that was put at once: the first is all of it', async (t) => {
  const first = await world.get('/b/fox?partNumber=1');
  t.is(first.status, 206);
  t.is(first.body.toString(), TEXT);
  t.is((await world.get('/b/fox?partNumber=2')).code, 'InvalidPartNumber');
  t.is((await world.get('/b/fox?partNumber=0')).code, 'InvalidArgument');
  t.is((await world.get('/b/fox?partNumber=1', { range: 'bytes=0-1' })).code, 'InvalidRequest');
  const empty = await world.get('/b/empty?partNumber=1');
  t.is(empty.headers['content-length'], '0');
});

test('objects: odd keys survive, encoded and raw', async (t) => {
  await using own = await S3World.open();
  const keys = [...ODD_KEYS, ...S3_ONLY_ODD_KEYS];
  for (const key of keys) own.put(key, `bytes of ${key}`);
  for (const key of keys) {
    const reply = await own.get(`/b/${encodeURIComponent(key)}`);
    t.is(reply.status, 200, key);
    t.is(reply.body.toString(), `bytes of ${key}`, key);
    const slashed = encodeURIComponent(key).replaceAll('%2F', '/');
    t.is((await own.get(`/b/${slashed}`)).body.toString(), `bytes of ${key}`, key);
  }
});

test('objects: a plus sign in a path is a plus sign', async (t) => {
  await using own = await S3World.open();
  own.put('a+b', 'plus');
  own.put('a b', 'blank');
  t.is((await own.get('/b/a+b')).body.toString(), 'plus');
  t.is((await own.get('/b/a%20b')).body.toString(), 'blank');
});

for (const [target, code] of [
  ['/b/%', 'InvalidURI'],
  ['/b/%zz', 'InvalidURI'],
  ['/b/%E0%A4%A', 'InvalidURI'],
  ['/b/%ff', 'InvalidURI'],
  ['/b/nul%00', 'InvalidURI'],
  [`/b/${'k'.repeat(1025)}`, 'KeyTooLongError'],
  ['/b/fox?acl', 'NotImplemented'],
  ['/b/fox?tagging', 'NotImplemented'],
  ['/b/fox?attributes', 'NotImplemented'],
  ['/b/fox?versionId=abc', 'NotImplemented'],
  ['/b?versions', 'NotImplemented'],
  ['/b?uploads', 'NotImplemented'],
  ['/b?policy', 'NotImplemented'],
  ['/b/fox?response-content-type=text/html', 'InvalidRequest'],
] as const) {
  test(`objects: GET ${target.slice(0, 40)} is refused with ${code}`, async (t) => {
    const reply = await world.get(target);
    t.is(reply.code, code);
    t.true(reply.status >= 400);
  });
}

for (const method of ['PUT', 'POST', 'DELETE', 'PATCH']) {
  test(`objects: ${method} is not allowed`, async (t) => {
    const reply = await world.send(method, '/b/fox');
    t.is(reply.status, 405);
    t.is(reply.code, 'MethodNotAllowed');
    t.is((await world.get('/b/fox')).body.toString(), TEXT);
  });
}

test('objects: one that changes while it is opened is opened in its new version', async (t) => {
  await using own = await S3World.open();
  own.put('a', 'old');
  let isFirst = true;
  own.reads.under.onCall = ({ operation }) => {
    if (operation !== 'readRange' || !isFirst) return;
    isFirst = false;
    own.put('a', 'renewed');
  };
  const reply = await own.get('/b/a');
  t.is(reply.body.toString(), 'renewed');
  t.is(reply.headers['etag'], '"v2"');
});

test('objects: a body that breaks cuts the connection', async (t) => {
  await using own = await S3World.open();
  own.put('long', 'x'.repeat(200_000));
  own.reads.under.onCall = ({ operation, offset }) => {
    if (operation === 'readRange' && offset === 20) own.reads.under.delete('s3://b/long');
  };
  await t.throwsAsync(own.get('/b/long'));
});

test('objects: keys outside of a mounted prefix are denied', async (t) => {
  await using own = await S3World.open({ mounts: ['s3://b'] });
  t.is((await own.get('/')).status, 200);
  const reply = await own.get('/%2e%2e/b');
  t.is(reply.code, 'NoSuchBucket');
});
