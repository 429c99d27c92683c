/** Alone in its file: it counts what this whole thread keeps open. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { tempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { ready, startNode } from './support/test-node.ts';

/** Kinds of resources; sockets of the test's own HTTP client linger, and are not the node's. */
const COUNTED = [
  'MessagePort',
  'TCPServerWrap',
  'Timeout',
  'FSReqPromise',
  'FSReqCallback',
  'Immediate',
];

function openResources(): string[] {
  return process.getActiveResourcesInfo().filter((kind) => COUNTED.includes(kind));
}

/** @throws when somebody still listens there. */
async function takePort(address: string): Promise<void> {
  const server = createServer();
  server.listen(Number(address.split(':').at(-1)), '127.0.0.1');
  await once(server, 'listening');
  server.close();
  await once(server, 'close');
}

test('node: dispose frees its ports, its directory and every timer', async (t) => {
  t.timeout(60_000);
  await using folder = await tempFolder('nodes');
  const options = { dataDir: join(folder.path, 'a'), mount: join(folder.path, 'ufs') };
  const baseline = openResources().length;
  const node = await startNode(options);
  await ready(node);
  const running = openResources();
  await node[Symbol.asyncDispose]();
  // Data and S3 endpoint listen in threads of their own.
  t.is(running.filter((kind) => kind === 'TCPServerWrap').length, 1);
  t.true(running.includes('MessagePort'));
  t.true(running.includes('Timeout'));
  await takePort(node.node.restAddress);
  await takePort(new URL(node.node.dataEndpoint).host);
  // The pause between two looks is a timer too.
  await waitFor(() => openResources().length <= baseline, {
    what: 'nothing to be open any more',
    context: () => openResources().join(' '),
  });
  const complaints = node.logger.lines.filter(({ level }) => level === 'warn' || level === 'error');
  t.deepEqual(complaints, []);
  await using again = await startNode(options);
  t.true(await ready(again));
});
