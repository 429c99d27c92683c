import test from 'ava';
import { RingloadError } from '../../../src/base/errors.ts';
import { jobIdNumber, TestServer } from '../fake-services.ts';

const ID = jobIdNumber(1);

function post(server: TestServer, target: string, body?: unknown): Promise<Response> {
  return fetch(server.url + target, {
    method: 'POST',
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
  });
}

test('jobs: a submit is accepted once and located', async (t) => {
  await using server = await TestServer.start();
  const first = await post(server, '/v1/jobs', {
    path: 's3://b/p/',
    replicas: 2,
    segmentSize: '1MiB',
    segmented: false,
    metadataOnly: false,
    verify: true,
    partialListing: true,
    fileFilterRegex: '.*\\.parquet',
    bandwidth: '10m',
    batchSize: 10,
  });
  t.is(first.status, 202);
  t.is(first.headers.get('location'), `/v1/jobs/${ID}`);
  t.is(await first.text(), `{"jobId":"${ID}","outcome":"created"}`);
  t.deepEqual(server.services.jobs.submitted[0], {
    path: 's3://b/p',
    replicaCount: 2,
    segmentSizeBytes: 1024 * 1024,
    segmented: false,
    skipIfExists: true,
    reload: false,
    metadataOnly: false,
    verify: true,
    partialListing: true,
    fileFilterRegex: '.*\\.parquet',
    bandwidthBps: 10 * 1024 * 1024,
    batchSize: 10,
  });
  const again = await post(server, '/v1/jobs', { path: 's3://b/p', skipIfExists: false });
  t.deepEqual(await again.json(), { jobId: ID, outcome: 'already-running' });
  t.like(server.services.jobs.submitted[1], { skipIfExists: false, reload: true });
});

test('jobs: status, list and filters give the status as it is', async (t) => {
  await using server = await TestServer.start();
  for (const path of ['s3://b/1', 's3://b/2', 's3://b/3']) await post(server, '/v1/jobs', { path });
  const { jobs } = server.services;
  jobs.setState(jobIdNumber(2), 'SUCCEEDED');
  const one = await fetch(`${server.url}/v1/jobs/${ID}`);
  t.deepEqual(await one.json(), JSON.parse(JSON.stringify(jobs.jobs[0])));
  const list = async (query: string): Promise<unknown[]> => {
    const answer = await fetch(`${server.url}/v1/jobs${query}`);
    return ((await answer.json()) as { jobs: { id: string }[] }).jobs.map((job) => job.id);
  };
  t.deepEqual(await list(''), [1, 2, 3].map(jobIdNumber));
  t.deepEqual(await list('?state=running'), [1, 3].map(jobIdNumber));
  t.deepEqual(await list('?state=RUNNING,SUCCEEDED&path=s3://b/2/'), [jobIdNumber(2)]);
  t.deepEqual(await list('?path=s3://b/9'), []);
  t.is((await fetch(`${server.url}/v1/jobs?state=LOST`)).status, 400);
  t.is((await fetch(`${server.url}/v1/jobs?stat=RUNNING`)).status, 400);
});

test('jobs: stop tells whether something ran, retry what runs again', async (t) => {
  await using server = await TestServer.start();
  await post(server, '/v1/jobs', { path: 's3://b/p' });
  t.is(await (await post(server, `/v1/jobs/${ID}/stop`)).text(), '{"stopped":true}');
  t.is(await (await post(server, `/v1/jobs/${ID}/stop`)).text(), '{"stopped":false}');
  t.is((await post(server, `/v1/jobs/${jobIdNumber(9)}/stop`)).status, 404);
  const refused = await post(server, `/v1/jobs/${ID}/retry`);
  t.is(refused.status, 409);
  t.like(await refused.json(), { code: 'conflict', detail: 'nothing failed' });
  server.services.jobs.setState(ID, 'FAILED');
  const retried = await post(server, `/v1/jobs/${ID}/retry`);
  t.is(retried.status, 202);
  t.is(retried.headers.get('location'), `/v1/jobs/${ID}`);
  t.is(await retried.text(), `{"jobId":"${ID}"}`);
});

test('jobs: refusals are problems with stable codes', async (t) => {
  await using server = await TestServer.start();
  const answer = await post(server, '/v1/jobs', { path: 's3://b/p', replicas: 0 });
  t.is(answer.status, 400);
  t.is(answer.headers.get('content-type'), 'application/problem+json');
  const problem = (await answer.json()) as Record<string, unknown>;
  t.deepEqual(problem, {
    type: 'about:blank',
    title: 'Bad Request',
    status: 400,
    detail: "replicas '0' must be between 1 and 64",
    code: 'invalid_argument',
    requestId: answer.headers.get('x-request-id'),
  });
  for (const body of [{}, { path: 's3://b/p', extra: 1 }, [], 'text', 5, null]) {
    t.is((await post(server, '/v1/jobs', body)).status, 400, JSON.stringify(body));
  }
  for (const target of [
    '/v1/jobs/x',
    '/v1/jobs/%2e%2e',
    `/v1/jobs/${jobIdNumber(7)}`,
    '/v1/nope',
  ]) {
    const missing = await fetch(server.url + target);
    t.is(missing.status, 404);
    t.like(await missing.json(), { code: 'not_found' });
  }
  const wrongVerb = await fetch(`${server.url}/v1/jobs`, { method: 'PATCH' });
  t.is(wrongVerb.status, 405);
  t.is(wrongVerb.headers.get('allow'), 'GET, HEAD, POST');
  t.like(await wrongVerb.json(), { code: 'method_not_allowed' });
  const options = await fetch(`${server.url}/v1/jobs`, { method: 'OPTIONS' });
  t.deepEqual([options.status, options.headers.get('allow')], [204, 'GET, HEAD, POST']);
});

test('jobs: faults of the services keep their status, secrets stay in the log', async (t) => {
  await using server = await TestServer.start();
  server.services.jobs.fault = new RingloadError('no_leader', 'no leader', {
    details: { term: 4 },
  });
  const unavailable = await fetch(`${server.url}/v1/jobs`);
  t.is(unavailable.status, 503);
  t.is(unavailable.headers.get('retry-after'), '1');
  t.like(await unavailable.json(), { code: 'no_leader', details: { term: 4 } });
  server.services.jobs.fault = new TypeError('password hunter2 at /home/x.ts:5');
  const internal = await fetch(`${server.url}/v1/jobs`);
  t.is(internal.status, 500);
  const text = await internal.text();
  t.like(JSON.parse(text), { code: 'internal' });
  t.false(/hunter2|\.ts|stack/.test(text));
});

test('jobs: the request id is echoed when it is harmless, made up otherwise', async (t) => {
  await using server = await TestServer.start();
  const idFor = async (given: string): Promise<string | null> =>
    (await fetch(`${server.url}/v1/jobs`, { headers: { 'X-Request-Id': given } })).headers.get(
      'x-request-id',
    );
  t.is(await idFor('trace-1:abc'), 'trace-1:abc');
  for (const bad of ['', '<script>', 'a b', 'x'.repeat(65)]) {
    t.regex((await idFor(bad)) ?? '', /^[0-9a-f-]{36}$/);
  }
});

test('jobs: a verification is answered line by line, and ends with its report', async (t) => {
  await using server = await TestServer.start();
  const { jobs } = server.services;
  await post(server, '/v1/jobs', { path: 's3://b/p' });
  t.is((await post(server, `/v1/jobs/${ID}/verify`)).status, 409);
  t.is((await post(server, `/v1/jobs/${jobIdNumber(9)}/verify`)).status, 404);
  t.is((await post(server, `/v1/jobs/${ID}/verify?repair=maybe`)).status, 400);
  t.is((await post(server, `/v1/jobs/${ID}/verify?mend=true`)).status, 400);
  jobs.setState(ID, 'SUCCEEDED');
  const progress = { fileCount: 1, copyCount: 2, bytes: 3, differenceCount: 0 };
  jobs.verifyEvents = [{ progress }, { progress: { ...progress, bytes: 4 } }];
  const answer = await post(server, `/v1/jobs/${ID}/verify?repair=true`);
  t.is(answer.status, 200);
  t.is(answer.headers.get('content-type'), 'application/x-ndjson');
  const lines = (await answer.text()).split('\n');
  t.is(lines.pop(), '');
  t.deepEqual(
    lines.map((line) => JSON.parse(line) as unknown),
    jobs.verifyEvents,
  );
  t.deepEqual(jobs.verified, [{ repair: true }]);
});

test('jobs: what fails in the middle of a verification is its last line', async (t) => {
  await using server = await TestServer.start();
  const { jobs } = server.services;
  await post(server, '/v1/jobs', { path: 's3://b/p' });
  jobs.setState(ID, 'SUCCEEDED');
  jobs.verifyFault = new RingloadError('peer_unreachable', 'nobody answers');
  const answer = await post(server, `/v1/jobs/${ID}/verify`);
  t.is(answer.status, 200);
  const [line = ''] = (await answer.text()).split('\n');
  t.like(JSON.parse(line), { error: { code: 'peer_unreachable', detail: 'nobody answers' } });
});
