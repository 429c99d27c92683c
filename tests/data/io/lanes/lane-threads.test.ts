/** Orders that go to real lane threads, or do not. */
import { BandwidthBuckets } from '../../../../src/data/bandwidth-buckets.ts';
import { DemandCount } from '../../../../src/data/demand-count.ts';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { silentLogger } from '../../../../src/base/logger.ts';
import type { UnnumberedOrder } from '../../../../src/data/io/lanes/lane-orders.ts';
import { LaneThreads } from '../../../../src/data/io/lanes/lane-threads.ts';
import { Urgency } from '../../../../src/data/urgency.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { waitFor } from '../../../support/wait-for.ts';

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
    demands: new DemandCount().memory,
    logger,
  });
  t.teardown(async () => {
    await threads.close();
    server.close();
  });
  const order = (head: string): UnnumberedOrder => ({
    request: { endpoint: { address: '127.0.0.1', port }, head },
    watch: {
      connectTimeoutMs: 10_000,
      headTimeoutMs: 10_000,
      windowMs: 10_000,
      minBytesPerWindow: 1,
      bodyTimeoutMs: 10_000,
    },
    target: { path, offset: 0, length: 1, ownsPages: false, isDirect: false },
    start: 0,
  });
  const fresh = new AbortController().signal;
  // The connection of the first is at hand for the next: what is ordered then is sent at once.
  t.is((await threads.run(order('first'), fresh)).kind, 'moved');
  t.is((await threads.run(order('given up'), AbortSignal.abort())).kind, 'cancelled');
  t.is((await threads.run(order('last'), fresh)).kind, 'moved');
  t.deepEqual(heads, ['first', 'last']);
});

test('lane threads: what a reader waits for goes before what was ordered ahead of it', async (t) => {
  await using folder = await tempFolder('lane-threads');
  const path = join(folder.path, 'target');
  await writeFile(path, '');
  const heads: string[] = [];
  const held: Socket[] = [];
  const answer = (socket: Socket): boolean =>
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx');
  /** Answers readers at once, and everybody else when it is told to. */
  const server = createServer((socket) => {
    socket.on('data', (bytes) => {
      heads.push(bytes.toString());
      if (bytes.toString().startsWith('reader')) answer(socket);
      else held.push(socket);
    });
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const threads = new LaneThreads({
    threadCount: 1,
    directIo: 'off',
    laneMaxCount: 2,
    socketMaxCount: 64,
    openFileMaxCount: 64,
    bandwidth: new BandwidthBuckets().memory,
    demands: new DemandCount().memory,
    logger: silentLogger,
  });
  t.teardown(async () => {
    await threads.close();
    server.close();
  });
  const fresh = new AbortController().signal;
  const run = (head: string, isPrefetch: boolean) =>
    threads.run(
      {
        request: { endpoint: { address: '127.0.0.1', port }, head },
        watch: {
          connectTimeoutMs: 60_000,
          headTimeoutMs: 60_000,
          windowMs: 60_000,
          minBytesPerWindow: 1,
          bodyTimeoutMs: 60_000,
        },
        target: { path, offset: 0, length: 1, ownsPages: false, isDirect: false },
        start: 0,
      },
      fresh,
      new Urgency(!isPrefetch),
    );
  const prefetches = Array.from({ length: 6 }, (_, number) => run(`job ${number}`, true));
  await waitFor(() => held.length === 2, { what: 'the lanes to be taken' });
  // All lanes are taken, and four orders wait: readers are answered nevertheless.
  const readers = Array.from({ length: 8 }, (_, number) => run(`reader ${number}`, false));
  const kinds = (await Promise.all(readers)).map(({ kind }) => kind);
  t.deepEqual(new Set(kinds), new Set(['moved']));
  t.is(held.length, 2, 'more lanes for jobs than there may be');
  while (heads.length < 14) {
    const socket = held.shift();
    if (socket) answer(socket);
    else await delay(5);
  }
  for (const socket of held.splice(0)) answer(socket);
  const ended = (await Promise.all(prefetches)).map(({ kind }) => kind);
  t.deepEqual(new Set(ended), new Set(['moved']));
});

test('lane threads: what a reader begins to wait for overtakes what was ordered with it', async (t) => {
  await using folder = await tempFolder('lane-threads');
  const path = join(folder.path, 'target');
  await writeFile(path, '');
  const held: Socket[] = [];
  const heads: string[] = [];
  const server = createServer((socket) => {
    socket.on('data', (bytes) => {
      heads.push(bytes.toString());
      held.push(socket);
    });
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const threads = new LaneThreads({
    threadCount: 1,
    directIo: 'off',
    laneMaxCount: 1,
    socketMaxCount: 64,
    openFileMaxCount: 64,
    bandwidth: new BandwidthBuckets().memory,
    demands: new DemandCount().memory,
    logger: silentLogger,
  });
  t.teardown(async () => {
    await threads.close();
    server.close();
  });
  const watch = { ...{ connectTimeoutMs: 60_000, headTimeoutMs: 60_000, windowMs: 60_000 } };
  const target = { path, offset: 0, length: 1, ownsPages: false, isDirect: false };
  const urgencies = Array.from({ length: 4 }, () => new Urgency(false));
  const reports = urgencies.map((urgency, number) =>
    threads.run(
      {
        request: { endpoint: { address: '127.0.0.1', port }, head: `job ${number}` },
        watch: { ...watch, minBytesPerWindow: 1, bodyTimeoutMs: 60_000 },
        ...{ target, start: 0 },
      },
      new AbortController().signal,
      urgency,
    ),
  );
  await waitFor(() => held.length === 1, { what: 'the lane to be taken' });
  urgencies[3]?.raise();
  await waitFor(() => heads.includes('job 3'), { what: 'the urgent one to be asked for' });
  t.deepEqual(heads, ['job 0', 'job 3']);
  const answering = setInterval(() => {
    for (const socket of held.splice(0)) {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx');
    }
  }, 5);
  const kinds = (await Promise.all(reports)).map(({ kind }) => kind);
  clearInterval(answering);
  t.deepEqual(new Set(kinds), new Set(['moved']));
});
