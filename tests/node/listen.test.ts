import { once } from 'node:events';
import { Agent, createServer, get, type IncomingMessage, type Server } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { closerOf, listen, portOf } from '../../src/node/listen.ts';
import { waitFor } from '../support/wait-for.ts';
import { errorOf } from './support/fakes.ts';

async function open(graceMs: number): Promise<{ server: Server; close: () => Promise<void> }> {
  const server = createServer();
  const close = closerOf(server, graceMs);
  await listen(server, '127.0.0.1', 0);
  return { server, close };
}

async function ask(server: Server, agent?: Agent): Promise<IncomingMessage> {
  const request = get({ port: portOf(server), host: '127.0.0.1', ...(agent && { agent }) });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return response;
}

test('listen: a port that is taken is named', async (t) => {
  const { server, close } = await open(0);
  const port = portOf(server);
  const error = await errorOf(listen(createServer(), '127.0.0.1', port));
  t.is(error.code, 'address_in_use');
  t.true(error.message.includes(`127.0.0.1:${port}`));
  await close();
  await t.notThrowsAsync(listen(server, '127.0.0.1', port), 'and is free again');
  server.close();
});

test('listen: a host that is not of this machine is a fault of the configuration', async (t) => {
  t.is((await errorOf(listen(createServer(), '203.0.113.7', 0))).code, 'config_invalid');
});

test('close: an answer under way is finished, nobody new is let in', async (t) => {
  const { server, close } = await open(20_000);
  let finish: () => void = () => undefined;
  server.on('request', (_request, response) => {
    response.write('begun ');
    finish = () => response.end('and finished');
  });
  const response = await ask(server);
  const port = portOf(server);
  const closed = close();
  const refused = connect(port, '127.0.0.1');
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
  t.is(error.code, 'ECONNREFUSED');
  finish();
  t.is(await text(response), 'begun and finished');
  await closed;
});

test('close: an answer that does not end is cut after the grace', async (t) => {
  const { server, close } = await open(50);
  server.on('request', (_request, response) => response.write('begun '));
  const response = await ask(server);
  await close();
  await t.throwsAsync(text(response));
});

test('close: connections that are only kept alive are not waited for', async (t) => {
  const { server, close } = await open(20_000);
  server.on('request', (_request, response) => response.end('done'));
  const agent = new Agent({ keepAlive: true });
  t.is(await text(await ask(server, agent)), 'done');
  await close();
  await waitFor(() => Object.keys(agent.freeSockets).length === 0, { what: 'the socket to end' });
  agent.destroy();
  t.pass();
});
