import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { BODY_TIMEOUT_MS } from '../../src/http/body.ts';
import { eventually, TestServer } from './fake-services.ts';

const LIMIT = 64 * 1024;

function post(server: TestServer, body: string | Buffer, headers: Record<string, string> = {}) {
  return fetch(`${server.url}/v1/jobs`, {
    method: 'POST',
    body,
    headers: { 'Content-Type': 'application/json', ...headers },
  });
}

function jsonOfLength(length: number): string {
  const head = '{"path":"s3://b/p","fileFilterRegex":"';
  return `${head}${' '.repeat(length - head.length - 2)}"}`;
}

test('body: its limit holds to the byte', async (t) => {
  await using server = await TestServer.start();
  const atLimit = await post(server, jsonOfLength(LIMIT));
  t.is(atLimit.status, 400);
  t.regex(((await atLimit.json()) as { detail: string }).detail, /fileFilterRegex must be at most/);
  for (const body of [jsonOfLength(LIMIT + 1), 'x'.repeat(6 * LIMIT)]) {
    const answer = await post(server, body);
    t.is(answer.status, 413);
    t.like(await answer.json(), { code: 'payload_too_large' });
  }
});

test('body: an endless one is refused and its connection closed', async (t) => {
  await using server = await TestServer.start();
  const raw = await server.raw(
    'POST /v1/jobs HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n' +
      `Transfer-Encoding: chunked\r\n\r\n${`10000\r\n${'x'.repeat(65_536)}\r\n`.repeat(9)}`,
  );
  t.regex(raw, /^HTTP\/1\.1 413 /);
  t.regex(raw, /Connection: close/i);
});

test('body: only JSON, plainly encoded', async (t) => {
  await using server = await TestServer.start();
  const body = '{"path":"s3://b/p"}';
  t.is(
    (await post(server, body, { 'Content-Type': 'Application/JSON; charset=utf-8' })).status,
    202,
  );
  for (const headers of [
    { 'Content-Type': 'application/x-www-form-urlencoded' },
    { 'Content-Type': 'text/plain' },
    { 'Content-Type': 'application/jsonp' },
    { 'Content-Type': '' },
    { 'Content-Encoding': 'gzip' },
  ]) {
    const answer = await post(server, body, headers);
    t.is(answer.status, 415, JSON.stringify(headers));
    t.is(answer.headers.get('content-type'), 'application/problem+json');
  }
});

test('body: what is not one shallow object of UTF-8 is refused', async (t) => {
  await using server = await TestServer.start();
  for (const [body, detail] of [
    ['', /is missing/],
    ['{', /not valid JSON/],
    ['[]', /must be a JSON object/],
    ['null', /must be a JSON object/],
    ['5', /must be a JSON object/],
    ['[['.repeat(10_000), /nested deeper than 16/],
    ['{"a":'.repeat(17) + '1' + '}'.repeat(17), /nested deeper than 16/],
    ['{"path":"[[[[[[[[[[[[[[[[[[[["}', /must be a URI/],
    ['{"path":"s3://b/p","__proto__":{"verify":true}}', /__proto__/],
    ['{"path":"s3://b/p","x":{"__proto__":1}}', /__proto__/],
    ['{"path":"s3://b/\\ud800"}', /well-formed/],
    ['{"path":"s3://b/a\\u0000"}', /NUL/],
  ] as const) {
    const answer = await post(server, body);
    t.is(answer.status, 400, body.slice(0, 40));
    t.regex(((await answer.json()) as { detail: string }).detail, detail);
  }
  const answer = await post(server, Buffer.from([0x7b, 0xff, 0x7d]));
  t.regex(((await answer.json()) as { detail: string }).detail, /not UTF-8/);
});

test('body: one that does not arrive in time is 408', async (t) => {
  const clock = new ManualClock();
  await using server = await TestServer.start({ clock });
  let timerCount = 0;
  const setTimer = clock.setTimer.bind(clock);
  clock.setTimer = (delayMs, callback) => {
    timerCount++;
    return setTimer(delayMs, callback);
  };
  const answer = server.raw(
    'POST /v1/jobs HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n' +
      'Content-Length: 100\r\n\r\n{"path":',
  );
  await eventually('the body is awaited', () => timerCount === 1);
  clock.advance(BODY_TIMEOUT_MS - 1);
  clock.advance(1);
  const raw = await answer;
  t.regex(raw, /^HTTP\/1\.1 408 /);
  t.regex(raw, /"code":"deadline_exceeded"/);
  t.regex(raw, /Connection: close/i);
});

test('body: a client that leaves in the middle submits nothing', async (t) => {
  await using server = await TestServer.start();
  await server.raw(
    'POST /v1/jobs HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n' +
      'Content-Length: 100\r\nExpect: 100-continue\r\n\r\n{"path":',
    /100 Continue/,
  );
  t.is((await fetch(`${server.url}/healthz`)).status, 200);
  t.is(server.services.jobs.submitted.length, 0);
});
