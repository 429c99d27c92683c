import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { type Faults, TcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

interface Echo {
  readonly port: number;
  /** Sizes of the chunks as they arrived. */
  readonly chunkSizes: number[];
  receivedBytes(): number;
}

/** A server that sends back what it gets, and ends when the client ends. */
async function echoServer(t: ExecutionContext): Promise<Echo> {
  const sockets = new Set<Socket>();
  const chunkSizes: number[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      chunkSizes.push(chunk.length);
      socket.write(chunk);
    });
    socket.on('end', () => socket.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const receivedBytes = (): number => chunkSizes.reduce((sum, size) => sum + size, 0);
  return { port: (server.address() as AddressInfo).port, chunkSizes, receivedBytes };
}

interface Client {
  readonly socket: Socket;
  received(): Buffer;
  readonly ended: Promise<'end' | 'ECONNRESET' | 'closed'>;
}

async function connectTo(t: ExecutionContext, port: number): Promise<Client> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  const ended = new Promise<'end' | 'ECONNRESET' | 'closed'>((resolve) => {
    socket.on('end', () => {
      resolve('end');
      socket.end();
    });
    socket.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'ECONNRESET' ? 'ECONNRESET' : 'closed'),
    );
    socket.on('close', () => resolve('closed'));
  });
  await once(socket, 'connect');
  return { socket, received: () => Buffer.concat(chunks), ended };
}

async function echoThrough(t: ExecutionContext, faults: Faults, direction: 'up' | 'down' | 'both') {
  const echo = await echoServer(t);
  const proxy = await TcpProxy.start({ target: { host: '127.0.0.1', port: echo.port } });
  t.teardown(() => proxy.close());
  proxy.set(direction, faults);
  const client = await connectTo(t, proxy.port);
  return { echo, proxy, client };
}

const bytesFrom = (length: number): Buffer =>
  Buffer.alloc(length, Buffer.from('0123456789abcdefghijklmnopqrs'));

test('proxy: passes bytes and the end of the stream unchanged when no fault is set', async (t) => {
  const { proxy, client } = await echoThrough(t, {}, 'both');
  const sent = bytesFrom(3_000_000);
  client.socket.end(sent);
  t.is(await client.ended, 'end');
  t.true(client.received().equals(sent));
  t.is(proxy.passedBytes('up'), sent.length);
  t.is(proxy.passedBytes('down'), sent.length);
  await waitFor(() => proxy.openCount === 0, { what: 'the link to be forgotten' });
});

test('proxy: latency delays without changing order under jitter', async (t) => {
  const { client } = await echoThrough(t, { latencyMs: 60, jitterMs: 50 }, 'up');
  const startMs = performance.now();
  const sent = bytesFrom(5_000);
  for (let at = 0; at < sent.length; at += 1_000) {
    client.socket.write(sent.subarray(at, at + 1_000));
    await delay(5);
  }
  client.socket.end();
  await client.ended;
  t.true(performance.now() - startMs >= 10);
  t.true(client.received().equals(sent));
});

test('proxy: bandwidth bounds the rate', async (t) => {
  const { client } = await echoThrough(t, { bandwidthBytesPerSecond: 200_000 }, 'down');
  const startMs = performance.now();
  client.socket.end(bytesFrom(100_000));
  t.is(await client.ended, 'end');
  // The first piece goes at once: 90,000 bytes take 450 ms at the least.
  t.true(performance.now() - startMs >= 440);
  t.is(client.received().length, 100_000);
});

test('proxy: slices arrive one by one', async (t) => {
  const { echo, client } = await echoThrough(t, { sliceBytes: 100, sliceDelayMs: 5 }, 'up');
  client.socket.end(bytesFrom(1_050));
  t.is(await client.ended, 'end');
  t.is(client.received().length, 1_050);
  t.true(echo.chunkSizes.length > 3);
});

test('proxy: a limit lets exactly so many bytes through, then closes', async (t) => {
  const { client } = await echoThrough(t, { limitBytes: 1_000 }, 'down');
  client.socket.write(bytesFrom(5_000));
  t.is(await client.ended, 'end');
  t.true(client.received().equals(bytesFrom(1_000)));
});

test('proxy: a limit may end with a reset', async (t) => {
  const { client } = await echoThrough(t, { limitBytes: 1_000, limitEnding: 'reset' }, 'down');
  client.socket.write(bytesFrom(5_000));
  t.is(await client.ended, 'ECONNRESET');
});

test('proxy: a slow close holds back the end, not the bytes', async (t) => {
  const { client } = await echoThrough(t, { slowCloseMs: 300 }, 'down');
  client.socket.end(bytesFrom(10));
  await waitFor(() => client.received().length === 10, { what: 'the bytes' });
  const bytesMs = performance.now();
  t.is(await client.ended, 'end');
  t.true(performance.now() - bytesMs >= 200);
});

for (const direction of ['up', 'down'] as const) {
  test(`proxy: silence ${direction} holds bytes and delivers them after healing`, async (t) => {
    const { echo, proxy, client } = await echoThrough(t, { silent: true }, direction);
    client.socket.write('held');
    if (direction === 'down') {
      await waitFor(() => echo.receivedBytes() === 4, { what: 'the open direction' });
    }
    await delay(100);
    t.is(echo.receivedBytes(), direction === 'up' ? 0 : 4);
    t.is(client.received().length, 0);
    proxy.heal();
    await waitFor(() => client.received().length === 4, { what: 'the held bytes' });
    t.is(client.received().toString(), 'held');
  });
}

test('proxy: silence makes the sender feel back-pressure', async (t) => {
  const { proxy, client } = await echoThrough(t, { silent: true }, 'up');
  const chunk = Buffer.alloc(1024 * 1024);
  // What the proxy and the kernel hold is bounded: at some point no write is taken any more.
  for (let count = 0; count < 64; count++) client.socket.write(chunk);
  await delay(200);
  t.true(client.socket.writableLength > 16 * chunk.length);
  proxy.heal();
  await waitFor(() => client.socket.writableLength === 0, { what: 'all to be sent' });
});

test('proxy: resets open connections and goes on accepting', async (t) => {
  const { proxy, client } = await echoThrough(t, {}, 'both');
  proxy.resetAll();
  t.is(await client.ended, 'ECONNRESET');
  const next = await connectTo(t, proxy.port);
  next.socket.end('x');
  t.is(await next.ended, 'end');
  t.is(next.received().toString(), 'x');
  t.is(proxy.acceptedCount, 2);
});

// Alone: it counts the sockets of this thread.
test.serial('proxy: a reset closes connections whose end is on its way, too', async (t) => {
  const targets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    targets.push(socket);
    socket.on('error', () => {}).resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  let untilReset = Infinity;
  const proxy = await TcpProxy.start({
    target: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    // Asked at each step of passing on the end; two ticks after one of them it is on its way.
    faultsOf: () => {
      if (--untilReset === 0) {
        process.nextTick(() => process.nextTick(() => proxy.resetAll()));
      }
      return {};
    },
  });
  t.teardown(() => proxy.close());
  for (let step = 1; step <= 8; step++) {
    const { socket } = await connectTo(t, proxy.port);
    await waitFor(() => targets.length === step, { what: 'the connection to the target' });
    untilReset = step;
    socket.end();
    await delay(20);
    proxy.resetAll();
    socket.destroy();
  }
  for (const target of targets) target.destroy();
  // One that Node loses sight of keeps the whole process from ending.
  await waitFor(() => !process.getActiveResourcesInfo().includes('TCPSocketWrap'), {
    what: 'no socket to be left',
    deadlineMs: 5000,
  });
  t.pass();
});

test('proxy: refuses new connections and leaves open ones alone', async (t) => {
  const { proxy, client } = await echoThrough(t, {}, 'both');
  client.socket.write('a');
  await waitFor(() => client.received().length === 1, { what: 'the first echo' });
  proxy.refuse();
  const refused = connect({ host: '127.0.0.1', port: proxy.port });
  t.teardown(() => refused.destroy());
  await t.throwsAsync(once(refused, 'end').then(() => Promise.reject(new Error('ended'))));
  client.socket.write('b');
  await waitFor(() => client.received().length === 2, { what: 'the second echo' });
  t.is(client.received().toString(), 'ab');
});

test('proxy: an unreachable target resets the client', async (t) => {
  const echo = await echoServer(t);
  const proxy = await TcpProxy.start({ target: { host: '127.0.0.1', port: echo.port } });
  t.teardown(() => proxy.close());
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port } = closed.address() as AddressInfo;
  closed.close();
  await once(closed, 'close');
  proxy.retarget({ host: '127.0.0.1', port });
  const client = await connectTo(t, proxy.port);
  t.not(await client.ended, 'end');
});

test('proxy: faults can differ by connection', async (t) => {
  const echo = await echoServer(t);
  const proxy = await TcpProxy.start({
    target: { host: '127.0.0.1', port: echo.port },
    faultsOf: ({ number }) => ({ silent: number === 1 }),
  });
  t.teardown(() => proxy.close());
  const first = await connectTo(t, proxy.port);
  const second = await connectTo(t, proxy.port);
  first.socket.write('1');
  second.socket.write('2');
  await waitFor(() => second.received().length === 1, { what: 'the second connection' });
  t.is(first.received().length, 0);
});
