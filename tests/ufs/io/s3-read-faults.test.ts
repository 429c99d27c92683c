/**
 * Every way in which an origin was seen to spoil a read, and what comes out: the right bytes or a
 * classed error, in bounded time, with no socket lost.
 */
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { createServer as createHttpServer } from 'node:http';
import { once } from 'node:events';
import { crc32 } from 'node:zlib';

import test from 'ava';

import type { ErrorCode } from '../../../src/base/errors.ts';
import { bytesOf } from '../../../src/sample/object-set.ts';
import { S3UnderStore } from '../../../src/ufs/io/s3-under-store.ts';
import type { FaultAction, FaultRule } from '../../support/faulty-origin.ts';
import { listAll } from '../../conformance/under-store.ts';
import {
  failureOf,
  PATIENT_LIMITS,
  S3Fixture,
  SHORT_LIMITS,
  type ReadWay,
} from '../../support/s3-fixture.ts';
import { ufsDependencies } from '../../support/ufs-dependencies.ts';

const SIZE = 512 * 1024;
const KEY = 'dir/object';
/** With fewer sockets than rounds, one lost in each would be missed. */
const ROUNDS = 3;

interface Case {
  readonly fault: string;
  readonly action: FaultAction;
  /** How often the fault happens per read; absent: always. */
  readonly times?: number;
  readonly expect: 'bytes' | ErrorCode;
  readonly message?: RegExp;
  /** Requests that one read may cost at most. */
  readonly requestMaxCount?: number;
  /** Which reads are tried: the whole object, a range in its middle, or both (default). */
  readonly only?: 'whole' | 'range';
  /** Only a deadline ends it. */
  readonly needsDeadline?: true;
}

/** The first version of what is read. */
const LISTED = { key: KEY, version: 1, sizeBytes: SIZE, mtimeMs: 0 };

const status = (
  code: number,
  s3Code?: string,
): Extract<FaultAction, { readonly kind: 'status' }> =>
  s3Code === undefined
    ? { kind: 'status', status: code, body: '<html>proxy</html>' }
    : { kind: 'status', status: code, code: s3Code };

const CUT_BEFORE_LAST = { whole: SIZE - 1, range: SIZE / 2 - 1 } as const;
const cuts: Case[] = (['reset', 'fin'] as const).flatMap((kind) => {
  const cut = { times: 1, expect: 'bytes', requestMaxCount: 2 } as const;
  return [
    ...[-1, 0, 1, SIZE / 4].map((at) => ({
      ...cut,
      fault: `${kind} at byte ${at}, once`,
      action: { kind, at },
    })),
    ...(['whole', 'range'] as const).map((only) => ({
      ...cut,
      only,
      fault: `${kind} before the last byte, once`,
      action: { kind, at: CUT_BEFORE_LAST[only] },
    })),
    ...[0, 1, SIZE / 4].map((at) => ({
      ...cut,
      fault: `chunks cut by ${kind} after ${at} bytes, once`,
      action: { kind: 'cut-chunks', how: kind, at } as const,
    })),
  ];
});

const cases: readonly Case[] = [
  ...cuts,
  {
    fault: 'reset in each attempt',
    action: { kind: 'reset', at: 0 },
    expect: 'ufs_unavailable',
    requestMaxCount: 4,
  },
  {
    fault: 'stall before the head, once',
    action: { kind: 'stall', at: -1 },
    times: 1,
    expect: 'bytes',
    needsDeadline: true,
  },
  {
    fault: 'stall in the body, once',
    action: { kind: 'stall', at: 1_000 },
    times: 1,
    expect: 'bytes',
    needsDeadline: true,
  },
  {
    fault: 'stall for ever',
    action: { kind: 'stall', at: 0 },
    expect: 'ufs_unavailable',
    needsDeadline: true,
  },
  {
    fault: 'one byte at a time, once',
    action: { kind: 'loris', intervalMs: 20 },
    times: 1,
    expect: 'bytes',
    needsDeadline: true,
  },
  {
    fault: 'one byte at a time for ever',
    action: { kind: 'loris', intervalMs: 20 },
    expect: 'ufs_unavailable',
    needsDeadline: true,
  },
  { fault: 'chunked body', action: { kind: 'no-length' }, expect: 'bytes', requestMaxCount: 1 },
  {
    fault: 'no length, closed half way, once',
    action: { kind: 'no-length', cutAt: SIZE / 4 },
    times: 1,
    expect: 'bytes',
  },
  {
    fault: 'no length, closed at once, for ever',
    action: { kind: 'no-length', cutAt: 0 },
    expect: 'ufs_unavailable',
  },
  {
    fault: 'chunked body with extra bytes',
    action: { kind: 'no-length', byBytes: 1 },
    expect: 'ufs_bad_response',
    message: /too long/,
  },
  {
    fault: 'Content-Length and body too short',
    action: { kind: 'resize', byBytes: -100 },
    expect: 'ufs_bad_response',
    message: /Content-Length/,
  },
  {
    fault: 'Content-Length and body too long',
    action: { kind: 'resize', byBytes: 100 },
    expect: 'ufs_bad_response',
    message: /Content-Length/,
  },
  { fault: 'too short once', action: { kind: 'resize', byBytes: -1 }, times: 1, expect: 'bytes' },
  {
    fault: '200 with an error document',
    action: { kind: 'status', status: 200, code: 'InternalError' },
    expect: 'ufs_bad_response',
  },
  {
    fault: '200 with the whole object in place of a range',
    action: { kind: 'whole' },
    only: 'range',
    expect: 'ufs_bad_response',
    message: /HTTP 200/,
  },
  {
    fault: '206 of another range',
    action: { kind: 'shift-range', byBytes: 1, honest: true },
    only: 'range',
    expect: 'ufs_bad_response',
    message: /Content-Range/,
  },
  {
    fault: 'another total size',
    action: { kind: 'headers', set: { 'content-range': `bytes 131072-393215/${SIZE + 1}` } },
    only: 'range',
    expect: 'ufs_bad_response',
    message: /Content-Range/,
  },
  {
    fault: 'no Content-Range',
    action: { kind: 'headers', set: { 'content-range': null } },
    only: 'range',
    expect: 'ufs_bad_response',
  },
  {
    fault: 'no ETag',
    action: { kind: 'headers', set: { etag: null } },
    expect: 'ufs_bad_response',
    message: /ETag/,
  },
  {
    fault: 'another ETag',
    action: { kind: 'headers', set: { etag: '"other"' } },
    expect: 'ufs_changed',
    requestMaxCount: 1,
  },
  {
    fault: 'changed, same size',
    action: { kind: 'change' },
    expect: 'ufs_changed',
    requestMaxCount: 1,
  },
  { fault: 'shrunk', action: { kind: 'change', sizeBytes: 10 }, expect: 'ufs_changed' },
  { fault: 'grown', action: { kind: 'change', sizeBytes: 2 * SIZE }, expect: 'ufs_changed' },
  {
    fault: 'changed behind an origin that ignores If-Match',
    action: { kind: 'change', ignoreConditions: true },
    expect: 'ufs_changed',
    requestMaxCount: 1,
  },
  {
    fault: 'shrunk behind an origin that ignores If-Match',
    action: { kind: 'change', sizeBytes: 10, ignoreConditions: true },
    expect: 'ufs_changed',
    requestMaxCount: 1,
  },
  {
    fault: 'a delete marker',
    action: {
      ...status(404, 'NoSuchKey'),
      headers: { 'x-amz-delete-marker': 'true', 'x-amz-version-id': 'v9' },
    },
    expect: 'ufs_not_found',
    requestMaxCount: 1,
  },
  { fault: 'deleted', action: { kind: 'delete' }, expect: 'ufs_not_found', requestMaxCount: 1 },
  { fault: '404', action: status(404, 'NoSuchKey'), expect: 'ufs_not_found', requestMaxCount: 1 },
  {
    fault: 'bucket gone',
    action: status(404, 'NoSuchBucket'),
    expect: 'ufs_not_found',
    message: /NoSuchBucket.*the bucket does not exist/,
  },
  {
    fault: '403',
    action: status(403, 'AccessDenied'),
    expect: 'ufs_forbidden',
    requestMaxCount: 1,
  },
  { fault: 'archived', action: status(403, 'InvalidObjectState'), expect: 'ufs_forbidden' },
  { fault: 'SSE-C needed', action: status(400, 'InvalidRequest'), expect: 'ufs_forbidden' },
  { fault: 'unknown key id', action: status(403, 'InvalidAccessKeyId'), expect: 'ufs_credentials' },
  {
    fault: 'bad signature',
    action: status(403, 'SignatureDoesNotMatch'),
    expect: 'ufs_credentials',
  },
  { fault: 'token expired', action: status(400, 'ExpiredToken'), expect: 'ufs_credentials' },
  { fault: '401', action: status(401), expect: 'ufs_credentials' },
  {
    fault: 'clock skew, once',
    action: status(403, 'RequestTimeTooSkewed'),
    times: 1,
    expect: 'bytes',
  },
  {
    fault: 'clock skew',
    action: status(403, 'RequestTimeTooSkewed'),
    expect: 'ufs_credentials',
    message: /clocks differ/,
  },
  { fault: '503 once', action: status(503, 'SlowDown'), times: 1, expect: 'bytes' },
  { fault: '503', action: status(503, 'SlowDown'), expect: 'ufs_throttled', requestMaxCount: 4 },
  { fault: '429', action: status(429), expect: 'ufs_throttled', requestMaxCount: 4 },
  {
    fault: '500',
    action: status(500, 'InternalError'),
    expect: 'ufs_unavailable',
    requestMaxCount: 4,
  },
  { fault: '500 twice', action: status(500, 'InternalError'), times: 2, expect: 'bytes' },
  { fault: '502 with HTML', action: status(502), expect: 'ufs_unavailable' },
  { fault: '504', action: status(504), expect: 'ufs_unavailable' },
  { fault: '400 RequestTimeout', action: status(400, 'RequestTimeout'), times: 1, expect: 'bytes' },
  { fault: '416', action: status(416, 'InvalidRange'), expect: 'ufs_changed', requestMaxCount: 1 },
  {
    fault: 'wrong region',
    action: status(301, 'PermanentRedirect'),
    expect: 'config_invalid',
    message: /another region/,
    requestMaxCount: 1,
  },
  {
    fault: 'a signature for another region',
    action: status(400, 'AuthorizationHeaderMalformed'),
    expect: 'config_invalid',
    message: /another region/,
    requestMaxCount: 1,
  },
  {
    fault: 'a header of 100 KB',
    action: { kind: 'headers', set: { 'x-large': 'x'.repeat(100_000) } },
    expect: 'ufs_bad_response',
  },
  {
    fault: 'an endless error document',
    action: { kind: 'status', status: 500, body: 'x'.repeat(17 * 1024 * 1024) },
    times: 1,
    expect: 'bytes',
  },
];

const reads = [
  { name: 'whole', offset: 0, length: SIZE },
  { name: 'range', offset: SIZE / 4, length: SIZE / 2 },
] as const;

const WAYS: readonly ReadWay[] = ['stream', 'lanes'];
const over = (way: ReadWay): string => (way === 'lanes' ? ' over lanes' : '');
const waysOf = <Case>(list: readonly Case[]): (Case & { way: ReadWay })[] =>
  WAYS.flatMap((way) => list.map((each) => ({ ...each, way })));

for (const { name, offset, length, way } of waysOf(reads)) {
  for (const { needsDeadline, ...rest } of cases) {
    const { fault, action, times, expect, message, requestMaxCount, only } = rest;
    if (only !== undefined && only !== name) continue;
    const limits = needsDeadline === true ? SHORT_LIMITS : {};
    // One at a time: with all of them at once the machine would be what is measured.
    test.serial(`s3 read${over(way)} of the ${name}: ${fault} gives ${expect}`, async (t) => {
      t.timeout(30_000);
      await using fixture = await S3Fixture.open({ [KEY]: SIZE }, { limits }, { way });
      const roundCount = needsDeadline === true && times === undefined ? 1 : ROUNDS;
      for (let round = 0; round < roundCount; round++) {
        fixture.origin.script();
        fixture.origin.objects.put(KEY, SIZE);
        const object = await fixture.stat(KEY);
        const rule: FaultRule = { operation: 'get', action };
        fixture.origin.script(times === undefined ? rule : { ...rule, times });
        const countBefore = fixture.origin.countOf('get');
        const fallbacksBefore = fixture.lanes?.fallbackCount ?? 0;
        if (expect === 'bytes') {
          const bytes = await fixture.read(object, offset, length);
          t.true(bytes.equals(fixture.origin.expectedBytes(KEY, offset, length)), 'right bytes');
        } else {
          const error = await failureOf(fixture.read(object, offset, length));
          t.is(error.code, expect, error.message);
          t.true(error.message.includes(object.path), error.message);
          if (message) t.regex(error.message, message);
        }
        const count = fixture.origin.countOf('get') - countBefore;
        const fallbackCount = (fixture.lanes?.fallbackCount ?? 0) - fallbacksBefore;
        t.true(count <= (requestMaxCount ?? 5) + fallbackCount, `${count} requests`);
      }
      // More failures than there are sockets: had one been lost, this would time out.
      fixture.origin.script();
      fixture.origin.objects.put(KEY, SIZE);
      const bytes = await fixture.read(await fixture.stat(KEY));
      t.true(bytes.equals(fixture.origin.expectedBytes(KEY)));
    });
  }
}

for (const way of WAYS) {
  test.serial(
    `s3 read${over(way)}: If-Match is sent with every request, resumed ones included`,
    async (t) => {
      await using fixture = await S3Fixture.open({ [KEY]: SIZE }, {}, { way });
      const object = await fixture.stat(KEY);
      fixture.origin.script({ operation: 'get', times: 2, action: { kind: 'reset', at: 100_000 } });
      await fixture.read(object);
      const gets = fixture.origin.requests.filter(({ operation }) => operation === 'get');
      t.is(gets.length, 3);
      t.true(gets.every(({ headers }) => headers['if-match'] === `"${object.version}"`));
      t.is(gets[0]?.headers.range, undefined);
      for (const { headers } of gets.slice(1)) t.regex(headers.range ?? '', /^bytes=\d+-524287$/);
    },
  );
}

for (const way of WAYS) {
  test.serial(
    `s3 read${over(way)}: a body cut in the middle is resumed and not read again`,
    async (t) => {
      await using fixture = await S3Fixture.open({ [KEY]: SIZE }, {}, { way });
      const object = await fixture.stat(KEY);
      fixture.origin.script({ operation: 'get', nth: 1, action: { kind: 'fin', at: SIZE / 2 } });
      t.true((await fixture.read(object)).equals(fixture.origin.expectedBytes(KEY)));
      // What was in flight when the connection broke is lost, not what had arrived.
      t.true(fixture.origin.sentBytesOf(KEY) < SIZE + 256 * 1024);
    },
  );
}

for (const way of WAYS) {
  test.serial(
    `s3 read${over(way)}: an object that changes between two attempts is never mixed`,
    async (t) => {
      await using fixture = await S3Fixture.open({ [KEY]: SIZE }, {}, { way });
      const object = await fixture.stat(KEY);
      fixture.origin.script(
        { operation: 'get', nth: 1, action: { kind: 'reset', at: SIZE / 2 } },
        { operation: 'get', nth: 1, action: { kind: 'change', ignoreConditions: true } },
      );
      t.is((await failureOf(fixture.read(object))).code, 'ufs_changed');
    },
  );
}

for (const way of WAYS) {
  test.serial(
    `s3 read${over(way)}: refused credentials are read again once, since they may have been rotated`,
    async (t) => {
      await using fixture = await S3Fixture.open({ [KEY]: SIZE }, {}, { way });
      const object = await fixture.stat(KEY);
      fixture.origin.script({ operation: 'get', times: 1, action: status(400, 'ExpiredToken') });
      t.true((await fixture.read(object)).equals(fixture.origin.expectedBytes(KEY)));
      // Refused again at once: not a matter of rotation.
      fixture.origin.script({ operation: 'get', action: status(400, 'ExpiredToken') });
      t.is((await failureOf(fixture.read(object))).code, 'ufs_credentials');
      t.true(fixture.origin.countOf('get') <= 4);
    },
  );
}

function crc32Of(bytes: Uint8Array): string {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(crc32(bytes));
  return value.toString('base64');
}

const plain = bytesOf(LISTED);
const wrongCrc = crc32Of(Buffer.from('other'));
const right = { kind: 'checksum', value: crc32Of(plain) } as const;

for (const way of WAYS) {
  test.serial(
    `s3 read${over(way)}: a right checksum of the whole object is accepted, also over a resumed body`,
    async (t) => {
      await using fixture = await S3Fixture.open({ [KEY]: SIZE }, {}, { way });
      const object = await fixture.stat(KEY);
      fixture.origin.script({ operation: 'get', action: right });
      t.true((await fixture.read(object)).equals(plain));
      const asked = fixture.origin.requests.find(({ operation }) => operation === 'get');
      t.is(asked?.headers['x-amz-checksum-mode'], 'ENABLED');
    },
  );
}

test.serial(
  's3 read: a checksum that does not match is ufs_corrupt before the last byte',
  async (t) => {
    await using fixture = await S3Fixture.open({ [KEY]: SIZE });
    const object = await fixture.stat(KEY);
    fixture.origin.script({ operation: 'get', action: { kind: 'checksum', value: wrongCrc } });
    let receivedBytes = 0;
    const reading = (async () => {
      const request = { ...object, offset: 0, length: SIZE };
      for await (const chunk of fixture.store.readRange(request, fixture.signal)) {
        receivedBytes += chunk.length;
      }
    })();
    const error = await failureOf(reading);
    t.is(error.code, 'ufs_corrupt');
    t.regex(error.message, /crc32/);
    t.true(receivedBytes < SIZE);
  },
);

for (const [where, at] of [
  ['first', 0],
  ['middle', SIZE / 2],
  ['last', SIZE - 1],
] as const) {
  test.serial(
    `s3 read: a bit that flips in the ${where} byte is seen where there is a checksum`,
    async (t) => {
      await using fixture = await S3Fixture.open({ [KEY]: SIZE });
      const object = await fixture.stat(KEY);
      const flip = { kind: 'flip', at } as const;
      fixture.origin.script({ operation: 'get', action: { ...flip, checksum: right.value } });
      t.is((await failureOf(fixture.read(object))).code, 'ufs_corrupt');
      // Without one nobody can tell: what was received is what is pinned from then on.
      fixture.origin.script({ operation: 'get', action: flip });
      const received = await fixture.read(object);
      t.is(
        [...received.entries()].filter(([position, byte]) => byte !== plain[position]).length,
        1,
      );
    },
  );
}

for (const way of WAYS) {
  test.serial(
    `s3 read${over(way)}: a composite checksum is not taken for that of the whole`,
    async (t) => {
      await using fixture = await S3Fixture.open({ [KEY]: SIZE }, {}, { way });
      const object = await fixture.stat(KEY);
      const composite: FaultAction = { kind: 'checksum', value: `${wrongCrc}-3` };
      fixture.origin.script({ operation: 'get', action: composite });
      t.true((await fixture.read(object)).equals(plain));
    },
  );
}

for (const way of WAYS) {
  test.serial(
    `s3 read${over(way)}: a mount may ignore checksums that its store gets wrong`,
    async (t) => {
      await using fixture = await S3Fixture.open(
        { [KEY]: SIZE },
        { responseChecksums: 'ignore' },
        { way },
      );
      const object = await fixture.stat(KEY);
      fixture.origin.script({ operation: 'get', action: { kind: 'checksum', value: wrongCrc } });
      t.true((await fixture.read(object)).equals(plain));
      const asked = fixture.origin.requests.find(({ operation }) => operation === 'get');
      t.is(asked?.headers['x-amz-checksum-mode'], undefined);
    },
  );
}

test.serial('s3 read: a slow consumer is not taken for a slow store', async (t) => {
  await using fixture = await S3Fixture.open(
    { [KEY]: SIZE },
    { limits: { throughputWindowMs: 40, throughputMinBytes: SIZE } },
  );
  const object = await fixture.stat(KEY);
  const chunks: Uint8Array[] = [];
  const request = { ...object, offset: 0, length: SIZE };
  for await (const chunk of fixture.store.readRange(request, fixture.signal)) {
    chunks.push(chunk);
    // Several windows long: the time is the consumer's.
    if (chunks.length <= 2) await new Promise((resolve) => setTimeout(resolve, 150));
  }
  t.true(Buffer.concat(chunks).equals(plain));
});

for (const way of WAYS) {
  test.serial(`s3 read${over(way)}: a redirect is not followed, wherever it leads`, async (t) => {
    let trapCount = 0;
    const trap = createHttpServer((_incoming, outgoing) => {
      trapCount++;
      outgoing.end();
    }).listen(0, '127.0.0.1');
    await once(trap, 'listening');
    const location = `http://127.0.0.1:${(trap.address() as AddressInfo).port}/latest/meta-data`;
    await using fixture = await S3Fixture.open({ [KEY]: SIZE }, {}, { way });
    const object = await fixture.stat(KEY);
    const elsewhere = `<Error><Code>PermanentRedirect</Code><Endpoint>${location}</Endpoint></Error>`;
    const redirects: readonly (readonly [FaultAction, ErrorCode])[] = [
      ...[302, 303, 307, 308].map(
        (code) =>
          [{ kind: 'status', status: code, headers: { location } }, 'ufs_bad_response'] as const,
      ),
      [
        {
          kind: 'status',
          status: 307,
          headers: { location: 'http://169.254.169.254/latest/meta-data' },
        },
        'ufs_bad_response',
      ],
      [
        {
          kind: 'status',
          status: 301,
          body: elsewhere,
          headers: { location, 'x-amz-bucket-region': 'evil' },
        },
        'config_invalid',
      ],
    ];
    for (const [action, code] of redirects) {
      fixture.origin.script({ action });
      const error = await failureOf(fixture.read(object));
      t.is(error.code, code);
      t.regex(error.message, /redirects are not followed|lives in another region/);
      t.is((await failureOf(fixture.stat(KEY))).code, code);
      t.is((await failureOf(listAll(fixture.store, fixture.root, 10))).code, code);
    }
    // A poisoned header of a regular answer is nobody's business.
    fixture.origin.script({
      action: { kind: 'headers', set: { location, refresh: `0;url=${location}` } },
    });
    t.true((await fixture.read(object)).equals(plain));
    t.is(trapCount, 0);
    trap.close();
  });
}

test.serial('s3 read: a consumer that stops early closes the connection', async (t) => {
  await using fixture = await S3Fixture.open({ large: 64 * 1024 * 1024 });
  const object = await fixture.stat('large');
  const request = { ...object, offset: 0, length: object.sizeBytes };
  for (let i = 0; i < 5; i++) {
    for await (const chunk of fixture.store.readRange(request, fixture.signal)) {
      t.true(chunk.length > 0);
      break;
    }
  }
  t.true(fixture.origin.sentBytesOf('large') < object.sizeBytes);
  t.true((await fixture.read(object, 0, 10)).equals(fixture.origin.expectedBytes('large', 0, 10)));
});

for (const way of WAYS) {
  test.serial(
    `s3 read${over(way)}: objects of 5 TiB and 50 TB are read at any place`,
    async (t) => {
      const sizes = [4_294_967_295, 4_294_967_297, 5 * 1024 ** 4, 50e12];
      await using fixture = await S3Fixture.open(
        Object.fromEntries(sizes.map((size) => [`size-${size}`, size])),
        {},
        { way },
      );
      for (const size of sizes) {
        const object = await fixture.stat(`size-${size}`);
        t.is(object.sizeBytes, size);
        for (const offset of [0, 2 ** 31 - 5, 2 ** 32 - 50, Math.floor(size / 2), size - 10]) {
          const length = Math.min(10, size - offset);
          const bytes = await fixture.read(object, offset, length);
          t.true(bytes.equals(fixture.origin.expectedBytes(`size-${size}`, offset, length)));
        }
      }
    },
  );
}

test.serial('s3 read: single flights are counted by the origin', async (t) => {
  await using fixture = await S3Fixture.open({ [KEY]: SIZE });
  const object = await fixture.stat(KEY);
  fixture.origin.script({ operation: 'get', action: { kind: 'delay', delayMs: 100 } });
  await Promise.all([fixture.read(object), fixture.read(object), fixture.read(object, 1, 5)]);
  t.is(fixture.origin.peakConcurrencyOf(KEY, 'bytes=1-5'), 1);
  t.is(fixture.origin.countOf('get', KEY), 3);
});

test.serial('s3 read: close ends a read that is under way with cancelled', async (t) => {
  await using fixture = await S3Fixture.open({ [KEY]: SIZE });
  const object = await fixture.stat(KEY);
  fixture.origin.script({ operation: 'get', action: { kind: 'stall', at: 10 } });
  const request = { ...object, offset: 0, length: SIZE };
  const reading = (async () => {
    for await (const chunk of fixture.store.readRange(request, fixture.signal)) {
      if (chunk.length > 0) await fixture.store.close();
    }
  })();
  t.is((await failureOf(reading)).code, 'cancelled');
});

const target = { path: 's3://b/k', version: 'v', sizeBytes: 10, offset: 0, length: 10 };

async function codeAt(endpoint: string, limits = PATIENT_LIMITS): Promise<string> {
  const store = new S3UnderStore(
    { path: 's3://b', endpoint, credentials: { kind: 'anonymous' }, limits },
    ufsDependencies(),
  );
  const reading = (async () => {
    for await (const chunk of store.readRange(target, new AbortController().signal)) {
      throw new Error(`received ${chunk.length} bytes`);
    }
  })();
  const { code } = await failureOf(reading);
  await store.close();
  return code;
}

test.serial(
  's3 read: nobody listens, a mute TLS peer and a foreign protocol are classed',
  async (t) => {
    const mute = createTcpServer((socket) => {
      socket.on('error', () => undefined).resume();
    }).listen(0, '127.0.0.1');
    const foreign = createTcpServer((socket) => {
      socket.on('error', () => undefined).resume();
      socket.end('220 smtp ready\r\n');
    }).listen(0, '127.0.0.1');
    await Promise.all([once(mute, 'listening'), once(foreign, 'listening')]);
    const mutePort = (mute.address() as AddressInfo).port;
    const foreignPort = (foreign.address() as AddressInfo).port;
    t.is(await codeAt(`https://127.0.0.1:${mutePort}`, SHORT_LIMITS), 'ufs_unavailable');
    t.is(await codeAt(`http://127.0.0.1:${mutePort}`, SHORT_LIMITS), 'ufs_unavailable');
    t.is(await codeAt(`http://127.0.0.1:${foreignPort}`), 'ufs_bad_response');
    mute.close();
    foreign.close();
    await once(foreign, 'close');
    t.is(await codeAt(`http://127.0.0.1:${foreignPort}`), 'ufs_unavailable');
  },
);

test.serial('s3 read: multipart and weak ETags pin what they can', async (t) => {
  await using fixture = await S3Fixture.open({ [KEY]: SIZE });
  const multipart: FaultAction = { kind: 'etag', value: '"d41d8cd98f00b204e9800998ecf8427e-12"' };
  fixture.origin.script({ action: multipart });
  const object = await fixture.stat(KEY);
  t.true((await fixture.read(object)).equals(plain));
  t.true((await fixture.read(object, 5, 1_000)).equals(plain.subarray(5, 1_005)));
  // Rewritten with other parts: the same bytes, but nobody can know.
  fixture.origin.script({
    action: { kind: 'etag', value: '"d41d8cd98f00b204e9800998ecf8427e-13"' },
  });
  t.is((await failureOf(fixture.read(object))).code, 'ufs_changed');
  // A store that has weak ones only is read under them; a strong one is another version.
  fixture.origin.script({ action: { kind: 'etag', value: 'W/"x"' } });
  const weak = await fixture.stat(KEY);
  t.true((await fixture.read(weak)).equals(plain));
  fixture.origin.script({ action: { kind: 'etag', value: '"x"' } });
  t.is((await failureOf(fixture.read(weak))).code, 'ufs_changed');
  // A proxy that weakens the ETag of what was listed under a strong one may have changed the bytes.
  fixture.origin.script();
  const strong = await fixture.stat(KEY);
  fixture.origin.script({
    operation: 'get',
    action: { kind: 'headers', set: { etag: `W/"${strong.version}"` } },
  });
  const error = await failureOf(fixture.read(strong));
  t.is(error.code, 'ufs_bad_response');
  t.regex(error.message, /no strong ETag/);
});

test.serial('s3 read: a version without ETag is pinned by the time of change', async (t) => {
  await using fixture = await S3Fixture.open({ [KEY]: SIZE });
  fixture.origin.script({ action: { kind: 'headers', set: { etag: null } } });
  const object = await fixture.stat(KEY);
  t.regex(object.version, /^mtime:\d+$/);
  t.true((await fixture.read(object)).equals(plain));
  fixture.origin.objects.put(KEY, SIZE);
  t.is((await failureOf(fixture.read(object))).code, 'ufs_changed');
});
