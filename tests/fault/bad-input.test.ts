/**
 * Bad input to real peers: each answer is a 4xx with one clear line, and the peers stay up. What
 * the same input does to a command line is an exit code and one line on stderr.
 */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
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

interface BadCommand {
  readonly words: readonly string[];
  readonly exitCode: number;
  readonly says: RegExp;
}

const BAD_COMMANDS: readonly BadCommand[] = [
  { words: ['load', 's3://elsewhere/data'], exitCode: 2, says: /elsewhere/ },
  { words: ['load', 's3://nowhere/data'], exitCode: 3, says: /nowhere/ },
  { words: ['load', 's3://origin/set-1', '--replicas', '3'], exitCode: 2, says: /2 live peers/ },
  { words: ['job', 'status', 's3://origin/never'], exitCode: 3, says: /never/ },
];

for (const { words, exitCode, says } of BAD_COMMANDS) {
  test.serial(`bad input: ringload ${words.join(' ')} ends with ${exitCode}`, async (t) => {
    const [peer] = stage.cluster.peers;
    const child = await Child.start({
      command: process.execPath,
      args: [join(process.cwd(), 'build/src/cli/main.js'), ...words, '--peer', peer?.restUrl ?? ''],
      env: cleanEnvironment(),
    });
    t.teardown(() => child.stop());
    const { code } = await child.exited;
    t.is(code, exitCode, child.logs());
    t.is(child.logs().split('\n').length, 1, child.logs());
    t.regex(child.logs(), says);
    await expectUp(t);
  });
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
