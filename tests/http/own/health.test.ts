import test from 'ava';
import { TestServer } from '../fake-services.ts';

test('health: alive whatever the cluster does', async (t) => {
  await using server = await TestServer.start();
  server.services.notReady = ['no leader is elected'];
  for (const path of ['/healthz', '/livez']) {
    const answer = await fetch(server.url + path);
    t.deepEqual([answer.status, await answer.json()], [200, { status: 'ok' }]);
  }
});

test('health: ready for loads and for reads are two questions', async (t) => {
  await using server = await TestServer.start();
  t.is((await fetch(`${server.url}/readyz`)).status, 200);
  server.services.notReady = ['no leader is elected'];
  const answer = await fetch(`${server.url}/readyz`);
  t.is(answer.status, 503);
  t.is(answer.headers.get('retry-after'), '1');
  t.like(await answer.json(), { reasons: ['no leader is elected'] });
  t.is((await fetch(`${server.url}/readyz?check=read`)).status, 200);
  t.is((await fetch(`${server.url}/readyz?check=x`)).status, 400);
});

test('health: metrics and version', async (t) => {
  await using server = await TestServer.start({ version: '1.2.3' });
  const metrics = await fetch(`${server.url}/metrics`);
  t.is(metrics.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  t.is(await metrics.text(), 'ringload_up 1\n');
  t.deepEqual(await (await fetch(`${server.url}/version`)).json(), {
    name: 'ringload',
    version: '1.2.3',
  });
});
