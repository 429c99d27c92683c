/**
 * Answers that no HTTP server library would write, byte by byte from a socket: heads that trickle,
 * chunks that break off inside, bytes behind the end, lengths that lie. And a port that never
 * accepts.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import test from 'ava';

import { S3UnderStore } from '../../../src/ufs/io/s3-under-store.ts';
import type { UfsLimits } from '../../../src/ufs/mounts.ts';
import { Child } from '../../support/child.ts';
import { failureOf, PATIENT_LIMITS, SHORT_LIMITS } from '../../support/s3-fixture.ts';
import { ufsDependencies } from '../../support/ufs-dependencies.ts';

const BYTES = Buffer.from('0123456789'.repeat(100));
const HEAD = [
  'HTTP/1.1 200 OK',
  'ETag: "v"',
  'Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT',
  'Content-Type: application/octet-stream',
].join('\r\n');
const REGULAR = Buffer.concat([
  Buffer.from(`${HEAD}\r\nContent-Length: ${BYTES.length}\r\n\r\n`),
  BYTES,
]);

/** What the n-th request (from 1) of the whole server is answered with. */
type Write = (socket: Socket, nth: number) => Promise<void> | void;

interface RawOrigin extends AsyncDisposable {
  readonly port: number;
  requestCount(): number;
}

async function rawOrigin(write: Write): Promise<RawOrigin> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    let received = '';
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      if (!received.endsWith('\r\n\r\n')) return;
      received = '';
      void write(socket, ++count);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    requestCount: () => count,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function storeAt(port: number, limits: Partial<UfsLimits> = {}): S3UnderStore {
  return new S3UnderStore(
    {
      path: 's3://b',
      endpoint: `http://127.0.0.1:${port}`,
      credentials: { kind: 'anonymous' },
      limits: { ...PATIENT_LIMITS, ...limits },
    },
    ufsDependencies(),
  );
}

async function read(store: S3UnderStore, key = 'k'): Promise<Buffer> {
  const sizeBytes = BYTES.length;
  const request = { path: `s3://b/${key}`, version: 'v', sizeBytes, offset: 0, length: sizeBytes };
  const chunks: Uint8Array[] = [];
  const { signal } = new AbortController();
  for await (const chunk of store.readRange(request, signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const isOpen = (socket: Socket): boolean => !socket.destroyed && socket.writable;

test.serial('s3 raw: a head that comes byte by byte ends at the deadline', async (t) => {
  await using origin = await rawOrigin(async (socket, nth) => {
    if (nth > 2) {
      socket.write(REGULAR);
      return;
    }
    for (let at = 0; isOpen(socket) && at < REGULAR.length; at++) {
      socket.write(REGULAR.subarray(at, at + 1));
      await delay(20);
    }
  });
  const store = storeAt(origin.port, SHORT_LIMITS);
  t.true((await read(store)).equals(BYTES));
  t.is(origin.requestCount(), 3);
  await store.close();
});

test.serial('s3 raw: a head without end is refused', async (t) => {
  await using origin = await rawOrigin(async (socket) => {
    socket.write(HEAD);
    while (isOpen(socket)) {
      socket.write(`\r\nX-Pad: ${'x'.repeat(8_000)}`);
      await delay(1);
    }
  });
  const store = storeAt(origin.port);
  t.is((await failureOf(read(store))).code, 'ufs_bad_response');
  await store.close();
});

for (const how of ['FIN', 'RST'] as const) {
  test.serial(`s3 raw: a ${how} inside of a chunk is resumed`, async (t) => {
    await using origin = await rawOrigin(async (socket, nth) => {
      if (nth > 1) {
        const rest = BYTES.subarray(500);
        const range = `Content-Range: bytes 500-${BYTES.length - 1}/${BYTES.length}`;
        const head = HEAD.replace('200 OK', '206 Partial Content');
        socket.write(`${head}\r\n${range}\r\nContent-Length: ${rest.length}\r\n\r\n`);
        socket.write(rest);
        return;
      }
      socket.write(`${HEAD}\r\nTransfer-Encoding: chunked\r\n\r\n`);
      socket.write(`${BYTES.length.toString(16)}\r\n`);
      socket.write(BYTES.subarray(0, 500));
      await delay(50);
      if (how === 'FIN') socket.end();
      else socket.resetAndDestroy();
    });
    const store = storeAt(origin.port);
    t.true((await read(store)).equals(BYTES));
    t.is(origin.requestCount(), 2);
    await store.close();
  });
}

test.serial('s3 raw: a length larger than the body is an end too early', async (t) => {
  await using origin = await rawOrigin((socket, nth) => {
    if (nth > 1) socket.write(REGULAR);
    else socket.end(`${HEAD}\r\nContent-Length: ${BYTES.length}\r\n\r\n`);
  });
  const store = storeAt(origin.port);
  t.true((await read(store)).equals(BYTES));
  t.is(origin.requestCount(), 2);
  await store.close();
});

test.serial('s3 raw: bytes behind the promised length reach nobody', async (t) => {
  const forged = REGULAR.toString('latin1').replaceAll('0123456789', 'forgedbyte');
  for (const gapMs of [0, 30]) {
    await using origin = await rawOrigin(async (socket) => {
      if (gapMs === 0) {
        socket.write(Buffer.concat([REGULAR, Buffer.from(forged)]));
        return;
      }
      socket.write(REGULAR);
      // The connection is idle by now; what comes answers no request.
      await delay(gapMs);
      if (isOpen(socket)) socket.write(forged);
    });
    const store = storeAt(origin.port, { connectionMaxCount: 1 });
    for (let round = 0; round < 5; round++) {
      t.true((await read(store, `k${round}`)).equals(BYTES), `gap ${gapMs} ms, round ${round}`);
      await delay(2 * gapMs);
    }
    await store.close();
  }
});

test.serial('s3 raw: two lengths, or a length and chunks, are refused', async (t) => {
  for (const headers of [
    `Content-Length: ${BYTES.length}\r\nContent-Length: 10`,
    `Content-Length: 10\r\nTransfer-Encoding: chunked`,
  ]) {
    await using origin = await rawOrigin((socket) => {
      socket.write(`${HEAD}\r\n${headers}\r\n\r\n`);
      socket.write(BYTES);
    });
    const store = storeAt(origin.port);
    t.is((await failureOf(read(store))).code, 'ufs_bad_response', headers);
    await store.close();
  }
});

test.serial(
  's3 raw: a port that takes no connection is given up at the connect timeout',
  async (t) => {
    // A listener whose process does nothing accepts nobody; with its queue full, the kernel drops
    // what else wants to connect, as a firewall would.
    const program = `
    const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      console.log('port ' + server.address().port);
      setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0), 100);
    });`;
    const child = await Child.start({ command: process.execPath, args: ['-e', program] });
    t.teardown(() => child.stop(0));
    while (!/^port \d+$/m.test(child.logs())) await delay(20);
    await delay(300);
    const port = Number(/^port (\d+)$/m.exec(child.logs())?.[1]);
    const fillers: Socket[] = [];
    t.teardown(() => {
      for (const filler of fillers) filler.destroy();
    });
    for (let full = false; !full && fillers.length < 32;) {
      const filler = connect(port, '127.0.0.1').on('error', () => undefined);
      fillers.push(filler);
      full = await Promise.race([
        once(filler, 'connect').then(() => false),
        delay(300).then(() => true),
      ]);
    }
    t.true(fillers.length < 32, 'the queue fills up');
    const store = storeAt(port, { connectTimeoutMs: 200, requestTimeoutMs: 60_000 });
    // Four attempts of 200 ms; were they four of a minute, this test would end at its own deadline.
    t.is((await failureOf(read(store))).code, 'ufs_unavailable');
    await store.close();
  },
);
