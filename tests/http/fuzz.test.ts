/**
 * Random requests against `/v1/load` and `/v1/jobs`: whatever arrives, the server answers below 500
 * with JSON, and lives. SEED=n replays a run, ROUNDS=n changes its length.
 */
import test from 'ava';
import { randomInt, SeededRandom, type Random } from '../../src/base/random.ts';
import { TestServer } from './fake-services.ts';

const seed = Number(process.env['SEED'] ?? 20_261);
const roundCount = Number(process.env['ROUNDS'] ?? 600);

const pick = <T>(random: Random, list: readonly T[]): T =>
  list[randomInt(random, list.length)] as T;

const METHODS = [
  ...['GET', 'POST', 'POST', 'GET', 'POST', 'GET', 'POST', 'HEAD'],
  ...['PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'PROPFIND'],
];
const PATHS = [
  ...[
    '/v1/load',
    '/v1/load',
    '/v1/load',
    '/v1/load',
    '/v1/jobs',
    '/v1/jobs',
    '/v1/jobs',
    '/v1/jobs',
  ],
  '/v1/load',
  '/v1/load/',
  '/v1/jobs',
  '/v1/jobs/',
  '/v1/jobs/00000000-0000-4000-8000-000000000001',
  '/v1/jobs/00000000-0000-4000-8000-000000000001/stop',
  '/v1/jobs/%2e%2e/stop',
  '/v1/jobs/%zz',
  '/v1//load',
  '/V1/LOAD',
  '/api/v1/master/submit_job/load',
  '/api/v1/master/progress_job/load',
];
const NAMES = [
  ...['path', 'opType', 'optType', 'dialect', 'replicas', 'bandwidth', 'verbose', 'batchSize'],
  ...['fileFilterRegx', 'fileFilterRegex', 'skipIfExists', 'reload', 'progressFormat', 'format'],
  ...['state', 'index', '__proto__', 'constructor', 'path[]', '', '%', 'segmentSize', 'job_id'],
];
const VALUES = [
  ...['s3://b/p', 's3%3A%2F%2Fb%2Fp', 's3://b/*', 'S3://b', 's3://b@evil/', 's3:///', '/p', '%00'],
  ...['submit', 'progress', 'stop', 'SUBMIT', 'worker', 'reference', 'true', 'false', 'True'],
  ...['1', '-1', '0', '65', '1e9', '99999999999999999999', '1.5', '100m', 'NaN', '', '%E0%A4%A'],
  ...[
    '(a+)+$',
    '(',
    '(?=x)',
    'x{1001}',
    '..',
    '%2e%2e',
    '+',
    '%2B',
    '\xff',
    '%ed%a0%80',
    'RUNNING',
  ],
  ...[
    'TEXT',
    'JSON',
    'xml',
    '%0d%0aX:1',
    '%F0%9F%8E%88',
    '[]',
    '{}',
    '00000000-0000-4000-8000-000000000001',
  ],
];
const TYPES = [
  ...['application/json', 'application/json', 'application/json'],
  'application/json',
  'text/plain',
  '',
  'application/json;charset=x',
  'a/b+json',
  ';',
];
const JSON_VALUES = [
  ...['"s3://b/p"', '"s3://b/*"', '5', '-1', '1.5', 'true', '"true"', 'null', '[]', '{}', '""'],
  ...['1e400', '"\\u0000"', '"\\ud800"', '{"replicas":"x"}', '{"__proto__":1}', '[[[[[[]]]]]]'],
];

function query(random: Random): string {
  if (randomInt(random, 3) === 0) return '';
  const count = randomInt(random, 4);
  const pairs = Array.from(
    { length: count },
    () => `${pick(random, NAMES)}=${pick(random, VALUES)}`,
  );
  if (randomInt(random, 2) === 0) {
    pairs.unshift('path=s3://b/p', `opType=${pick(random, ['submit', 'progress', 'stop'])}`);
    pairs.length = Math.min(pairs.length, 2 + randomInt(random, 3));
  }
  return pairs.length === 0 ? '' : `?${pairs.join(pick(random, ['&', '&&', ';']))}`;
}

function body(random: Random): string {
  switch (randomInt(random, 7)) {
    case 0:
      return '';
    case 1:
      return pick(random, VALUES);
    case 2:
      return '['.repeat(randomInt(random, 5000));
    case 3:
      return 'x'.repeat(randomInt(random, 70_000));
    case 4:
    case 5:
      return '{"path":"s3://b/p","verify":"true","replicas":"2"}';
    default: {
      const names = ['"path"', ...NAMES.map((name) => JSON.stringify(name)), '"options"'];
      const members = Array.from(
        { length: randomInt(random, 4) },
        () => `${pick(random, names)}:${pick(random, JSON_VALUES)}`,
      );
      return `{"path":"s3://b/p"${members.map((member) => `,${member}`).join('')}}`;
    }
  }
}

function requestOf(random: Random): { readonly text: Buffer; readonly method: string } {
  const method = pick(random, randomInt(random, 4) === 0 ? METHODS : ['GET', 'POST', 'POST']);
  const payload = Buffer.from(body(random));
  const type = pick(random, TYPES);
  const isChunked = payload.length > 0 && randomInt(random, 4) === 0;
  const framed = isChunked
    ? Buffer.concat([
        Buffer.from(`${payload.length.toString(16)}\r\n`),
        payload,
        Buffer.from('\r\n0\r\n\r\n'),
      ])
    : payload;
  const head =
    `${method} ${pick(random, PATHS)}${query(random)} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n` +
    (type === '' ? '' : `Content-Type: ${type}\r\n`) +
    `Range: ${pick(random, ['bytes=0-', 'x', 'bytes=-'])}\r\n` +
    (isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${payload.length}`) +
    '\r\n\r\n';
  return { text: Buffer.concat([Buffer.from(head), framed]), method };
}

test(`fuzz: ${roundCount} random requests are answered below 500, seed ${seed}`, async (t) => {
  t.timeout(50_000);
  await using server = await TestServer.start();
  const random = new SeededRandom(seed);
  const statuses = new Map<number, number>();
  for (let round = 0; round < roundCount; round++) {
    const { text, method } = requestOf(random);
    const where = `SEED=${seed} round ${round}: ${text.toString('latin1').slice(0, 300)}`;
    const raw = await server.raw(text);
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(raw)?.[1]);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    t.true(status >= 200 && status < 500, `${status}, ${where}`);
    const split = raw.indexOf('\r\n\r\n');
    const headers = raw.slice(0, split).toLowerCase();
    t.false(headers.includes('transfer-encoding'), where);
    if (status >= 400 && method !== 'HEAD') {
      const document = JSON.parse(raw.slice(split + 4)) as Record<string, unknown>;
      const isUnknownPath = status === 404 && typeof document['status'] === 'string';
      if (!isUnknownPath) {
        t.true(headers.includes('content-type: application/problem+json'), where);
        t.is(document['status'], status, where);
        t.is(typeof document['code'], 'string', where);
      }
    }
  }
  t.is((await fetch(`${server.url}/healthz`)).status, 200);
  // The mix must reach both answers and refusals, or this test proves nothing.
  t.true((statuses.get(200) ?? 0) > 20, JSON.stringify([...statuses]));
  t.true((statuses.get(202) ?? 0) > 0, JSON.stringify([...statuses]));
  t.true((statuses.get(400) ?? 0) > 50, JSON.stringify([...statuses]));
  t.log(JSON.stringify([...statuses].sort()));
});
