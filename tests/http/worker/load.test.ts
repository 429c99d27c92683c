import test from 'ava';
import { RingloadError } from '../../../src/base/errors.ts';
import { jobIdNumber, TestServer } from '../fake-services.ts';

const ID = jobIdNumber(1);

async function get(server: TestServer, query: string): Promise<{ answer: Response; text: string }> {
  const answer = await fetch(`${server.url}/v1/load?${query}`);
  return { answer, text: await answer.text() };
}

test('worker: the objects of each operation, to the byte', async (t) => {
  await using server = await TestServer.start({ port: 'worker' });
  const { jobs } = server.services;
  const p = 'path=s3%3A%2F%2Fb%2Fp';

  const submitted = await get(server, `${p}&opType=submit&verbose=true`);
  t.is(submitted.answer.headers.get('content-type'), 'text/plain');
  t.is(
    submitted.text,
    `{"success":true,"jobId":"${ID}","path":"s3://b/p","message":"Load 's3://b/p' is successfully submitted. JobId: ${ID}\\n"}`,
  );
  const running = `{"success":true,"jobId":"${ID}","path":"s3://b/p","message":"Load already running for path 's3://b/p' \\n"}`;
  t.is((await get(server, `${p}&opType=submit`)).text, running);
  t.is(
    (await get(server, `${p}&opType=stop`)).text,
    `{"success":true,"path":"s3://b/p","message":"Load 's3://b/p' is successfully stopped.\\n"}`,
  );
  t.is(
    (await get(server, `${p}&opType=stop`)).text,
    `{"success":false,"path":"s3://b/p","message":"Cannot find load job for path s3://b/p, it might have already been stopped or finished\\n"}`,
  );
  t.is((await get(server, `${p}&opType=submit`)).text, running);
  t.is(jobs.jobs.length, 1);
  t.is(
    (await get(server, 'path=s3://b/none&opType=progress')).text,
    `{"jobState":"FAILED","path":"s3://b/none","message":"Load for path 's3://b/none' cannot be found.","respProperties":{}}`,
  );
  const refused = await get(server, 'path=s3://other/p&opType=submit');
  t.is(refused.answer.status, 200);
  t.is(
    refused.text,
    `{"success":false,"jobId":"NONE","path":"s3://other/p","message":"Failed to submit load job s3://other/p: path 's3://other/p' lies outside s3://b"}`,
  );
});

test('worker: progress carries the long report and its rows', async (t) => {
  await using server = await TestServer.start({ port: 'worker' });
  const { jobs } = server.services;
  await get(server, 'path=s3://b/p&opType=submit');
  const job = jobs.jobs[0];
  if (job) jobs.update(ID, { counters: { ...job.counters, listedFiles: 13 }, elapsedMs: 61_000 });
  const { text } = await get(server, 'path=s3://b/p&opType=progress&verbose=true');
  t.deepEqual(JSON.parse(text), {
    jobState: 'RUNNING',
    path: 's3://b/p',
    message:
      "Progress for loading path 's3://b/p':\n" +
      '\tSettings:\tbandwidth: unlimited\tverify: false\tmetadata-only: false\n' +
      '\tTime Elapsed: 00:01:01\n' +
      '\tJob State: RUNNING\n' +
      '\tStage: LOADING\n' +
      '\tInodes Scanned: 13\n' +
      '\tInodes Processed: 0\n' +
      '\tBytes Loaded: 0B\n' +
      '\tThroughput: 0B/s\n' +
      '\tFile Failure rate: 0.00%\n' +
      '\tSubtask Failure rate: 0.00%\n' +
      '\tFiles Failed: 0\n' +
      '\tRecent failed subtasks: \n' +
      '\tRecent retrying subtasks: \n' +
      '\tSubtask Retry rate: 0.00%\n' +
      '\tSubtasks on Retry Dead Letter Queue: 0\n',
    respProperties: {
      Settings: 'bandwidth: unlimited\tverify: false\tmetadata-only: false',
      'Time Elapsed': '00:01:01',
      'Job State': 'RUNNING',
      Stage: 'LOADING',
      'Inodes Scanned': '13',
      'Inodes Processed': '0',
      'Bytes Loaded': '0B',
      Throughput: '0B/s',
      'File Failure rate': '0.00%',
      'Subtask Failure rate': '0.00%',
      'Files Failed': '0',
      'Recent failed subtasks': '',
      'Recent retrying subtasks': '',
      'Subtask Retry rate': '0.00%',
      'Subtasks on Retry Dead Letter Queue': '0',
    },
  });
});

test('worker: clients see only the states they know, failures in the job state', async (t) => {
  await using server = await TestServer.start({ port: 'worker' });
  await get(server, 'path=s3://b/p&opType=submit');
  const state = async (extra = ''): Promise<unknown> => {
    const { text } = await get(server, `path=s3://b/p&opType=progress${extra}`);
    return (JSON.parse(text) as Record<string, unknown>)['jobState'];
  };
  server.services.jobs.setState(ID, 'WAITING');
  t.is(await state(), 'RUNNING');
  t.is(await state('&progressFormat=json'), 'RUNNING');
  server.services.jobs.update(ID, {
    state: 'FAILED',
    failure: { code: 'ufs_credentials', message: 'bucket refuses us' },
  });
  t.is(await state(), 'FAILED (ufs_credentials: bucket refuses us)');
  const { text } = await get(server, 'path=s3://b/p&opType=progress&progressFormat=JSON');
  const message = (JSON.parse(text) as { message: string }).message;
  t.true(message.startsWith("Progress for loading path 's3://b/p':\n{"));
  t.like(JSON.parse(message.slice(message.indexOf('{'))), { mProcessedInodesCount: 0 });
});

test('worker: chosen on the REST port by verb or parameter', async (t) => {
  await using server = await TestServer.start();
  const call = async (method: string, query: string): Promise<string> =>
    (await fetch(`${server.url}/v1/load?path=s3://b/p&${query}`, { method })).text();
  t.regex(await call('GET', 'opType=submit'), /^\{"success":true/);
  t.regex(await call('POST', 'opType=submit&dialect=Worker'), /^\{"success":true/);
  t.regex(await call('GET', 'opType=progress&dialect=worker'), /^\{"jobState":"RUNNING"/);
  t.regex(await call('GET', 'opType=progress'), /^"\{/);
  t.is(await call('GET', 'opType=stop&dialect=reference'), 'true');
  t.regex(await call('GET', 'opType=stop'), /^\{"success":false/);
});

test('worker: a wrong request is 400, a cluster without leader 503', async (t) => {
  await using server = await TestServer.start({ port: 'worker' });
  for (const query of ['opType=submit', 'path=s3://b/p', 'path=s3://b/p&opType=x', 'path=%zz']) {
    const { answer, text } = await get(server, query);
    t.is(answer.status, 400);
    t.is(typeof (JSON.parse(text) as Record<string, unknown>)['message'], 'string');
  }
  server.services.jobs.fault = new RingloadError('no_leader', 'no leader is elected');
  for (const operation of ['submit', 'progress', 'stop']) {
    const { answer, text } = await get(server, `path=s3://b/p&opType=${operation}`);
    t.is(answer.status, 503);
    t.is(answer.headers.get('retry-after'), '1');
    t.like(JSON.parse(text), { message: 'no leader is elected' });
  }
});

test('worker: health is empty and accepts what starts with health', async (t) => {
  await using worker = await TestServer.start({ port: 'worker' });
  for (const path of ['/health', '/healthz', '/health/x/y']) {
    const answer = await fetch(worker.url + path);
    t.deepEqual([answer.status, await answer.text()], [200, '']);
    t.is(answer.headers.get('content-length'), '0');
  }
  await using rest = await TestServer.start();
  t.is(await (await fetch(`${rest.url}/health`)).text(), '');
  t.not(await (await fetch(`${rest.url}/healthz`)).text(), '');
});

test('worker, reference, master: an index file and several paths name a load as a path does', async (t) => {
  await using server = await TestServer.start({ port: 'worker' });
  const ask = async (target: string, init?: RequestInit): Promise<Record<string, unknown>> =>
    (await (await fetch(server.url + target, init)).json()) as Record<string, unknown>;
  const index = 's3://b/list';
  t.like(await ask(`/v1/load?index=${index}&opType=submit&bandwidth=1m`), {
    success: true,
    path: index,
  });
  t.like(server.services.jobs.submitted[0], { path: index, bandwidthBps: 1024 * 1024 });
  t.true(server.services.jobs.submitted[0]?.index !== undefined);
  t.like(await ask(`/v1/load?indexFile=${index}/&opType=progress`), { jobState: 'RUNNING' });
  // A load of the path is another load.
  t.like(await ask(`/v1/load?path=${index}&opType=progress`), { jobState: 'FAILED' });
  t.like(await ask(`/v1/load?index=${index}&opType=stop`), { success: true });

  const post = (value: unknown): RequestInit => ({ method: 'POST', body: JSON.stringify(value) });
  const several = { paths: ['s3://b/y/', 'alluxiofs://s3://b/x'], options: { replicas: '1' } };
  t.like(await ask('/api/v1/master/submit_job/load', post(several)), { success: true });
  t.like(server.services.jobs.submitted[1], { paths: ['s3://b/x', 's3://b/y'] });
  const stop = { paths: ['s3://b/x', 's3://b/y'] };
  t.like(await ask('/api/v1/master/stop_job/load', post(stop)), { success: true });
  const both = { path: 's3://b/x', indexFile: index };
  const refused = await fetch(`${server.url}/api/v1/master/submit_job/load`, post(both));
  t.is(refused.status, 400);
});
