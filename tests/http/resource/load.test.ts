import test from 'ava';
import { request } from 'undici';
import { jobIdNumber, TestServer } from '../fake-services.ts';

const ID = jobIdNumber(1);

async function call(
  server: TestServer,
  method: 'GET' | 'POST' | 'DELETE',
  query = '',
  body?: unknown,
): Promise<{ status: number; value: unknown }> {
  const answer = await request(`${server.url}/api/v1/load${query}`, {
    method,
    headers: { 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.statusCode, value: await answer.body.json() };
}

test('resource: submit, conflict, progress, list, stop, resume', async (t) => {
  await using server = await TestServer.start();
  const load = {
    paths: ['s3://b/p/'],
    options: { replicas: 2, skipIfExists: true, loadPolicy: 'IF_CHANGED' },
  };
  t.deepEqual(await call(server, 'POST', '', load), { status: 200, value: { id: ID, alias: ID } });
  t.like(server.services.jobs.submitted[0], { path: 's3://b/p', replicaCount: 2 });
  t.deepEqual(await call(server, 'POST', '', load), { status: 409, value: { id: ID, alias: ID } });
  for (const query of [`?id=${ID}`, `?alias=${ID}`, '?path=s3://b/p/']) {
    const { status, value } = await call(server, 'GET', query);
    t.is(status, 200);
    t.like(value, {
      id: ID,
      startTime: '2023-11-14T22:13:20.000+00:00',
      state: 'RUNNING',
      paths: ['s3://b/p'],
      loadedBytes: 0,
    });
  }
  t.like((await call(server, 'GET')).value, { results: [{ id: ID }] });
  t.is((await call(server, 'DELETE', '', { paths: ['s3://b/p'] })).status, 200);
  t.deepEqual(await call(server, 'DELETE', `?id=${ID}`), {
    status: 404,
    value: { status: `No job found for id '${ID}'` },
  });
  t.is((await call(server, 'POST', '', load)).status, 200);
  t.is(server.services.jobs.jobs.length, 1);
});

test('resource: what cannot be honoured is refused', async (t) => {
  await using server = await TestServer.start();
  const path = 's3://b/p';
  for (const body of [
    undefined,
    {},
    { paths: [] },
    { paths: [path, ''] },
    { paths: path },
    { paths: [5] },
    { index: 5 },
    { index: 's3://b/i', paths: [path] },
    { paths: [path], alias: ID },
    { paths: [path], alias: 5 },
    { paths: [path], options: { sync: true } },
    { paths: [path], options: { loadPolicy: 'ALWAYS' } },
    { paths: [path], options: { replicas: 'x' } },
  ]) {
    const { status, value } = await call(server, 'POST', '', body);
    t.is(status, 400, JSON.stringify(body));
    t.is(typeof (value as { message?: string }).message, 'string');
  }
  t.is(server.services.jobs.submitted.length, 0);
  t.is((await call(server, 'GET', '?id=x')).status, 400);
  t.is((await call(server, 'GET', '?path=s3://b/none')).status, 404);
  t.is((await call(server, 'DELETE')).status, 400);
});

test('resource: several paths, an index file and an alias name a load', async (t) => {
  await using server = await TestServer.start();
  const several = { paths: ['s3://b/q/', 's3://b/p', 's3://b/q/below'], alias: 'mine' };
  const created = { status: 200, value: { id: ID, alias: 'mine' } };
  t.deepEqual(await call(server, 'POST', '', several), created);
  const paths = ['s3://b/p', 's3://b/q'];
  t.like(server.services.jobs.submitted[0], { path: 's3://b/p', paths, alias: 'mine' });
  t.like((await call(server, 'GET', '?alias=mine')).value, { id: ID, paths, alias: 'mine' });
  t.like((await call(server, 'GET', '', { paths: ['s3://b/p/', 's3://b/q'] })).value, { id: ID });
  t.is((await call(server, 'GET', '?path=s3://b/p')).status, 404);

  const index = jobIdNumber(2);
  const listed = { index: 's3://b/list', options: { priority: 'high' } };
  t.deepEqual(await call(server, 'POST', '', listed), {
    status: 200,
    value: { id: index, alias: index },
  });
  t.like(server.services.jobs.submitted[1], { path: 's3://b/list', priority: 'high' });
  const { value } = await call(server, 'GET', '?index=s3://b/list');
  t.like(value, { id: index, index: 's3://b/list' });
  t.false('paths' in (value as object));
  t.is((await call(server, 'DELETE', '', { indexFile: 's3://b/list' })).status, 200);
  t.deepEqual(await call(server, 'DELETE', '', { index: 's3://b/list' }), {
    status: 404,
    value: { status: "No job found for index 's3://b/list'" },
  });
});

test('resource: the list goes on behind the last key', async (t) => {
  await using server = await TestServer.start();
  for (let n = 1; n <= 5; n += 1) await call(server, 'POST', '', { paths: [`s3://b/${n}`] });
  const ids: string[] = [];
  let query = '?count=2';
  for (let pages = 1; ; pages += 1) {
    const { value } = await call(server, 'GET', query);
    const { results, lastKey } = value as { results: { id: string }[]; lastKey?: string };
    t.true(results.length <= 2);
    ids.push(...results.map(({ id }) => id));
    if (lastKey === undefined) {
      t.is(pages, 3);
      break;
    }
    query = `?count=2&lastKey=${lastKey}`;
  }
  t.is(new Set(ids).size, 5);
  t.is((await call(server, 'GET', '?count=0')).status, 400);
  t.is((await call(server, 'GET', '?count=x')).status, 400);
  t.is((await call(server, 'GET', `?lastKey=${jobIdNumber(9)}`)).status, 400);
});
