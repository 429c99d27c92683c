import test from 'ava';
import { RingloadError } from '../../../src/base/errors.ts';
import { jobIdNumber, TestServer } from '../fake-services.ts';

const PROGRESS_SAMPLE = String.raw`"{\"mVerbose\":true,\"mJobState\":\"RUNNING\",\"mVerificationEnabled\":false,\"mSkippedByteCount\":0,\"mLoadedByteCount\":0,\"mScannedInodesCount\":18450,\"mLoadedNonEmptyFileCopiesCount\":0,\"mThroughput\":0,\"mFailureFilesPercentage\":0.0,\"mFailureSubTasksPercentage\":0.0,\"mRetrySubTasksPercentage\":0.0,\"mFailedFileCount\":0,\"mRecentFailedSubtasksWithReasons\":[],\"mRecentRetryingSubtasksWithReasons\":[],\"mSkipIfExists\":true,\"mMetadataOnly\":true,\"mRunningStage\":\"LOADING\",\"mRetryDeadLetterQueueSize\":0,\"mTimeElapsed\":87237,\"mSegmentEnabled\":false}"`;

/** Status line, headers by lower-case name, body: of one raw answer. */
function parseAnswer(raw: string): { status: string; headers: Map<string, string>; body: string } {
  const split = raw.indexOf('\r\n\r\n');
  const [status = '', ...lines] = raw.slice(0, split).split('\r\n');
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  return { status, headers, body: raw.slice(split + 4) };
}

const request = (line: string, body = ''): string =>
  `${line} HTTP/1.1\r\nHost: h:19999\r\nAccept: */*\r\nConnection: close\r\n` +
  `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

test('reference: the page, request by request, to the byte', async (t) => {
  await using server = await TestServer.start();
  const { jobs } = server.services;
  const options =
    '{"path":"s3://test","options":{"skipIfExists":"true","loadMetadataOnly":"true",' +
    '"partialListing":"true","segmentEnabled":"false","replicas":"1","batchSize":"200"},"x":"';
  const body183 = `${options}${'y'.repeat(181 - options.length)}"}`;
  t.is(body183.length, 183);
  const submitted = parseAnswer(
    await server.raw(request('POST /v1/load?path=s3://test&opType=submit', body183)),
  );
  t.is(submitted.status, 'HTTP/1.1 200 OK');
  t.is(submitted.headers.get('content-length'), '4');
  t.is(submitted.headers.get('content-type'), 'application/json');
  t.truthy(submitted.headers.get('date'));
  t.false(submitted.headers.has('transfer-encoding'));
  t.is(submitted.body, 'true');

  jobs.update(jobIdNumber(1), { elapsedMs: 87_237 });
  const job = jobs.jobs[0];
  t.truthy(job);
  if (job) jobs.update(job.id, { counters: { ...job.counters, listedFiles: 18_450 } });
  const progress = parseAnswer(
    await server.raw(request('GET /v1/load?path=s3://test&opType=progress', 'z'.repeat(81))),
  );
  t.is(progress.headers.get('content-length'), '572');
  t.is(progress.body, PROGRESS_SAMPLE);

  const stop = 'POST /v1/load?path=s3://test&opType=stop';
  const stopped = parseAnswer(await server.raw(request(stop, 'b'.repeat(42))));
  t.deepEqual([stopped.headers.get('content-length'), stopped.body], ['4', 'true']);
  const again = parseAnswer(await server.raw(request(stop, 'b'.repeat(42))));
  t.deepEqual(
    [again.status, again.headers.get('content-length'), again.body],
    ['HTTP/1.1 200 OK', '5', 'false'],
  );
});

test('reference: one connection carries several requests, pipelined too', async (t) => {
  await using server = await TestServer.start();
  const one =
    'POST /v1/load?path=s3://b/p&opType=stop HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc';
  const raw = await server.raw(one.repeat(3), /(?:false[\s\S]*){3}/);
  t.is(raw.match(/HTTP\/1\.1 200 OK/g)?.length, 3);
});

test('reference: a path works raw and percent-encoded, with or without trailing slash', async (t) => {
  await using server = await TestServer.start();
  for (const path of ['s3://b/p', 's3%3A%2F%2Fb%2Fp', 's3://b/p/', 'alluxiofs://s3://b/p']) {
    const answer = await fetch(`${server.url}/v1/load?path=${path}&opType=submit`, {
      method: 'POST',
    });
    t.is(await answer.text(), 'true');
  }
  t.is(server.services.jobs.jobs.length, 1);
  t.is(server.services.jobs.jobs[0]?.spec.path, 's3://b/p');
});

test('reference: options come from the query, then from the body', async (t) => {
  await using server = await TestServer.start();
  const query =
    'path=s3://b/p&opType=submit&replicas=3&verify=True&bandwidth=1m&fileFilterRegx=.%2B' +
    '&loadMetadataOnly=false&batchSize=&unknown=1&unknown=2';
  const answer = await fetch(`${server.url}/v1/load?${query}`, {
    method: 'POST',
    body: '{"path":"s3://b/other","options":{"replicas":"5","skipIfExists":"true","batchSize":9}}',
  });
  t.is(await answer.text(), 'true');
  t.like(server.services.jobs.submitted[0], {
    path: 's3://b/p',
    replicaCount: 3,
    verify: true,
    bandwidthBps: 1024 * 1024,
    fileFilterRegex: '.+',
    metadataOnly: false,
    skipIfExists: true,
    reload: false,
    batchSize: 9,
  });
});

test('reference: opType is spelled either way, in any case, and named when unknown', async (t) => {
  await using server = await TestServer.start();
  const post = async (query: string): Promise<[number, Record<string, unknown> | boolean]> => {
    const answer = await fetch(`${server.url}/v1/load?${query}`, { method: 'POST' });
    return [answer.status, (await answer.json()) as Record<string, unknown> | boolean];
  };
  t.deepEqual(await post('path=s3://b/p&optType=SUBMIT'), [200, true]);
  t.deepEqual(await post('path=s3://b/p&optType=Stop&opType=Stop'), [200, true]);
  for (const [query, message] of [
    ['path=s3://b/p&opType=launch', /'launch' is unknown/],
    ['path=s3://b/p', /opType is missing/],
    ['opType=submit', /path is missing/],
    ['path=&opType=submit', /path is missing/],
    ['path=s3://b/p&opType=submit&opType=stop', /opType is given more than once/],
    ['path=s3://b/p&path=s3://b/q&opType=submit', /path is given more than once/],
    ['path[]=s3://b/p&opType=submit', /path is missing/],
    ['path=s3://b/p&opType=submit&optType=stop', /differ/],
    ['path=s3://b/p&opType=submit&bandwidth=-1', /bandwidth '-1' must not be negative/],
    ['path=s3://b/*&opType=submit', /^Load does not support wildcard path/],
    ['path=s3://b/p&opType=submit&dialect=klingon', /dialect 'klingon' is unknown/],
  ] as const) {
    const [status, body] = await post(query);
    t.is(status, 400, query);
    t.regex((body as Record<string, string>)['message'] ?? '', message);
  }
});

test('reference: a refused submit is an error status with a message, never false', async (t) => {
  await using server = await TestServer.start();
  const submit = (path: string): Promise<Response> =>
    fetch(`${server.url}/v1/load?path=${path}&opType=submit`, { method: 'POST' });
  const unmounted = await submit('s3://other/p');
  t.is(unmounted.status, 400);
  t.like(await unmounted.json(), {
    message: "path 's3://other/p' lies outside s3://b",
    code: 'path_not_mounted',
  });
  server.services.jobs.fault = new RingloadError('no_leader', 'no leader is elected');
  const leaderless = await submit('s3://b/p');
  t.is(leaderless.status, 503);
  t.is(leaderless.headers.get('retry-after'), '1');
  t.like(await leaderless.json(), { message: 'no leader is elected' });
});

test('reference: submit repeats, resumes and starts anew as the conflicts say', async (t) => {
  await using server = await TestServer.start();
  const { jobs } = server.services;
  const submit = async (): Promise<string> =>
    (await fetch(`${server.url}/v1/load?path=s3://b/p&opType=submit`, { method: 'POST' })).text();
  t.is(await submit(), 'true');
  t.is(await submit(), 'true');
  t.is(jobs.jobs.length, 1);
  jobs.setState(jobIdNumber(1), 'STOPPED');
  t.is(await submit(), 'true');
  t.is(jobs.jobs.length, 1);
  jobs.setState(jobIdNumber(1), 'SUCCEEDED');
  t.is(await submit(), 'true');
  t.is(jobs.jobs.length, 2);
});

test('reference: progress of an unknown path, by GET and POST', async (t) => {
  await using server = await TestServer.start();
  for (const method of ['GET', 'POST']) {
    const answer = await fetch(`${server.url}/v1/load?path=s3://b/x/&opType=progress`, { method });
    t.is(answer.status, 404);
    t.is(await answer.text(), `{"status":"No job found for path 's3://b/x'"}`);
  }
});

test('reference: progress is verbose unless told otherwise, and keeps WAITING', async (t) => {
  await using server = await TestServer.start();
  const url = `${server.url}/v1/load?path=s3://b/p`;
  await fetch(`${url}&opType=submit`, { method: 'POST' });
  const progress = async (extra: string, init: RequestInit = {}): Promise<unknown> => {
    const answer = await fetch(`${url}&opType=progress${extra}`, init);
    return JSON.parse((await answer.json()) as string) as unknown;
  };
  t.like(await progress(''), { mVerbose: true });
  t.like(await progress('&verbose=False'), { mVerbose: false });
  const post = { method: 'POST', body: '{"verbose":"false"}' };
  t.like(await progress('', post), { mVerbose: false });
  t.like(await progress('&verbose=true', post), { mVerbose: true });
  server.services.jobs.setState(jobIdNumber(1), 'WAITING');
  t.like(await progress(''), { mJobState: 'WAITING' });
  const text = await fetch(`${url}&opType=progress&format=text`);
  t.regex(
    (await text.json()) as string,
    /^Progress for loading path 's3:\/\/b\/p':\n\tSettings:\t/,
  );
});

test('reference: HEAD asks for progress only; other verbs are told what is allowed', async (t) => {
  await using server = await TestServer.start();
  const url = `${server.url}/v1/load?path=s3://b/p`;
  await fetch(`${url}&opType=submit`, { method: 'POST' });
  const head = await fetch(`${url}&opType=progress`, { method: 'HEAD' });
  t.is(head.status, 200);
  t.true(Number(head.headers.get('content-length')) > 500);
  t.is((await fetch(`${url}&opType=stop`, { method: 'HEAD' })).status, 405);
  t.is(server.services.jobs.jobs[0]?.state, 'RUNNING');
  const put = await fetch(`${url}&opType=stop`, { method: 'PUT' });
  t.is(put.status, 405);
  t.is(put.headers.get('allow'), 'GET, HEAD, POST');
});

test('reference: hostile bodies change nothing and are only limited in size', async (t) => {
  await using server = await TestServer.start();
  const post = (body: string): Promise<Response> =>
    fetch(`${server.url}/v1/load?path=s3://b/p&opType=submit`, { method: 'POST', body });
  for (const body of [
    '{"__proto__":{"options":{"verify":true}},"options":{"verify":true}}',
    '{"options":{"__proto__":{"verify":true},"verify":true}}',
    '['.repeat(30_000),
    '\u0000\u0001',
    '"text"',
    'null',
  ]) {
    t.is(await (await post(body)).text(), 'true');
  }
  t.false(server.services.jobs.submitted.some((spec) => spec.verify));
  t.is((await post('x'.repeat(64 * 1024 + 1))).status, 413);
});
