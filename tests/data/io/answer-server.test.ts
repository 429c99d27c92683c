/** Clients, a thread that answers them, real files, and a peer that is read by the thread. */
import { once } from 'node:events';
import { open, writeFile } from 'node:fs/promises';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { crc32c } from '@node-rs/crc32';
import test, { type ExecutionContext } from 'ava';
import { RingloadError } from '../../../src/base/errors.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import type { PlacedSegment } from '../../../src/cache/segment-store.ts';
import {
  startAnswerServer,
  type AnswerServer,
  type AnswerServerOptions,
  type ThreadAnswer,
  type ThreadRequest,
} from '../../../src/data/io/answer-server.ts';
import { startSegmentServer } from '../../../src/data/io/segment-server.ts';
import { beginPiece, type HeldReads, type Piece, type Pieces } from '../../../src/data/pieces.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { waitFor } from '../../support/wait-for.ts';
import { keyOf } from '../support.ts';

const KIB = 1024;
const BLOCK = 64 * KIB;
/** More than two sockets hold between them; the last block is a part of one. */
const LENGTH = 256 * BLOCK + 1234;
const OFFSET = 3 * BLOCK;
const TOKEN = 'secret';

type Opener = (from: number, length: number, via: HeldReads) => Promise<Piece>;

interface Stage {
  readonly port: number;
  readonly server: AnswerServer;
  readonly path: string;
  readonly bytes: Buffer;
  readonly told: string[];
  readonly segment: () => PlacedSegment;
  /** The data endpoint of a peer that holds the same. */
  readonly peer: string;
  heldCount: number;
  heldAtPeer: number;
  peerOpenings: number;
  answer: (request: ThreadRequest) => Promise<ThreadAnswer>;
}

async function start(
  t: ExecutionContext,
  options: Partial<AnswerServerOptions> = {},
): Promise<Stage> {
  const folder = await tempFolder('answer-server');
  const path = join(folder.path, 'region');
  const bytes = Buffer.alloc(LENGTH);
  for (let at = 0; at < LENGTH; at++) bytes[at] = (at * 31 + (at >> 11) * 7) & 255;
  const peerPath = join(folder.path, 'peer');
  for (const each of [path, peerPath])
    await writeFile(each, Buffer.concat([Buffer.alloc(OFFSET), bytes]));
  const blockCrc32c = Uint32Array.from({ length: Math.ceil(LENGTH / BLOCK) }, (_, block) =>
    crc32c(bytes.subarray(block * BLOCK, (block + 1) * BLOCK)),
  );
  const told: string[] = [];
  const segmentIn = (file: string, onClose: () => void): PlacedSegment => ({
    lengthBytes: LENGTH,
    crc32c: 4711,
    place: () => ({ path: file, offset: OFFSET, blockCrc32c }),
    damaged: () => {
      told.push('damaged');
      return new RingloadError('segment_corrupt', 'dropped');
    },
    unread: (code) => {
      told.push(code);
      return new RingloadError('cache_io', 'cannot be read');
    },
    close: onClose,
  });
  const bounds = { limit: 1e6, refuseFrom: 1e6, dropFrom: 1e6 };
  const peerServer = await startSegmentServer({
    host: '127.0.0.1',
    port: 0,
    token: () => TOKEN,
    open: () => {
      stage.heldAtPeer++;
      stage.peerOpenings++;
      return Promise.resolve(segmentIn(peerPath, () => stage.heldAtPeer--));
    },
    bounds,
    openFileMaxCount: 8,
    onRefused: () => undefined,
    logger: silentLogger,
  });
  const stage: Omit<Stage, 'port' | 'server'> = {
    ...{ path, bytes, told, heldCount: 0, heldAtPeer: 0, peerOpenings: 0 },
    segment: () => {
      stage.heldCount++;
      return segmentIn(path, () => stage.heldCount--);
    },
    peer: `http://127.0.0.1:${peerServer.port}`,
    answer: () => Promise.resolve({ status: 204, headers: [] }),
  };
  const server = await startAnswerServer({
    host: '127.0.0.1',
    port: 0,
    what: 'test endpoint',
    answer: (request) => stage.answer(request),
    failed: ({ code }) => ({ status: 500, headers: [['x-code', code]] }),
    tooMany: { status: 503, headers: [['content-length', '4']], body: Buffer.from('full') },
    bounds,
    openFileMaxCount: 8,
    peers: { token: () => TOKEN, socketMaxCount: 64, headTimeoutMs: 5000, stallTimeoutMs: 3000 },
    headersTimeoutMs: 5000,
    requestTimeoutMs: 60_000,
    onRefused: () => told.push('refused'),
    logger: silentLogger,
    ...options,
  });
  t.teardown(async () => {
    await server.close(2000);
    await peerServer.close();
    if (stage.heldCount !== 0) throw new Error(`${stage.heldCount} segments were not given back`);
    await folder[Symbol.asyncDispose]();
  });
  return Object.assign(stage, { server, port: server.port });
}

/** Sources one after another, each from the byte that was reached, as production has them. */
async function* piecesOf(
  openers: readonly Opener[],
  range: { from: number; length: number },
  via: HeldReads,
): Pieces {
  let done = 0;
  let failure: RingloadError | undefined;
  for (const opener of openers) {
    const piece = await opener(range.from + done, range.length - done, via);
    try {
      const report = yield piece;
      done += report.sentBytes;
      failure = report.failure;
    } finally {
      piece.close();
    }
    if (done === range.length && !failure) return;
  }
  throw failure ?? new RingloadError('internal', 'all sources ended early');
}

/** Answers `/from/length` with bytes of these sources. */
function ranges(...openers: readonly Opener[]): Stage['answer'] {
  return ({ target, via }) => {
    const [from = 0, length = 0] = target.split('/').slice(1).map(Number);
    const pieces = piecesOf(openers, { from, length }, via);
    const flow = {
      next: (report?: Parameters<Pieces['next']>[0]) => pieces.next(report ?? { sentBytes: 0 }),
      return: async () => {
        await pieces.return();
      },
    };
    const headers = [['Content-Length', String(length)]] as const;
    return Promise.resolve({ status: 206, headers, body: { length, pieces: flow } });
  };
}

const here =
  (stage: Stage): Opener =>
  (from, length) => {
    const segment = stage.segment();
    const close = (): void => {
      segment.close();
    };
    return Promise.resolve({ length, placed: { segment, from }, chunks: notHere, close });
  };

const at =
  (endpoint: string, signal = new AbortController().signal): Opener =>
  (offset, length, via) =>
    via.open(endpoint, { key: keyOf(), offset, length }, signal);

/** @param fault thrown after the last byte */
const inChunks =
  (stage: Stage, sizeBytes: number, fault?: Error): Opener =>
  (from, length) => {
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let done = 0; done < length; done += sizeBytes) {
        const start = from + done;
        yield new Uint8Array(
          stage.bytes.subarray(start, start + Math.min(sizeBytes, length - done)),
        );
        await delay(0);
      }
      if (fault) throw fault;
    }
    return beginPiece(length, chunks());
  };

function notHere(): never {
  throw new Error('the thread has to read it');
}

const get = ({ port }: Stage, from: number, length: number): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}/${from}/${length}`);

async function expectRange(t: ExecutionContext, stage: Stage, from: number, length: number) {
  const answer = await get(stage, from, length);
  t.is(answer.status, 206);
  const body = Buffer.from(await answer.arrayBuffer());
  t.true(body.equals(stage.bytes.subarray(from, from + length)), `${length} at ${from}`);
}

async function allGivenBack(stage: Stage): Promise<void> {
  await waitFor(() => stage.heldCount === 0 && stage.heldAtPeer === 0, {
    what: 'all segments to be given back',
    context: () => `${stage.heldCount} here, ${stage.heldAtPeer} at the peer`,
  });
}

async function spoil({ path }: Stage, position: number): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]), 0, 5, OFFSET + position);
  await file.close();
}

const EDGES = [0, 1, BLOCK - 1, BLOCK, 9 * BLOCK - 7, LENGTH - 1235, LENGTH - 1];

test('answers: any range of a place, of a peer, and in chunks', async (t) => {
  const stage = await start(t);
  for (const opener of [here(stage), at(stage.peer), inChunks(stage, 50_000)]) {
    stage.answer = ranges(opener);
    for (const from of EDGES) {
      for (const length of [1, 100, BLOCK, 5 * BLOCK + 3, LENGTH - from]) {
        if (from + length <= LENGTH) await expectRange(t, stage, from, length);
      }
    }
    await Promise.all(EDGES.map((from) => expectRange(t, stage, from, LENGTH - from)));
  }
  await allGivenBack(stage);
  t.deepEqual(stage.told, []);
});

test('answers: whole ones, heads as they are given, and requests as they came', async (t) => {
  const stage = await start(t);
  let seen: ThreadRequest | undefined;
  stage.answer = (request) => {
    seen = request;
    const headers = [
      ['X-Twice', 'a'],
      ['X-Twice', 'b'],
      ['Content-Length', '5'],
    ] as const;
    const body = Buffer.from('hello');
    return Promise.resolve({ status: 201, headers, ...(request.method !== 'HEAD' && { body }) });
  };
  const socket = connect(stage.port, '127.0.0.1');
  socket.write('GET /a/../b//%2e?x=%20&y HTTP/1.1\r\nHost: h\r\nX-Odd:  v \r\n\r\n');
  let text = '';
  socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
  await waitFor(() => text.endsWith('hello'), { what: 'the answer' });
  t.is(seen?.target, '/a/../b//%2e?x=%20&y');
  t.deepEqual(seen?.headers, [
    ['Host', 'h'],
    ['X-Odd', 'v'],
  ]);
  t.is(seen?.body, undefined);
  t.regex(text, /^HTTP\/1\.1 201 Created\r\nX-Twice: a\r\nX-Twice: b\r\nContent-Length: 5\r\n/);
  text = '';
  socket.write('HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
  await once(socket, 'close');
  t.regex(text, /Content-Length: 5\r\n/);
  t.true(text.endsWith('\r\n\r\n'), 'no body after a HEAD');
});

test('answers: damage before the first byte is another answer, later it cuts the connection', async (t) => {
  const stage = await start(t);
  await spoil(stage, 30 * BLOCK + 10);
  stage.answer = ranges(here(stage));
  const early = await get(stage, 30 * BLOCK, 10);
  t.is(early.status, 500);
  t.is(early.headers.get('x-code'), 'segment_corrupt');
  const late = await get(stage, 0, LENGTH);
  t.is(late.status, 206);
  await t.throwsAsync(() => late.arrayBuffer());
  t.deepEqual(stage.told, ['damaged', 'damaged']);
  await allGivenBack(stage);
});

test('answers: damage here is continued by a peer at the byte that was reached', async (t) => {
  const stage = await start(t);
  await spoil(stage, 30 * BLOCK + 10);
  stage.answer = ranges(here(stage), at(stage.peer));
  await expectRange(t, stage, 30 * BLOCK, 10);
  await expectRange(t, stage, 5, LENGTH - 5);
  t.deepEqual(stage.told, ['damaged', 'damaged']);
  await allGivenBack(stage);
});

/** A peer that promises everything and sends a part; then it breaks off or stands still. */
async function badPeer(t: ExecutionContext, stage: Stage, does: 'breaks' | 'stalls' | 'overdoes') {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', (bytes: Buffer) => {
      const query = new URLSearchParams(/GET [^?]*\?(\S*)/.exec(bytes.toString('latin1'))?.[1]);
      const [from, length] = [Number(query.get('o')), Number(query.get('l'))];
      socket.write(
        `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\nx-ringload-crc32c: 4711\r\n\r\n`,
      );
      const sent = does === 'overdoes' ? length + 10 : Math.floor(length / 2);
      const part = Buffer.alloc(sent);
      stage.bytes.copy(part, 0, from, Math.min(LENGTH, from + sent));
      socket.write(part, () => {
        if (does === 'breaks') socket.destroy();
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

for (const does of ['breaks', 'stalls'] as const) {
  test(`answers: a peer that ${does} in a body is continued by the next source`, async (t) => {
    const stage = await start(t, {
      peers: { token: () => TOKEN, socketMaxCount: 8, headTimeoutMs: 5000, stallTimeoutMs: 300 },
    });
    const bad = await badPeer(t, stage, does);
    stage.answer = ranges(at(bad), here(stage));
    for (const [from, length] of [
      [0, LENGTH],
      [7, 300_000],
      [BLOCK, 1000],
    ] as const) {
      await expectRange(t, stage, from, length);
    }
    stage.answer = ranges(at(bad), at(bad), at(bad));
    const cut = await get(stage, 0, LENGTH);
    await t.throwsAsync(() => cut.arrayBuffer(), undefined, 'a body that has an end is whole');
    await allGivenBack(stage);
  });
}

test('answers: what a peer sends beyond its promise reaches nobody', async (t) => {
  const stage = await start(t);
  stage.answer = ranges(at(await badPeer(t, stage, 'overdoes')), here(stage));
  for (const [from, length] of [
    [0, 100],
    [0, 3 * BLOCK],
    [5, 20 * BLOCK],
  ] as const) {
    const socket = connect(stage.port, '127.0.0.1');
    const received: Buffer[] = [];
    socket.on('data', (bytes: Buffer) => received.push(bytes));
    socket.write(`GET /${from}/${length} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    await once(socket, 'close');
    const whole = Buffer.concat(received);
    const body = whole.subarray(whole.indexOf('\r\n\r\n') + 4);
    t.true(body.equals(stage.bytes.subarray(from, from + length)), `${length} at ${from}`);
  }
});

test('answers: a peer that refuses, and one that is not there, are errors of the opening', async (t) => {
  const stage = await start(t);
  const errors: string[] = [];
  const tries =
    (endpoint: string, from: number): Stage['answer'] =>
    async ({ via }) => {
      await at(endpoint)(from, 10, via).catch((thrown: unknown) => {
        errors.push((thrown as RingloadError).code);
      });
      return { status: 200, headers: [['content-length', '0']] };
    };
  stage.answer = tries(stage.peer, LENGTH);
  await get(stage, 0, 1);
  stage.answer = tries('http://127.0.0.1:1', 0);
  await get(stage, 0, 1);
  t.deepEqual(errors, ['range_not_satisfiable', 'peer_unreachable']);
  stage.answer = ranges(at(stage.peer));
  await expectRange(t, stage, 0, 100);
});

test('answers: chunks whose source fails after the last byte never look whole', async (t) => {
  const stage = await start(t);
  const fault = new RingloadError('ufs_bad_response', 'a checksum of the whole does not match');
  stage.answer = ranges(inChunks(stage, 100_000, fault));
  const answer = await get(stage, 0, 500_000);
  await t.throwsAsync(() => answer.arrayBuffer());
  t.is((await get(stage, 0, 50_000)).status, 500, 'one chunk has not left');
});

/** A connection that asked for everything and takes nothing. */
async function stall({ port }: Stage): Promise<Socket> {
  const onread = { buffer: Buffer.alloc(1), callback: () => false };
  const socket = connect({ port, host: '127.0.0.1', onread });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(`GET /0/${LENGTH} HTTP/1.1\r\nhost: x\r\n\r\n`);
  return socket;
}

test('answers: who takes nothing is cut off, who leaves gives back what it had', async (t) => {
  const stage = await start(t, { writeStallMs: 400 });
  for (const opener of [here(stage), at(stage.peer), inChunks(stage, BLOCK)]) {
    stage.answer = ranges(opener);
    const stalled = await stall(stage);
    const closed = once(stalled, 'close');
    // What was received is to be read before the end is seen.
    await waitFor(() => stage.heldCount + stage.heldAtPeer > 0 || opener !== here(stage), {
      what: 'it to be served',
    });
    await delay(600);
    stalled.resume();
    stalled.destroy();
    await closed;
    await allGivenBack(stage);
    const leaving = await stall(stage);
    await delay(50);
    leaving.destroy();
    await allGivenBack(stage);
    await expectRange(t, stage, 0, BLOCK);
  }
});

test('answers: slow readers of peers lend their connections to others', async (t) => {
  const stage = await start(t, {
    peers: { token: () => TOKEN, socketMaxCount: 4, headTimeoutMs: 5000, stallTimeoutMs: 3000 },
  });
  stage.answer = ranges(at(stage.peer));
  const slow = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const answer = await get(stage, 0, LENGTH);
      const reader = answer.body?.getReader();
      return { reader, first: (await reader?.read())?.value as Uint8Array };
    }),
  );
  await Promise.all([3, 4, 5].map((block) => expectRange(t, stage, block * BLOCK, 3 * BLOCK)));
  for (const { reader, first } of slow) {
    const received = [first];
    for (let step = await reader?.read(); step && !step.done; step = await reader?.read())
      received.push(step.value as Uint8Array);
    t.true(Buffer.concat(received).equals(stage.bytes));
  }
  t.true(stage.peerOpenings > 9, 'nobody was called back');
  await allGivenBack(stage);
});

interface Upload {
  readonly bytes: Buffer;
  readonly headers?: Record<string, string>;
}

async function put({ port }: Stage, { bytes, headers = {} }: Upload): Promise<IncomingMessage> {
  const agent = new Agent();
  const length = { 'content-length': String(bytes.length) };
  const request = httpRequest({
    ...{ port, host: '127.0.0.1', method: 'PUT', agent },
    headers: { ...length, ...headers },
  });
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  if (headers['expect'] === undefined) request.end(bytes);
  else {
    request.flushHeaders();
    const next = await Promise.race([answered.then(() => 'answer'), once(request, 'continue')]);
    if (next !== 'answer') request.end(bytes);
  }
  const [response] = await answered;
  response.resume();
  if (!response.complete) await once(response, 'end');
  request.destroy();
  agent.destroy();
  return response;
}

test('answers: the body of a request comes as fast as it is taken, and only if it is wanted', async (t) => {
  const stage = await start(t);
  const sums: number[] = [];
  stage.answer = async ({ body }) => {
    let crc = 0;
    for await (const piece of body ?? []) {
      crc = crc32c(piece, crc);
      if (sums.length === 0) await delay(1);
    }
    sums.push(crc);
    return { status: 200, headers: [['content-length', '0']] };
  };
  const { bytes } = stage;
  t.is((await put(stage, { bytes })).statusCode, 200);
  t.is((await put(stage, { bytes, headers: { expect: '100-continue' } })).statusCode, 200);
  t.deepEqual(sums, [crc32c(bytes), crc32c(bytes)]);
  stage.answer = () => Promise.resolve({ status: 403, headers: [['content-length', '0']] });
  t.is((await put(stage, { bytes, headers: { expect: '100-continue' } })).statusCode, 403);
  t.is((await put(stage, { bytes: bytes.subarray(0, 100) })).statusCode, 403);
});

test('answers: a client that leaves in its body ends it with an error', async (t) => {
  const stage = await start(t);
  let failure: unknown;
  let received = '';
  stage.answer = async ({ body }) => {
    try {
      for await (const piece of body ?? []) received += Buffer.from(piece).toString();
    } catch (thrown) {
      failure = thrown;
    }
    return { status: 200, headers: [['content-length', '0']] };
  };
  const socket = connect(stage.port, '127.0.0.1');
  socket.write('PUT /x HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc');
  await waitFor(() => received === 'abc', { what: 'the body to begin' });
  socket.destroy();
  await waitFor(() => failure !== undefined, { what: 'the body to end' });
  t.is((failure as RingloadError).code, 'cancelled');
});

test('answers: connections beyond the bounds are told so', async (t) => {
  const stage = await start(t, {
    bounds: { limit: 1e6, refuseFrom: 1e6, dropFrom: 1e6, maxCount: 1 },
  });
  const first = connect(stage.port, '127.0.0.1');
  first.on('error', () => undefined);
  first.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(first, 'data');
  stage.answer = () => new Promise(() => undefined);
  first.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await delay(50);
  const answer = await get(stage, 0, 1);
  t.is(answer.status, 503);
  t.is(await answer.text(), 'full');
  t.deepEqual(stage.told, ['refused']);
  first.destroy();
});

test('answers: closing waits for what is under way', async (t) => {
  const stage = await start(t);
  stage.answer = ranges(here(stage));
  const answer = await get(stage, 0, LENGTH);
  const closing = stage.server.close(60_000);
  const body = Buffer.from(await answer.arrayBuffer());
  t.true(body.equals(stage.bytes));
  await closing;
  await t.throwsAsync(() => get(stage, 0, 1));
  t.is(stage.heldCount, 0);
});

/** The threads that are spoken to from now on. */
function watchWorkers(t: ExecutionContext): Set<Worker> {
  const workers = new Set<Worker>();
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function (this: Worker, ...args) {
    workers.add(this);
    postMessage.apply(this, args);
  };
  t.teardown(() => (Worker.prototype.postMessage = postMessage));
  return workers;
}

test.serial(
  'a thread that breaks is started again on its port, and keeps nothing in its place',
  async (t) => {
    const workers = watchWorkers(t);
    const stage = await start(t);
    stage.answer = ranges(here(stage));
    const stalled = await stall(stage);
    await waitFor(() => stage.heldCount === 1, { what: 'a reader to be served' });
    await Promise.all([...workers].map((worker) => worker.terminate()));
    await waitFor(() => stage.heldCount === 0, { what: 'the segment to be given back' });
    await waitFor(
      async () => {
        const answer = await get(stage, 0, BLOCK).catch(() => undefined);
        return answer?.status === 206 && (await answer.arrayBuffer()).byteLength === BLOCK;
      },
      { what: 'the thread to answer again' },
    );
    stage.answer = ranges(at(stage.peer));
    await waitFor(async () => (await get(stage, 0, BLOCK).catch(() => undefined))?.status === 206, {
      what: 'peers to be read again',
    });
    stalled.destroy();
    t.pass();
  },
);
