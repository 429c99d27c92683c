/** The data endpoint as peers see it, over real sockets and a real file. */
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { RingloadError } from '../../../src/base/errors.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { startSegmentServer } from '../../../src/data/io/segment-server.ts';
import { formatSegmentRequest, type SegmentRequest } from '../../../src/data/segment-request.ts';
import { waitFor } from '../../support/wait-for.ts';
import { keyOf } from '../support.ts';
import { BLOCK, OFFSET, segmentFile } from './segment-file.ts';

const KIB = 1024;
/** The last block is a part of one. */
const LENGTH = 256 * BLOCK + 1234;

interface Stage {
  readonly port: number;
  readonly path: string;
  readonly bytes: Buffer;
  readonly told: string[];
  /** Segments that were opened and not closed. */
  held: number;
  isResident: boolean;
  /** Runs before a segment is opened. */
  before: (request: SegmentRequest, signal: AbortSignal) => Promise<void>;
}

async function start(t: ExecutionContext, writeStallMs?: number, token?: string): Promise<Stage> {
  const file = await segmentFile('segment-server', LENGTH);
  const { path, bytes, blockCrc32c } = file;
  const stage: Omit<Stage, 'port'> = {
    path,
    bytes,
    told: [],
    held: 0,
    isResident: true,
    before: () => Promise.resolve(),
  };
  const server = await startSegmentServer({
    host: '127.0.0.1',
    port: 0,
    token: () => token,
    open: async (request, signal) => {
      await stage.before(request, signal);
      if (!stage.isResident) return undefined;
      stage.held++;
      return {
        lengthBytes: LENGTH,
        crc32c: 4711,
        place: () => ({ path, offset: OFFSET, blockCrc32c }),
        damaged: () => {
          stage.told.push('damaged');
          return new RingloadError('segment_corrupt', 'dropped');
        },
        unread: (code) => {
          stage.told.push(code);
          return new RingloadError('cache_io', 'cannot be read');
        },
        close: () => stage.held--,
      };
    },
    bounds: { limit: 1e6, refuseFrom: 1e6, dropFrom: 1e6 },
    openFileMaxCount: 8,
    ...(writeStallMs !== undefined && { writeStallMs }),
    onRefused: () => undefined,
    logger: silentLogger,
  });
  t.teardown(async () => {
    await server.close();
    if (stage.held !== 0) throw new Error(`${stage.held} segments were not given back`);
    await file[Symbol.asyncDispose]();
  });
  return Object.assign(stage, { port: server.port });
}

const targetOf = (offset: number, length?: number): string =>
  formatSegmentRequest({ key: keyOf(), offset, ...(length !== undefined && { length }) });

const get = ({ port }: Stage, offset: number, length?: number, headers = {}) =>
  fetch(`http://127.0.0.1:${port}${targetOf(offset, length)}`, { headers });

/** Everything that comes over a connection until it ends. */
async function exchange({ port }: Stage, pieces: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const received: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => received.push(bytes));
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.setNoDelay(true);
  for (const piece of pieces) {
    socket.write(piece, 'latin1');
    await delay(1);
  }
  if (!socket.closed) await once(socket, 'close');
  return Buffer.concat(received).toString('latin1');
}

async function allGivenBack(stage: Stage): Promise<void> {
  await waitFor(() => stage.held === 0, { what: 'all segments to be given back' });
}

test('data endpoint: any range, at the edges of blocks and beside them', async (t) => {
  const stage = await start(t);
  const edges = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 9 * BLOCK - 7, LENGTH - 1235, LENGTH - 1];
  for (const from of edges) {
    for (const length of [0, 1, 100, BLOCK, 5 * BLOCK + 3, LENGTH - from]) {
      if (from + length > LENGTH) continue;
      const answer = await get(stage, from, length);
      t.is(answer.status, 200);
      t.is(answer.headers.get('x-ringload-crc32c'), '4711');
      const body = Buffer.from(await answer.arrayBuffer());
      t.true(body.equals(stage.bytes.subarray(from, from + length)), `${length} at ${from}`);
    }
  }
  const whole = Buffer.from(await (await get(stage, 5)).arrayBuffer());
  t.true(whole.equals(stage.bytes.subarray(5)));
  t.is((await get(stage, LENGTH - 5, 6)).status, 416);
  await allGivenBack(stage);
});

test('data endpoint: what is not resident, not named, not asked for by a peer', async (t) => {
  const stage = await start(t, undefined, 'secret');
  const headers = { authorization: 'Bearer secret' };
  t.is((await get(stage, 0, 1)).status, 401);
  t.is((await get(stage, 0, 1, { authorization: 'Bearer secret2' })).status, 401);
  t.is((await get(stage, 0, 1, headers)).status, 200);
  const url = `http://127.0.0.1:${stage.port}`;
  t.is((await fetch(`${url}/segment?k=nonsense`, { headers })).status, 400);
  t.is((await fetch(`${url}/other`, { headers })).status, 404);
  t.is((await fetch(`${url}${targetOf(0, 1)}`, { headers, method: 'DELETE' })).status, 405);
  stage.isResident = false;
  const answer = await get(stage, 0, 1, headers);
  t.is(answer.status, 404);
  t.like(await answer.json(), { code: 'not_found' });
});

test('data endpoint: a head that comes byte by byte, and two at once', async (t) => {
  const stage = await start(t);
  const head = (from: number, close = false): string =>
    `GET ${targetOf(from, 3)} HTTP/1.1\r\nhost: x\r\n${close ? 'Connection: close\r\n' : ''}\r\n`;
  const expected = (from: number): string => stage.bytes.toString('latin1', from, from + 3);
  const slow = await exchange(stage, Array.from(head(7, true)));
  t.true(slow.startsWith('HTTP/1.1 200 OK\r\n'));
  t.true(slow.endsWith(`\r\n\r\n${expected(7)}`));
  const both = await exchange(stage, [head(10) + head(20, true)]);
  t.is(both.split('HTTP/1.1 200 OK').length, 3);
  t.true(both.includes(`\r\n\r\n${expected(10)}HTTP/1.1`));
  t.true(both.endsWith(`\r\n\r\n${expected(20)}`));
});

test('data endpoint: what is no plain GET costs the connection', async (t) => {
  const stage = await start(t);
  const line = `GET ${targetOf(0, 3)} HTTP/1.1\r\n`;
  for (const text of [
    'GET / HTTP/1.0\r\n\r\n',
    'nonsense\r\n\r\n',
    'GET /a b HTTP/1.1\r\n\r\n',
    `${line}content-length: 5\r\n\r\nabcde`,
    `${line}transfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    `${line}no colon\r\n\r\n`,
    `${line}name : value\r\n\r\n`,
    `${line}authorization: a\r\nauthorization: b\r\n\r\n`,
    `${line}x: ${'y'.repeat(17 * KIB)}`,
  ]) {
    t.regex(await exchange(stage, [text]), /^HTTP\/1\.1 400 /, text.slice(0, 60));
  }
  t.is((await get(stage, 0, 3)).status, 200);
});

async function spoil({ path }: Stage, position: number): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]), 0, 5, OFFSET + position);
  await file.close();
}

test('data endpoint: damage at once is an answer, damage later cuts the connection', async (t) => {
  const stage = await start(t);
  await spoil(stage, 30 * BLOCK + 10);
  const answer = await get(stage, 30 * BLOCK, 10);
  t.is(answer.status, 500);
  t.like(await answer.json(), { code: 'segment_corrupt' });
  t.deepEqual(stage.told, ['damaged']);
  const late = await get(stage, 0);
  t.is(late.status, 200);
  await t.throwsAsync(() => late.arrayBuffer());
  t.deepEqual(stage.told, ['damaged', 'damaged']);
  t.is((await get(stage, 0, 30 * BLOCK)).status, 200, 'what lies before it');
  await allGivenBack(stage);
});

test('data endpoint: a file that is too short, and one that is gone', async (t) => {
  const stage = await start(t);
  const file = await open(stage.path, 'r+');
  await file.truncate(OFFSET + 20 * BLOCK);
  await file.close();
  t.is((await get(stage, 25 * BLOCK, 10)).status, 500);
  t.deepEqual(stage.told, ['damaged']);
  await allGivenBack(stage);
});

/** A connection that asked for everything and takes nothing. */
async function stall({ port }: Stage): Promise<Socket> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    onread: { buffer: Buffer.alloc(1), callback: () => false },
  });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(`GET ${targetOf(0)} HTTP/1.1\r\n\r\n`);
  return socket;
}

test('data endpoint: a reader that takes nothing is cut off, one that takes a little is not', async (t) => {
  const stage = await start(t, 1200);
  const sockets = await Promise.all(Array.from({ length: 3 }, () => stall(stage)));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  await waitFor(() => stage.held > 0, { what: 'the readers to be served' });
  const slow = await get(stage, 0);
  const reader = slow.body?.getReader();
  let received = 0;
  for (let step = await reader?.read(); step && !step.done; step = await reader?.read()) {
    received += (step.value as Uint8Array).length;
    if (received < 40 * BLOCK) await delay(2);
  }
  t.is(received, LENGTH);
  await allGivenBack(stage);
});

test('data endpoint: who leaves takes the opening with it, and gives the segment back', async (t) => {
  const stage = await start(t);
  let isAborted = false;
  stage.before = (_request, signal) =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        isAborted = true;
        resolve();
      });
    });
  const waiting = await stall(stage);
  await delay(50);
  waiting.destroy();
  await waitFor(() => isAborted, { what: 'the opening to be given up' });
  t.is(stage.held, 0);
  stage.before = () => Promise.resolve();
  const served = await stall(stage);
  await waitFor(() => stage.held > 0, { what: 'the reader to be served' });
  served.destroy();
  await allGivenBack(stage);
});
