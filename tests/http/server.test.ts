import test from 'ava';
import { TestServer } from './fake-services.ts';

const bodyOf = (raw: string): Record<string, unknown> =>
  JSON.parse(raw.slice(raw.indexOf('\r\n\r\n') + 4)) as Record<string, unknown>;

test('server: what is no HTTP is answered with a problem', async (t) => {
  await using server = await TestServer.start();
  for (const [text, status] of [
    ['nonsense\r\n\r\n', 400],
    [
      'GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
    ],
    ['GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400],
    ['GET /he\u0001althz HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    [`GET /v1/load?path=${'x'.repeat(1_000_000)} HTTP/1.1\r\nHost: h\r\n\r\n`, 431],
  ] as const) {
    const raw = await server.raw(text);
    t.true(raw.startsWith(`HTTP/1.1 ${status} `), raw.slice(0, 60));
    t.is(bodyOf(raw)['status'], status);
  }
  t.is((await fetch(`${server.url}/healthz`)).status, 200);
});

test('server: a query over its limit is 414, bad percent-encoding and NUL are 400', async (t) => {
  await using server = await TestServer.start();
  for (const [target, status] of [
    [`/v1/load?path=${'x'.repeat(9000)}`, 414],
    ['/v1/load?path=%E0%A4%A&opType=progress', 400],
    ['/v1/load?path=s3://b/a%00b&opType=submit', 400],
    ['/v1/jobs/%zz', 400],
    ['/healthz?%', 400],
    ['http://[::bad/nope', 404],
    ['//evil/healthz', 404],
  ] as const) {
    const raw = await server.raw(`GET ${target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
    t.true(raw.startsWith(`HTTP/1.1 ${status} `), `${target.slice(0, 40)}: ${raw.slice(0, 40)}`);
    t.is(bodyOf(raw)['status'], status);
    t.regex(raw, /Content-Type: application\/problem\+json\r\n/);
  }
});

test('server: an absolute target is understood', async (t) => {
  await using server = await TestServer.start();
  const absolute = await server.raw(
    'GET http://any/healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n',
  );
  t.regex(absolute, /^HTTP\/1\.1 200 OK/);
  t.is(absolute.split('\r\n\r\n')[1], '{"status":"ok"}');
});

test('server: raw bytes beyond ASCII are refused with the remedy', async (t) => {
  await using server = await TestServer.start();
  const raw = await server.raw(
    Buffer.from('POST /v1/load?path=s3://b/ü&opType=submit HTTP/1.1\r\nHost: h\r\n\r\n'),
  );
  t.regex(raw, /^HTTP\/1\.1 400 /);
  t.regex(String(bodyOf(raw)['detail']), /must be percent-encoded/);
});

test('server: no header carries what a caller wrote', async (t) => {
  await using server = await TestServer.start();
  const path = encodeURIComponent('s3://b/x\r\nSet-Cookie: a=b');
  const raw = await server.raw(
    `GET /v1/load?path=${path}&opType=progress HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`,
  );
  t.regex(raw, /^HTTP\/1\.1 404 /);
  t.false(/\r\nSet-Cookie/.test(raw));
});
