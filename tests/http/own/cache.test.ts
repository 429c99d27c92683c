import test from 'ava';
import { TestServer } from '../fake-services.ts';

function send(server: TestServer, path: string, body: unknown): Promise<Response> {
  return fetch(`${server.url}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'Content-Type': 'application/json' },
  });
}

async function linesOf(response: Response): Promise<unknown[]> {
  return (await response.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

test('cache: free tells progress and a report, one line each', async (t) => {
  await using server = await TestServer.start();
  const lines = await linesOf(await send(server, '/v1/cache/free', { path: 's3://b/a/' }));
  t.like(lines, [{ progress: { files: 1 } }, { report: { path: 's3://b/a', complete: true } }]);
  await send(server, '/v1/cache/free', { path: 's3://b/a', evenPinned: true });
  t.deepEqual(server.services.cache.freed, [
    { path: 's3://b/a', evenPinned: false },
    { path: 's3://b/a', evenPinned: true },
  ]);
  for (const body of [
    {},
    { path: 5 },
    { path: 's3://b/*' },
    { path: 's3://b/a', evenPinned: 'yes' },
    { path: 's3://b/a', force: true },
    { path: 's3://other/a' },
  ]) {
    t.is((await send(server, '/v1/cache/free', body)).status, 400, JSON.stringify(body));
  }
});

test('cache: check tells each file and a report', async (t) => {
  await using server = await TestServer.start();
  const { cache } = server.services;
  cache.files = [
    { path: 's3://b/a/1', sizeBytes: 1, state: 'loaded', replicaBytes: [1], peerBytes: {} },
  ];
  const lines = await linesOf(await fetch(`${server.url}/v1/cache/check?path=s3://b/a`));
  t.like(lines, [{ file: cache.files[0] }, { report: { path: 's3://b/a' } }]);
  await fetch(`${server.url}/v1/cache/check?path=s3://b/a&store=false`);
  t.deepEqual(
    cache.checked.map(({ asksStore }) => asksStore),
    [true, false],
  );
  for (const query of ['', '?path=', '?path=s3://b/a&store=perhaps', '?path=s3://b/a&x=1']) {
    t.is((await fetch(`${server.url}/v1/cache/check${query}`)).status, 400, query);
  }
});

test('cache: rules are set field by field, listed, and found for a path', async (t) => {
  await using server = await TestServer.start();
  const set = async (body: object): Promise<unknown> =>
    (await send(server, '/v1/cache/rules', body)).json();
  const rule = { path: 's3://b/a', ttlMs: 60_000, quotaBytes: 1024 ** 3, freshness: '30s' };
  t.deepEqual(await set({ path: 's3://b/a', ttl: '1m', quota: '1GiB', freshness: '30s' }), {
    rule,
  });
  t.deepEqual(await set({ path: 's3://b/a', pinned: true, priority: 'LOW', ttl: null }), {
    rule: {
      path: 's3://b/a',
      pinned: true,
      priority: 'low',
      quotaBytes: 1024 ** 3,
      freshness: '30s',
    },
  });
  await set({ path: 's3://b/c', pinned: true });
  const list = async (query: string): Promise<number> => {
    const answer = await (await fetch(`${server.url}/v1/cache/rules${query}`)).json();
    return (answer as { rules: unknown[] }).rules.length;
  };
  t.is(await list(''), 2);
  t.is(await list('?path=s3://b/a/x'), 1);
  t.is(await list('?path=s3://b/ab'), 0);
  t.deepEqual(await set({ path: 's3://b/c', pinned: false }), { rule: null });
  for (const body of [
    { pinned: true },
    { path: 's3://b/a', pinned: 'yes' },
    { path: 's3://b/a', priority: 'urgent' },
    { path: 's3://b/a', ttl: {} },
    { path: 's3://b/a', ttl: '1ms' },
    { path: 's3://b/a', quota: 'much' },
    { path: 's3://b/a', freshness: 'never' },
    { path: 's3://b/a', ttlMs: 5 },
    { path: 's3://other/a', pinned: true },
  ]) {
    t.is((await send(server, '/v1/cache/rules', body)).status, 400, JSON.stringify(body));
  }
});

test('master: a free is submitted, followed and stopped by path', async (t) => {
  await using server = await TestServer.start();
  const base = '/api/v1/master';
  const progress = (): Promise<Response> =>
    fetch(`${server.url}${base}/progress_job/free?path=s3://b/a`);
  t.is((await progress()).status, 404);
  t.like(await (await send(server, `${base}/submit_job/free`, { path: 's3://b/a' })).json(), {
    success: true,
    message: "Free 's3://b/a' is successfully submitted.",
  });
  t.like(await (await progress()).json(), { jobState: 'RUNNING' });
  t.like(await (await progress()).json(), { jobState: 'SUCCEEDED', report: { complete: true } });
  t.like(await (await send(server, `${base}/stop_job/free`, { path: 's3://b/a' })).json(), {
    success: false,
  });
});
