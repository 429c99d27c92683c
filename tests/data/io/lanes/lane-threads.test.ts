/** Orders that go to real lane threads, or do not. */
import { BandwidthBuckets } from '../../../../src/data/bandwidth-buckets.ts';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { silentLogger } from '../../../../src/base/logger.ts';
import type { LaneOrder } from '../../../../src/data/io/lanes/lane-orders.ts';
import { LaneThreads } from '../../../../src/data/io/lanes/lane-threads.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

/** Answers every request with one byte, on a connection that stays open. */
async function listen(): Promise<{ heads: string[]; server: Server; port: number }> {
  const heads: string[] = [];
  const server = createServer((socket) => {
    socket.on('data', (bytes) => {
      heads.push(bytes.toString());
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx');
    });
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { heads, server, port: (server.address() as AddressInfo).port };
}

test('lane threads: an order that was given up before it was given asks nothing', async (t) => {
  await using folder = await tempFolder('lane-threads');
  const path = join(folder.path, 'target');
  await writeFile(path, '');
  const { heads, server, port } = await listen();
  const logger = silentLogger;
  const threads = new LaneThreads({
    threadCount: 1,
    directIo: 'off',
    laneMaxCount: 1,
    socketMaxCount: 64,
    openFileMaxCount: 64,
    bandwidth: new BandwidthBuckets().memory,
    logger,
  });
  t.teardown(async () => {
    await threads.close();
    server.close();
  });
  const order = (head: string): Omit<LaneOrder, 'id'> => ({
    request: { endpoint: { address: '127.0.0.1', port }, head },
    watch: {
      connectTimeoutMs: 10_000,
      headTimeoutMs: 10_000,
      windowMs: 10_000,
      minBytesPerWindow: 1,
      bodyTimeoutMs: 10_000,
    },
    target: { path, offset: 0, length: 1, ownsPages: false },
    start: 0,
  });
  const fresh = new AbortController().signal;
  // The connection of the first is at hand for the next: what is ordered then is sent at once.
  t.is((await threads.run(order('first'), fresh)).kind, 'moved');
  t.is((await threads.run(order('given up'), AbortSignal.abort())).kind, 'cancelled');
  t.is((await threads.run(order('last'), fresh)).kind, 'moved');
  t.deepEqual(heads, ['first', 'last']);
});
