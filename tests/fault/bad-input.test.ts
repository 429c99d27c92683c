/**
 * Bad input to real peers: each answer is a 4xx with one clear line, and the peers stay up. What
 * the same input does to a command line is an exit code and one line on stderr.
 */
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import test, { type ExecutionContext } from 'ava';
import { faultOf, type OpenApi, requestsOf, send } from '../http/request-arbitrary.ts';
import { Child, cleanEnvironment } from '../support/child.ts';
import { Stage } from './stage.ts';

let stage: Stage;
let path: string;
test.before(async () => {
  stage = await Stage.open({ peers: 2, moreMounts: ['nowhere'] });
  path = stage.addFiles({ count: 2 }).path;
});
test.after.always(async () => {
  await stage[Symbol.asyncDispose]();
});

interface BadRequest {
  readonly title: string;
  readonly request: () => {
    readonly method?: string;
    readonly target: string;
    readonly body?: string;
  };
  readonly status: number;
  readonly code: string;
  readonly says: RegExp;
}

const submit = (fields: Readonly<Record<string, unknown>>) => () => ({
  method: 'POST',
  target: '/v1/jobs',
  body: JSON.stringify({ path, ...fields }),
});
const dialect = (query: (path: string) => string) => () => ({
  target: `/v1/load?${query(encodeURIComponent(path))}`,
});
const invalid = { status: 400, code: 'invalid_argument' } as const;

const BAD_REQUESTS: readonly BadRequest[] = [
  {
    title: 'an unknown opType',
    request: dialect((path) => `path=${path}&opType=explode`),
    ...invalid,
    says: /opType 'explode' is unknown/,
  },
  {
    title: 'a duplicated opType',
    request: dialect((path) => `path=${path}&opType=submit&opType=stop`),
    ...invalid,
    says: /opType/,
  },
  {
    title: 'no opType',
    request: dialect((path) => `path=${path}`),
    ...invalid,
    says: /opType is missing/,
  },
  {
    title: 'no path',
    request: dialect(() => 'opType=submit'),
    ...invalid,
    says: /path is missing/,
  },
  {
    title: 'no path in a body',
    request: () => ({ method: 'POST', target: '/v1/jobs', body: '{}' }),
    ...invalid,
    says: /path/,
  },
  {
    title: 'a path outside the mounts',
    request: submit({ path: 's3://elsewhere/data' }),
    status: 400,
    code: 'path_not_mounted',
    says: /s3:\/\/elsewhere\/data/,
  },
  {
    title: 'a path that only begins like a mount',
    request: submit({ path: 's3://originals/data' }),
    status: 400,
    code: 'path_not_mounted',
    says: /s3:\/\/originals\/data/,
  },
  {
    title: 'a bucket that does not exist',
    request: submit({ path: 's3://nowhere/data' }),
    status: 404,
    code: 'ufs_not_found',
    says: /nowhere/,
  },
  {
    title: 'a path below which nothing exists',
    request: submit({ path: 's3://origin/nothing' }),
    status: 404,
    code: 'ufs_not_found',
    says: /s3:\/\/origin\/nothing/,
  },
  {
    title: 'a wildcard',
    request: submit({ path: 's3://origin/*' }),
    ...invalid,
    says: /wildcard|\*/,
  },
  { title: 'no replicas', request: submit({ replicas: 0 }), ...invalid, says: /replicas/ },
  {
    title: 'more replicas than peers',
    request: submit({ replicas: 3 }),
    ...invalid,
    says: /replicas 3: the cluster has 2 live peers/,
  },
  {
    title: 'more replicas than anyone has peers',
    request: submit({ replicas: 1e9 }),
    ...invalid,
    says: /replicas/,
  },
  {
    title: 'a regex that is none',
    request: submit({ fileFilterRegx: '(' }),
    ...invalid,
    says: /regx|regex/i,
  },
  {
    title: 'a regex that looks back',
    request: submit({ fileFilterRegx: '(?<=a)b' }),
    ...invalid,
    says: /regx|regex/i,
  },
  {
    title: 'a regex of ten thousand characters',
    request: submit({ fileFilterRegx: 'x'.repeat(10_000) }),
    ...invalid,
    says: /at most 1024 characters/,
  },
  {
    title: 'a regex that explodes',
    request: submit({ fileFilterRegx: '((a{100}){100}){100}' }),
    ...invalid,
    says: /regx|regex/i,
  },
  {
    title: 'a negative bandwidth',
    request: submit({ bandwidth: -1 }),
    ...invalid,
    says: /bandwidth/,
  },
  { title: 'replicas as a list', request: submit({ replicas: [2] }), ...invalid, says: /replicas/ },
  { title: 'verify as a number', request: submit({ verify: 7 }), ...invalid, says: /verify/ },
  { title: 'a path as an object', request: submit({ path: {} }), ...invalid, says: /path/ },
  { title: 'a field nobody knows', request: submit({ replicsa: 2 }), ...invalid, says: /replicsa/ },
  {
    title: 'a segment larger than a region',
    request: submit({ segmentSize: '64MiB' }),
    ...invalid,
    says: /segment/,
  },
  {
    title: 'a body that is no JSON',
    request: () => ({ method: 'POST', target: '/v1/jobs', body: '{"path":' }),
    ...invalid,
    says: /JSON/,
  },
  {
    title: 'a body of two megabytes',
    request: () => ({
      method: 'POST',
      target: '/v1/jobs',
      body: JSON.stringify({ path, pad: 'x'.repeat(2 * 1024 * 1024) }),
    }),
    status: 413,
    code: 'payload_too_large',
    says: /1048576|1MiB/,
  },
  {
    title: 'a query of nine kilobytes',
    request: dialect((path) => `path=${path}&opType=submit&pad=${'x'.repeat(9 * 1024)}`),
    status: 414,
    code: 'payload_too_large',
    says: /8192|8KiB/,
  },
  {
    title: 'a job that nobody knows',
    request: () => ({ target: '/v1/jobs/5c8a1f0e-9b1d-4d7e-8f11-0a2b3c4d5e6f' }),
    status: 404,
    code: 'not_found',
    says: /5c8a1f0e/,
  },
  {
    title: 'a read outside the mounts',
    request: () => ({ target: '/v1/files/content?path=s3%3A%2F%2Felsewhere%2Fx' }),
    status: 400,
    code: 'path_not_mounted',
    says: /elsewhere/,
  },
  {
    title: 'a read of what does not exist',
    request: () => ({ target: '/v1/files/content?path=s3%3A%2F%2Forigin%2Fnone' }),
    status: 404,
    code: 'ufs_not_found',
    says: /none/,
  },
];

for (const { title, request, status, code, says } of BAD_REQUESTS) {
  test.serial(`bad input: ${title} is refused with ${status} ${code}`, async (t) => {
    for (const { restUrl } of stage.cluster.peers) {
      const { method = 'GET', target, body } = request();
      const response = await fetch(`${restUrl}${target}`, {
        method,
        signal: AbortSignal.timeout(10_000),
        ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body }),
      });
      const text = await response.text();
      t.is(response.status, status, text);
      // The dialects of others answer in their own way; the line is there all the same.
      const isProblem = response.headers.get('content-type') === 'application/problem+json';
      const problem = isProblem ? (JSON.parse(text) as Record<string, unknown>) : undefined;
      if (problem) t.is(problem['code'], code);
      const line = problem ? String(problem['detail']) : text;
      t.regex(line, says);
      t.notRegex(line, /[\n\r]|\bat .+:\d+/);
    }
    await expectUp(t);
  });
}

test.serial('bad input: 250 drawn requests leave real peers up and without a fault', async (t) => {
  t.timeout(120_000);
  const seed = Number(process.env['SEED'] ?? 20_264);
  t.log(`replay with SEED=${seed}`);
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  t.teardown(() => {
    agent.destroy();
  });
  const document = await stage.cluster.peers[0]?.api.json<OpenApi>('GET', '/openapi.json');
  // What changes the cluster is drawn elsewhere, against doubles.
  const isHarmless = (method: string, target: string): boolean =>
    method !== 'delete' && !target.endsWith('/transfer');
  const requests = fc.sample(requestsOf(document ?? { paths: {} }, isHarmless), {
    seed,
    numRuns: 250,
  });
  for (const [position, request] of requests.entries()) {
    const peer = stage.cluster.peers[position % 2];
    const answer = await send(peer?.restUrl ?? '', request, agent);
    const where = `request ${position}: ${JSON.stringify(request).slice(0, 500)}`;
    t.is(faultOf(request, answer), undefined, `${where}: ${answer.body.slice(0, 300)}`);
  }
  await expectUp(t);
});

const HOST = 'Host: h\r\n';
const JSON_POST = `POST /v1/jobs HTTP/1.1\r\n${HOST}Content-Type: application/json\r\n`;

/** What only a socket can send, and the statuses that come back, in order. */
const RAW_REQUESTS: readonly (readonly [
  title: string,
  text: string,
  statuses: readonly number[],
])[] = [
  ['no HTTP', 'nonsense\r\n\r\n', [400]],
  [
    'a length and chunks',
    `${JSON_POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    [400],
  ],
  ['two lengths', `${JSON_POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{"a":1`, [400]],
  ['a negative length', `${JSON_POST}Content-Length: -5\r\n\r\n`, [400]],
  ['chunks of a size that is none', `${JSON_POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, [400]],
  [
    'NUL in the target',
    `GET /v1/jobs?path=%00 HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`,
    [400],
  ],
  ['NUL as a byte', `GET /v1/\0jobs HTTP/1.1\r\n${HOST}\r\n`, [400]],
  [
    'a query of a megabyte',
    `GET /v1/jobs?path=${'x'.repeat(1024 * 1024)} HTTP/1.1\r\n${HOST}\r\n`,
    [431],
  ],
  [
    'JSON a hundred thousand deep',
    `${JSON_POST}Connection: close\r\nContent-Length: 100000\r\n\r\n${'['.repeat(100_000)}`,
    [400],
  ],
  [
    'good and bad requests in one write',
    [
      `GET /healthz HTTP/1.1\r\n${HOST}\r\n`,
      `GET /v1/jobs?state=none HTTP/1.1\r\n${HOST}\r\n`,
      `${JSON_POST}Content-Length: 2\r\n\r\n{}`,
      `PATCH /v1/jobs HTTP/1.1\r\n${HOST}\r\n`,
      `GET /version HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`,
    ].join(''),
    [200, 400, 400, 405, 200],
  ],
];

for (const [title, text, statuses] of RAW_REQUESTS) {
  test.serial(`bad input: ${title} is answered with ${statuses.join(', ')}`, async (t) => {
    for (const { restPort } of stage.cluster.peers) {
      const answer = await exchange(restPort, text);
      const seen = [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
      t.deepEqual(seen, statuses, answer.slice(0, 500));
      if (statuses.every((status) => status >= 400)) t.regex(answer, /application\/problem\+json/);
    }
    await expectUp(t);
  });
}

/** Everything that comes back until the peer closes the connection. */
async function exchange(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => undefined);
  socket.setTimeout(30_000, () => socket.destroy());
  socket.write(text, 'latin1');
  // A reset may follow the answer, where the rest of the request was not read.
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(chunks).toString('latin1');
}

interface BadCommand {
  readonly words: readonly string[];
  readonly exitCode: number;
  readonly says: RegExp;
}

const BAD_COMMANDS: readonly BadCommand[] = [
  { words: ['load', 's3://elsewhere/data'], exitCode: 2, says: /elsewhere/ },
  { words: ['load', 's3://nowhere/data'], exitCode: 3, says: /nowhere/ },
  { words: ['load', 's3://origin/set-1', '--replicas', '3'], exitCode: 2, says: /2 live peers/ },
  ...['(', '(?<=a)b', '((a{100}){100}){100}', 'x'.repeat(10_000)].map((pattern) => ({
    words: ['load', 's3://origin/set-1', '--file-filter-regx', pattern],
    exitCode: 2,
    says: /fileFilterRegex|file-filter-regx/,
  })),
  { words: ['job', 'status', 's3://origin/never'], exitCode: 3, says: /never/ },
];

for (const { words, exitCode, says } of BAD_COMMANDS) {
  test.serial(
    `bad input: ringload ${words.join(' ').slice(0, 80)} ends with ${exitCode}`,
    async (t) => {
      const [peer] = stage.cluster.peers;
      const child = await Child.start({
        command: process.execPath,
        args: [
          join(process.cwd(), 'build/program/cli/main.js'),
          ...words,
          '--peer',
          peer?.restUrl ?? '',
        ],
        env: cleanEnvironment(),
      });
      t.teardown(() => child.stop());
      const { code } = await child.exited;
      t.is(code, exitCode, child.logs());
      t.is(child.logs().split('\n').length, 1, child.logs());
      t.regex(child.logs(), says);
      await expectUp(t);
    },
  );
}

/** No job came of it, every process is the one that was started, and ready. */
async function expectUp(t: ExecutionContext): Promise<void> {
  for (const peer of stage.cluster.peers) {
    t.true(peer.running);
    t.true(await peer.api.ready());
    t.notRegex(peer.logs(), /started again/);
    const { jobs } = await peer.api.json<{ jobs: unknown[] }>('GET', '/v1/jobs');
    t.deepEqual(jobs, []);
  }
}
