/** Connections whose plain requests we read and whose others Node reads, beside Node alone. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { silentLogger } from '../../../src/base/logger.ts';
import { type Random, randomInt, SeededRandom } from '../../../src/base/random.ts';
import { waitFor } from '../../support/wait-for.ts';
import {
  startAnswerServer,
  type AnswerServerOptions,
  type ThreadAnswer,
} from '../../../src/data/io/answer-server.ts';

/** The same from both servers: what was understood, in a header and in the body. */
function answerTo(method: string, target: string, bodyBytes: number) {
  const text = `<${method} ${target} ${bodyBytes}>`;
  return {
    text,
    headers: [['X-Answer', text] as const, ['Content-Length', String(text.length)] as const],
  };
}

/** @param seen gets what was understood */
function answerAll(seen: string[] = []): AnswerServerOptions['answer'] {
  return async ({ method, target, body }): Promise<ThreadAnswer> => {
    let bodyBytes = 0;
    for await (const piece of body ?? []) bodyBytes += piece.length;
    const { text, headers } = answerTo(method, target, bodyBytes);
    seen.push(text);
    return { status: 200, headers, ...(method !== 'HEAD' && { body: Buffer.from(text) }) };
  };
}

async function start(
  t: ExecutionContext,
  options: Partial<AnswerServerOptions> = {},
): Promise<number> {
  const server = await startAnswerServer({
    ...{ host: '127.0.0.1', port: 0, what: 'test endpoint', logger: silentLogger },
    answer: answerAll(),
    failed: () => ({ status: 500, headers: [] }),
    tooMany: { status: 503, headers: [] },
    bounds: { limit: 1e6, refuseFrom: 1e6, dropFrom: 1e6 },
    openFileMaxCount: 1,
    peers: { token: () => undefined, socketMaxCount: 1, headTimeoutMs: 5000, stallTimeoutMs: 5000 },
    ...{ headersTimeoutMs: 30_000, requestTimeoutMs: 60_000 },
    onRefused: () => undefined,
    ...options,
  });
  t.teardown(() => server.close(2000));
  return server.port;
}

async function startNode(t: ExecutionContext, seen: string[]): Promise<number> {
  const server = createServer((request, response) => {
    let bodyBytes = 0;
    request.on('data', (bytes: Buffer) => (bodyBytes += bytes.length));
    request.on('end', () => {
      const { text, headers } = answerTo(request.method ?? '', request.url ?? '', bodyBytes);
      seen.push(text);
      response.writeHead(200, headers.flat());
      response.end(text);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Everything that comes back for these pieces until we have enough. */
async function converse(
  port: number,
  pieces: readonly Buffer[],
  isDone: (received: string) => boolean = () => true,
): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let received = '';
  socket.on('data', (bytes: Buffer) => (received += bytes.toString('latin1')));
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  for (const piece of pieces) {
    if (socket.destroyed) break;
    socket.write(piece);
    await delay(0);
  }
  // Why not at once: Node takes the end of what we send for the end of our interest.
  await waitFor(() => socket.closed || isDone(received), {
    what: 'all answers',
    context: () => received,
  });
  socket.end();
  await closed;
  return received;
}

/** Status and what was understood, of each answer; whose server it is does not matter. */
function gist(received: string): string[] {
  const heads = received.matchAll(
    /HTTP\/1\.1 (\d+)[^\r]*\r\n(?:[^\r]+\r\n)*?(?:X-Answer: ([^\r]*)\r\n)?(?:[^\r]+\r\n)*\r\n/g,
  );
  return [...heads].map(([, status = '', answer = '']) => `${status} ${answer}`);
}

/** After these a connection goes on. */
const REQUESTS = [
  'GET /a HTTP/1.1\r\nHost: h\r\n\r\n',
  'GET /b?x=1 HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\nConnection: keep-alive\r\n\r\n',
  'HEAD /c HTTP/1.1\r\nHost: h\r\n\r\n',
  'PUT /d HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /',
  'PUT /e HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
  'GET /f HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd',
  'GET /g HTTP/1.1\r\nHost: h\r\nX: \xe4\r\n\r\n',
  'DELETE /h HTTP/1.1\r\nHost: h\r\n\r\n',
];
/** After these Node ends it, sooner or later, whatever follows. */
const LAST_ONES = [
  'GET /i HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n',
  'GET /j HTTP/1.1\r\nX: no host\r\n\r\n',
  'GET /k HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n',
  'GET /l HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'nonsense\r\n\r\n',
];

function piecesOf(random: Random, text: string): Buffer[] {
  const bytes = Buffer.from(text, 'latin1');
  const pieces: Buffer[] = [];
  const sizeMax = 1 + randomInt(random, bytes.length);
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + randomInt(random, sizeMax);
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}

test('plain connections: any requests in any pieces are answered as Node alone answers them', async (t) => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  t.log(`SEED=${seed}`);
  const random = new SeededRandom(seed);
  const [ours, theirs]: [string[], string[]] = [[], []];
  const [own, node] = await Promise.all([
    start(t, { answer: answerAll(ours) }),
    startNode(t, theirs),
  ]);
  for (let round = 0; round < 50; round++) {
    const count = 1 + randomInt(random, 5);
    // Mostly plain ones, so that the others come late in a connection.
    const pick = (): string =>
      REQUESTS[randomInt(random, randomInt(random, 2) === 0 ? 3 : REQUESTS.length)] ?? '';
    const last = LAST_ONES[randomInt(random, 2 * LAST_ONES.length)] ?? '';
    const text = Array.from({ length: count }, pick).join('') + last;
    const pieces = piecesOf(random, text);
    await converse(node, pieces);
    await converse(own, pieces, () => ours.length >= theirs.length);
    await waitFor(() => ours.length >= theirs.length, { what: 'all to be understood' });
    // Why not the answers: Node forgets those that are not out when it meets what it refuses.
    t.deepEqual(ours.splice(0).sort(), theirs.splice(0).sort(), JSON.stringify(text));
  }
});

test('plain connections: a request at every split is answered once', async (t) => {
  const port = await start(t);
  const text = `${REQUESTS[1] ?? ''}${REQUESTS[3] ?? ''}${REQUESTS[0] ?? ''}`;
  const bytes = Buffer.from(text, 'latin1');
  const splits = [...bytes.keys()];
  const hasThree = (received: string): boolean => gist(received).length >= 3;
  const all = await Promise.all(
    splits.map((at) => converse(port, [bytes.subarray(0, at), bytes.subarray(at)], hasThree)),
  );
  for (const [at, received] of all.entries())
    t.deepEqual(
      gist(received),
      ['200 <GET /b?x=1 0>', '200 <PUT /d 5>', '200 <GET /a 0>'],
      `at ${at}`,
    );
});

test('plain connections: a head that does not come to an end, and nothing at all, time out', async (t) => {
  const port = await start(t, { headersTimeoutMs: 300 });
  for (const text of ['GET /a HTTP/1.1\r\nHo', '']) {
    const socket = connect(port, '127.0.0.1');
    let received = '';
    socket.on('data', (bytes: Buffer) => (received += bytes.toString('latin1')));
    if (text !== '') socket.write(text);
    await once(socket, 'close');
    t.regex(received, /^HTTP\/1\.1 408 /);
  }
});

test('plain connections: what would be another line of a head never leaves', async (t) => {
  const port = await start(t, {
    answer: () =>
      Promise.resolve({
        status: 200,
        headers: [
          ['X-Note', 'a\r\nX-Evil: b'],
          ['Content-Length', '0'],
        ],
      }),
  });
  const received = await converse(port, [Buffer.from(REQUESTS[0] ?? '')]);
  t.is(received, '');
});

test('plain connections: an answer that is longer or shorter than it promised ends its connection', async (t) => {
  const port = await start(t, {
    answer: ({ target }) =>
      Promise.resolve({
        status: 200,
        headers: [['Content-Length', '5']],
        body: Buffer.from(target === '/a' ? 'abcdefg' : 'abc'),
      }),
  });
  for (const request of [REQUESTS[0], REQUESTS[1]]) {
    const received = await converse(port, [Buffer.from(`${request ?? ''}${request ?? ''}`)]);
    t.false(received.includes('abcdefg'));
    t.false(/HTTP[^]*HTTP/.test(received), 'the connection went on');
  }
});
