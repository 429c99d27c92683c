/** Writes through the endpoint, as clients send them, into an under store in memory. */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import test from 'ava';
import { RingloadError } from '../../src/base/errors.ts';
import { newRunningSum } from '../../src/s3/io/running-sums.ts';
import { CHECKSUM_NAMES } from '../../src/s3/payload.ts';
import { waitFor } from '../support/wait-for.ts';
import { ODD_KEYS, S3_ONLY_ODD_KEYS } from '../support/odd-keys.ts';
import { type Reply, S3World, signed } from './support.ts';

const sha256 = (bytes: string | Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');
const md5 = (bytes: string | Uint8Array): string =>
  createHash('md5').update(bytes).digest('base64');

function sumOf(name: (typeof CHECKSUM_NAMES)[number], bytes: Uint8Array): string {
  const sum = newRunningSum(name);
  sum.update(bytes);
  return sum.result();
}

/** Signed, with the body's hash. */
function send(
  world: S3World,
  method: string,
  target: string,
  options: {
    readonly body?: string | Uint8Array;
    readonly headers?: readonly (readonly [string, string])[];
    readonly payload?: string;
    readonly unsigned?: Readonly<Record<string, string>>;
  } = {},
): Promise<Reply> {
  const { body = '', headers = [], payload = sha256(body), unsigned = {} } = options;
  const host = new URL(world.endpoint).host;
  const fields = signed({ method, target, host, headers, payload });
  const length = { 'content-length': String(Buffer.byteLength(body)) };
  return world.send(method, target, { ...length, ...fields, ...unsigned }, body);
}

/** What the under store has; undefined: nothing. */
async function stored(world: S3World, key: string): Promise<Buffer | undefined> {
  const { under } = world.reads;
  const { signal } = new AbortController();
  const object = await under.stat(`s3://b/${key}`, signal).catch(() => undefined);
  if (object?.sizeBytes === 0) return Buffer.alloc(0);
  if (!object) return undefined;
  const pieces: Uint8Array[] = [];
  const whole = { ...object, offset: 0, length: object.sizeBytes };
  for await (const piece of under.readRange(whole, signal)) pieces.push(piece);
  return Buffer.concat(pieces);
}

test('writes: a mount that takes none says how it would', async (t) => {
  await using world = await S3World.open();
  for (const [method, target] of [
    ['PUT', '/b/a'],
    ['DELETE', '/b/a'],
    ['POST', '/b/a?uploads='],
    ['POST', '/b?delete='],
    ['PUT', '/b'],
  ] as const) {
    const reply = await send(world, method, target, { body: method === 'PUT' ? 'x' : '' });
    t.like(reply, { status: 405, code: 'MethodNotAllowed' }, `${method} ${target}`);
    t.true(reply.body.toString().includes('writes=through'));
  }
  t.deepEqual(world.notices, []);
});

test('writes: an object is put, read back, and deleted; peers hear of it around the write', async (t) => {
  await using world = await S3World.open({ writable: true });
  const put = await send(world, 'PUT', '/b/dir/a', { body: 'hello' });
  t.like(put, { status: 200, code: undefined });
  const got = await world.get('/b/dir/a');
  t.is(got.body.toString(), 'hello');
  t.is(got.headers['etag'], put.headers['etag']);
  t.is((await send(world, 'DELETE', '/b/dir/a')).status, 204);
  t.is((await world.get('/b/dir/a')).code, 'NoSuchKey');
  t.is((await send(world, 'DELETE', '/b/dir/a')).status, 204);
  const story = ['begin s3://b/dir/a', 'end s3://b/dir/a changed'];
  t.deepEqual(world.notices, [...story, ...story, ...story]);
});

test('writes: keys are taken as they are, byte for byte', async (t) => {
  await using world = await S3World.open({ writable: true });
  for (const key of [...ODD_KEYS, ...S3_ONLY_ODD_KEYS]) {
    const target = `/b/${key
      .split('/')
      .map(encodeURIComponent)
      .join('/')
      .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)}`;
    t.is((await send(world, 'PUT', target, { body: key })).status, 200, key);
    t.is((await stored(world, key))?.toString(), key);
  }
});

for (const sizeBytes of [0, 1, 65_536, 1024 * 1024, 1024 * 1024 + 1, 5_000_000]) {
  const body = Buffer.alloc(sizeBytes, 'ringload!');
  test(`writes: ${sizeBytes} bytes arrive in every form that a client may choose`, async (t) => {
    await using world = await S3World.open({ writable: true });
    const forms: [string, () => Promise<Reply>][] = [
      ['signed', () => send(world, 'PUT', '/b/a', { body })],
      ['unsigned', () => send(world, 'PUT', '/b/a', { body, payload: 'UNSIGNED-PAYLOAD' })],
      ...CHECKSUM_NAMES.map((name): [string, () => Promise<Reply>] => [
        name,
        () =>
          send(world, 'PUT', '/b/a', {
            body,
            headers: [[`x-amz-checksum-${name}`, sumOf(name, body)]],
          }),
      ]),
      [
        'trailer',
        () =>
          send(world, 'PUT', '/b/a', {
            body: chunked(body, [['x-amz-checksum-crc32', sumOf('crc32', body)]]),
            payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
            headers: [
              ['x-amz-decoded-content-length', String(sizeBytes)],
              ['x-amz-trailer', 'x-amz-checksum-crc32'],
            ],
            unsigned: { 'content-encoding': 'aws-chunked' },
          }),
      ],
    ];
    for (const [name, put] of forms) {
      t.is((await put()).code, undefined, name);
      t.true(body.equals((await stored(world, 'a')) ?? Buffer.from('none')), name);
      await send(world, 'DELETE', '/b/a');
    }
  });

  test(`writes: ${sizeBytes} bytes that are not what they are said to be do not arrive`, async (t) => {
    await using world = await S3World.open({ writable: true });
    await send(world, 'PUT', '/b/a', { body: 'before' });
    const wrong = sumOf('crc32', Buffer.from('something else'));
    const trailed = (length: number, sum: string): Promise<Reply> =>
      send(world, 'PUT', '/b/a', {
        body: chunked(body, [['x-amz-checksum-crc32', sum]]),
        payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
        headers: [
          ['x-amz-decoded-content-length', String(length)],
          ['x-amz-trailer', 'x-amz-checksum-crc32'],
        ],
      });
    const right = sumOf('crc32', body);
    for (const [code, put] of [
      [
        'XAmzContentSHA256Mismatch',
        () => send(world, 'PUT', '/b/a', { body, payload: sha256('?') }),
      ],
      [
        'BadDigest',
        () => send(world, 'PUT', '/b/a', { body, headers: [['x-amz-checksum-crc32', wrong]] }),
      ],
      ['BadDigest', () => trailed(sizeBytes, wrong)],
      ['IncompleteBody', () => trailed(sizeBytes + 1, right)],
      ...(sizeBytes === 0
        ? []
        : [['IncompleteBody', () => trailed(sizeBytes - 1, right)] as const]),
    ] as const) {
      world.notices.length = 0;
      t.is((await put()).code, code);
      t.is((await stored(world, 'a'))?.toString(), 'before');
      t.false(world.notices.some((notice) => notice.endsWith('changed')));
    }
  });
}

function chunked(body: Uint8Array, trailer: readonly (readonly [string, string])[]): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; at += 70_000) {
    const part = body.subarray(at, at + 70_000);
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), Buffer.from(part));
    parts.push(Buffer.from('\r\n'));
  }
  const fields = trailer.map(([name, value]) => `${name}:${value}\r\n`).join('');
  return Buffer.concat([...parts, Buffer.from(`0\r\n${fields}\r\n`)]);
}

test('writes: conditions are kept, and a refusal leaves the cache alone', async (t) => {
  await using world = await S3World.open({ writable: true });
  const only = [['if-none-match', '*']] as const;
  const first = await send(world, 'PUT', '/b/a', {
    body: 'one',
    unsigned: { 'if-none-match': '*' },
  });
  t.is(first.status, 200);
  world.notices.length = 0;
  const again = await send(world, 'PUT', '/b/a', { body: 'two', headers: only });
  t.like(again, { status: 412, code: 'PreconditionFailed' });
  const stale = await send(world, 'PUT', '/b/a', { body: 'two', headers: [['if-match', '"v0"']] });
  t.is(stale.status, 412);
  t.is(world.notices.filter((notice) => notice.endsWith('same')).length, 2);
  const tag = String(first.headers['etag']);
  t.is(
    (await send(world, 'PUT', '/b/a', { body: 'two', headers: [['if-match', tag]] })).status,
    200,
  );
  t.is((await world.get('/b/a')).body.toString(), 'two');
});

test('writes: what a store does not tell for sure counts as done', async (t) => {
  await using world = await S3World.open({ writable: true });
  await send(world, 'PUT', '/b/a', { body: 'one' });
  world.notices.length = 0;
  let isFirst = true;
  world.reads.under.onCall = ({ operation }) => {
    if (operation !== 'write' || !isFirst) return;
    isFirst = false;
    throw new RingloadError('ufs_unavailable', 'the answer was lost');
  };
  const reply = await send(world, 'PUT', '/b/a', { body: 'two' });
  t.like(reply, { status: 503, code: 'ServiceUnavailable' });
  t.deepEqual(world.notices, ['begin s3://b/a', 'end s3://b/a changed']);
});

test('writes: an object comes in parts, in any order', async (t) => {
  await using world = await S3World.open({ writable: true });
  const created = await send(world, 'POST', '/b/big?uploads=');
  const id = /<UploadId>([^<]+)</.exec(created.body.toString())?.[1] ?? '';
  t.not(id, '');
  t.deepEqual(world.notices, []);
  const tags = new Map<number, string>();
  for (const number of [3, 1, 2]) {
    const body = Buffer.alloc(number * 700_000, String(number));
    const reply = await send(world, 'PUT', `/b/big?partNumber=${number}&uploadId=${id}`, {
      body,
      headers: [['x-amz-checksum-crc32c', sumOf('crc32c', body)]],
    });
    t.is(reply.status, 200);
    t.is(reply.headers['x-amz-checksum-crc32c'], sumOf('crc32c', body));
    tags.set(number, String(reply.headers['etag']));
  }
  const listed = await world.send(
    'GET',
    `/b/big?uploadId=${id}&max-parts=2`,
    signedGet(world, `/b/big?max-parts=2&uploadId=${id}`),
  );
  t.regex(listed.body.toString(), /<IsTruncated>true<.*<PartNumber>1<.*<PartNumber>2</s);
  for (const number of [0, 10_001, 'x']) {
    const reply = await send(world, 'PUT', `/b/big?partNumber=${number}&uploadId=${id}`, {
      body: 'x',
    });
    t.is(reply.code, 'InvalidArgument');
  }
  const bad = await send(world, 'POST', `/b/big?uploadId=${id}`, {
    body: '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"no"</ETag></Part></CompleteMultipartUpload>',
  });
  t.is(bad.code, 'InvalidPart');
  const parts = [1, 2, 3]
    .map((n) => `<Part><PartNumber>${n}</PartNumber><ETag>${tags.get(n)}</ETag></Part>`)
    .join('');
  const done = await send(world, 'POST', `/b/big?uploadId=${id}`, {
    body: `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts}</CompleteMultipartUpload>`,
  });
  t.is(done.status, 200);
  const body = await stored(world, 'big');
  t.is(body?.length, 6 * 700_000);
  t.is(body?.subarray(-1).toString(), '3');
  t.is((await send(world, 'DELETE', `/b/big?uploadId=${id}`)).code, 'NoSuchUpload');
});

function signedGet(world: S3World, target: string): Record<string, string> {
  return signed({ method: 'GET', target, host: new URL(world.endpoint).host });
}

test('writes: an upload that is given up is gone', async (t) => {
  await using world = await S3World.open({ writable: true });
  const created = await send(world, 'POST', '/b/big?uploads=');
  const id = /<UploadId>([^<]+)</.exec(created.body.toString())?.[1] ?? '';
  t.is((await send(world, 'DELETE', `/b/big?uploadId=${id}`)).status, 204);
  const late = await send(world, 'PUT', `/b/big?partNumber=1&uploadId=${id}`, { body: 'x' });
  t.like(late, { status: 404, code: 'NoSuchUpload' });
  t.is((await world.get('/b/big')).code, 'NoSuchKey');
});

test('writes: many objects are deleted at once, those outside of the mount are not', async (t) => {
  await using world = await S3World.open({ writable: true, mounts: ['s3://b/in'] });
  world.put('out');
  for (const key of ['in/a', 'in/b', 'in/ü & <c>']) world.put(key);
  const xml =
    '<Delete><Object><Key>in/a</Key></Object><Object><Key>in/ü &amp; &lt;c&gt;</Key></Object><Object><Key>out</Key></Object><Object><Key>in/none</Key></Object></Delete>';
  const reply = await send(world, 'POST', '/b?delete=', {
    body: xml,
    unsigned: { 'content-md5': md5(xml) },
  });
  t.is(reply.status, 200);
  const text = reply.body.toString();
  t.deepEqual(
    [...text.matchAll(/<Deleted><Key>([^<]*)</g)].map(([, key]) => key),
    ['in/a', 'in/ü &amp; &lt;c&gt;', 'in/none'],
  );
  t.regex(text, /<Error><Key>out<\/Key><Code>AccessDenied</);
  const { keys } = await world.list('list-type=2');
  t.deepEqual(keys, ['in/b']);
  const never = new AbortController().signal;
  t.is((await world.reads.under.stat('s3://b/out', never)).sizeBytes, 3);
  const other = await send(world, 'POST', '/b?delete=', {
    body: xml,
    unsigned: { 'content-md5': md5('?') },
  });
  t.is(other.code, 'BadDigest');
});

test('writes: nothing is written outside of a mount', async (t) => {
  await using world = await S3World.open({ writable: true, mounts: ['s3://b/in'] });
  for (const [target, code] of [
    ['/b/out', 'AccessDenied'],
    ['/b/in', 'AccessDenied'],
    ['/b/in/', 'AccessDenied'],
    ['/b/inner', 'AccessDenied'],
    ['/b/in/../out', 'InvalidArgument'],
    ['/b/in/%2E%2E/out', 'InvalidArgument'],
    ['/b/../c/in/a', 'AccessDenied'],
    ['/c/in/a', 'NoSuchBucket'],
  ] as const) {
    for (const method of ['PUT', 'DELETE']) {
      const host = new URL(world.endpoint).host;
      // Signed over what the server has to make of the target.
      const canonical = target.replace('%2E%2E', '..');
      const fields = signed({ method, target: canonical, host, payload: sha256('x') });
      const reply = await world.send(method, target, { ...fields, 'content-length': '1' }, 'x');
      t.is(reply.code, code, `${method} ${target}`);
    }
  }
  t.deepEqual(world.notices, []);
});

for (const [what, code, headers] of [
  ['a checksum of an unknown kind', 'NotImplemented', [['x-amz-checksum-xxhash', 'a']]],
  [
    'two checksums',
    'InvalidRequest',
    [
      ['x-amz-checksum-crc32', 'a'],
      ['x-amz-checksum-sha1', 'b'],
    ],
  ],
  [
    'keys of its own for encryption',
    'NotImplemented',
    [['x-amz-server-side-encryption-customer-key', 'a']],
  ],
  ['another object to copy', 'NotImplemented', [['x-amz-copy-source', '/b/c']]],
  ['metadata beyond ASCII', 'InvalidArgument', [['x-amz-meta-name', 'gr\u00fc\u00dfe']]],
  ['an MD5 that is none', 'InvalidDigest', [['content-md5', 'abc']]],
  ['a tag that is not to be there', 'NotImplemented', [['if-none-match', '"a"']]],
] as const) {
  test(`writes: ${what} is refused with ${code}`, async (t) => {
    await using world = await S3World.open({ writable: true });
    const reply = await send(world, 'PUT', '/b/a', { body: 'x', headers });
    t.is(reply.code, code);
    t.is((await world.get('/b/a')).code, 'NoSuchKey');
  });
}

test('writes: without a signature nothing is written where there are key pairs', async (t) => {
  await using world = await S3World.open({ writable: true, anonymous: true });
  const reply = await world.send('PUT', '/b/a', { 'content-length': '1' }, 'x');
  t.like(reply, { status: 403, code: 'AccessDenied' });
  const wrong = await send(world, 'PUT', '/b/a', {
    body: 'x',
    unsigned: { 'x-amz-date': '20200101T000000Z' },
  });
  t.is(wrong.status, 400);
  t.is((await world.get('/b/a')).code, 'NoSuchKey');
});

test('writes: sub-resources, versions and buckets are not for writing', async (t) => {
  await using world = await S3World.open({ writable: true });
  world.put('a');
  for (const [method, target, code] of [
    ['PUT', '/b/a?acl=', 'NotImplemented'],
    ['PUT', '/b/a?tagging=', 'NotImplemented'],
    ['DELETE', '/b/a?versionId=3', 'NotImplemented'],
    ['POST', '/b/a?restore=', 'MethodNotAllowed'],
    ['PUT', '/b', 'BucketAlreadyOwnedByYou'],
    ['DELETE', '/b', 'MethodNotAllowed'],
    ['PUT', '/new', 'NoSuchBucket'],
  ] as const) {
    t.is((await send(world, method, target)).code, code, `${method} ${target}`);
  }
  t.is((await world.get('/b/a')).body.toString(), 'a');
});

test('writes: documents are bounded', async (t) => {
  await using world = await S3World.open({ writable: true });
  const bomb = `<!DOCTYPE a [<!ENTITY b "${'c'.repeat(1000)}">]><Delete>${'&b;'.repeat(1000)}</Delete>`;
  t.is((await send(world, 'POST', '/b?delete=', { body: bomb })).code, 'MalformedXML');
  const large = Buffer.alloc(4 * 1024 * 1024 + 1, 'x');
  t.is((await send(world, 'POST', '/b?delete=', { body: large })).code, 'EntityTooLarge');
});

/** Sends the head of a request for 4 MiB and a half of the body. */
function sendHalf(world: S3World, extra: readonly string[] = []): Socket {
  const { port, host } = new URL(world.endpoint);
  const fields = signed({ method: 'PUT', target: '/b/a', host, payload: 'UNSIGNED-PAYLOAD' });
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
  const socket = connect(Number(port), '127.0.0.1');
  socket.on('error', () => undefined);
  const head = [`host: ${host}`, ...lines, 'content-length: 4194304', ...extra].join('\r\n');
  socket.write(`PUT /b/a HTTP/1.1\r\n${head}\r\n\r\n`);
  if (extra.length === 0) socket.write(Buffer.alloc(2 * 1024 * 1024));
  return socket;
}

for (const [what, stallMs, leave] of [
  ['leaves', 60_000, (socket: Socket) => socket.destroy()],
  ['stands still', 300, () => undefined],
] as const) {
  test(`writes: a client that ${what} in its body has written nothing`, async (t) => {
    await using world = await S3World.open({ writable: true, bodyStallMs: stallMs });
    await send(world, 'PUT', '/b/a', { body: 'before' });
    world.notices.length = 0;
    const socket = sendHalf(world);
    await waitFor(() => world.notices.length > 0, { what: 'the write to begin' });
    leave(socket);
    await waitFor(() => world.notices.length > 1, { what: 'the write to end' });
    t.deepEqual(world.notices, ['begin s3://b/a', 'end s3://b/a same']);
    t.is((await world.get('/b/a')).body.toString(), 'before');
    socket.destroy();
  });
}

for (const isWritable of [true, false]) {
  test(`writes: a body is asked for only where it is taken (${isWritable})`, async (t) => {
    await using world = await S3World.open({ writable: isWritable });
    const socket = sendHalf(world, ['expect: 100-continue']);
    let heard = '';
    socket.on('data', (bytes) => (heard += bytes.toString()));
    await waitFor(() => heard.includes('\r\n\r\n'), { what: 'an answer' });
    t.regex(heard, isWritable ? /^HTTP\/1.1 100 / : /^HTTP\/1.1 405 [^]*connection: close/i);
    if (isWritable) {
      socket.write(Buffer.alloc(4 * 1024 * 1024));
      await waitFor(() => heard.includes(' 200 '), { what: 'the write to succeed' });
    }
    socket.destroy();
  });
}
