import test from 'ava';
import { request } from 'undici';
import { jobIdNumber, TestServer } from '../fake-services.ts';

const ID = jobIdNumber(1);

async function call(
  server: TestServer,
  method: 'GET' | 'POST',
  target: string,
  body?: object,
): Promise<{ status: number; type: string; text: string }> {
  const answer = await request(`${server.url}/api/v1/master/${target}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return {
    status: answer.statusCode,
    type: String(answer.headers['content-type']),
    text: await answer.body.text(),
  };
}

test('master: submit, progress with a body on GET, list and stop', async (t) => {
  await using server = await TestServer.start();
  const submitted = await call(server, 'POST', 'submit_job/load', {
    path: 's3://b/ufs/',
    options: {
      replicas: '2',
      batchSize: '100',
      partialListing: 'true',
      loadMetadataOnly: 'false',
      skipIfExists: 'false',
    },
  });
  t.deepEqual(JSON.parse(submitted.text), {
    success: true,
    jobId: ID,
    job_id: ID,
    path: 's3://b/ufs',
    target_path: 's3://b/ufs',
    message: `Load 's3://b/ufs' is successfully submitted. JobId: ${ID}\n`,
  });
  t.like(server.services.jobs.submitted[0], {
    replicaCount: 2,
    batchSize: 100,
    partialListing: true,
    skipIfExists: false,
    reload: false,
  });

  const path = { path: 's3://b/ufs/' };
  const text = await call(server, 'GET', 'progress_job/load', { ...path, format: 'TEXT' });
  t.is(text.type, 'text/plain');
  t.regex(text.text, /^\tSettings:\t/);
  const json = await call(server, 'GET', 'progress_job/load', {
    ...path,
    format: 'JSON',
    verbose: 'true',
  });
  t.like(JSON.parse(json.text), { mVerbose: true, mProcessedInodesCount: 0 });
  const byId = await call(server, 'GET', 'progress_job/load', { job_id: ID, format: 'JSON' });
  t.like(JSON.parse(byId.text), { mVerbose: false });

  const list = await call(server, 'GET', 'list_job?job-type=LOAD&job-state=RUNNING');
  t.like(JSON.parse(list.text), { results: [{ id: ID, state: 'RUNNING', paths: ['s3://b/ufs'] }] });
  t.deepEqual(JSON.parse((await call(server, 'GET', 'list_job?job-state=FAILED')).text), {
    results: [],
  });

  const stopped = await call(server, 'POST', 'stop_job/load', path);
  t.like(JSON.parse(stopped.text), { success: true, path: 's3://b/ufs' });
  t.like(JSON.parse((await call(server, 'POST', 'stop_job/load', path)).text), { success: false });
});

test('master: what is wrong or unknown is told with a message', async (t) => {
  await using server = await TestServer.start();
  const cases = [
    ['POST', 'submit_job/load', undefined, 400],
    ['POST', 'submit_job/load', { path: 's3://b/p', options: { replicas: 'x' } }, 400],
    ['POST', 'submit_job/load', { indexFile: 's3://b/i', path: 's3://b/p' }, 400],
    ['GET', 'progress_job/load', { path: 's3://b/none' }, 404],
    ['GET', 'progress_job/load', { job_id: 'x' }, 400],
    ['GET', 'list_job?job-state=LOST', undefined, 400],
    ['GET', 'list_job?job-type=COPY', undefined, 400],
    ['GET', 'submit_job/load', undefined, 405],
    ['GET', 'other', undefined, 404],
  ] as const;
  for (const [method, target, body, status] of cases) {
    const answer = await call(server, method, target, body);
    t.is(answer.status, status, `${method} ${target} ${JSON.stringify(body)}`);
    if (status >= 400)
      t.is(typeof (JSON.parse(answer.text) as { message?: string }).message, 'string');
  }
});
