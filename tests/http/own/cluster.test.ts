import test from 'ava';
import { PEER_ID, TestServer } from '../fake-services.ts';

test('cluster: view and self are given as they are', async (t) => {
  await using server = await TestServer.start();
  const { cluster } = server.services;
  t.deepEqual(await (await fetch(`${server.url}/v1/cluster`)).json(), await cluster.view());
  t.deepEqual(await (await fetch(`${server.url}/v1/self`)).json(), cluster.self());
});

test('cluster: leadership goes to a named member', async (t) => {
  await using server = await TestServer.start();
  const transfer = (body: string): Promise<Response> =>
    fetch(`${server.url}/v1/cluster/transfer`, {
      method: 'POST',
      body,
      headers: { 'Content-Type': 'application/json' },
    });
  t.deepEqual(await (await transfer(`{"to":"${PEER_ID}"}`)).json(), { to: PEER_ID });
  for (const body of ['{}', '{"to":5}', '{"to":"x"}', `{"to":"${PEER_ID}","now":true}`]) {
    t.is((await transfer(body)).status, 400, body);
  }
});

test('cluster: a member is removed, by force only when asked', async (t) => {
  await using server = await TestServer.start();
  const remove = (target: string): Promise<Response> =>
    fetch(`${server.url}/v1/cluster/members/${target}`, { method: 'DELETE' });
  t.deepEqual(await (await remove(PEER_ID)).json(), { removed: PEER_ID });
  t.is((await remove(`${PEER_ID}?force=true`)).status, 200);
  t.deepEqual(server.services.removed, [`${PEER_ID} false`, `${PEER_ID} true`]);
  t.is((await remove(`${PEER_ID}?force=maybe`)).status, 400);
  t.is((await remove('nobody')).status, 404);
});
