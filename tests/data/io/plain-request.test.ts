/**
 * The reader of plain requests beside that of Node: what it takes for a request Node reads in the
 * same way, and what it leaves to Node is read by Node as if nobody had looked at it before.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { type Random, randomInt, SeededRandom } from '../../../src/base/random.ts';
import {
  PLAIN_HEAD_MAX_BYTES,
  readPlainRequest,
} from '../../../src/data/io/serving/plain-request.ts';

const PLAIN = 'GET /a/../b?x=%20&y HTTP/1.1\r\nHost: h\r\nRange:  bytes=0-1 \r\nX-Empty:\r\n\r\n';

/** What Node reads from these bytes until it waits or gives up. */
async function readByNode(text: string): Promise<{ requests: string[]; isRefused: boolean }> {
  const requests: string[] = [];
  let isRefused = false;
  const server = createServer({ maxHeaderSize: 32 * 1024 }, (request, response) => {
    const { method, url, rawHeaders } = request;
    requests.push(JSON.stringify([method, url, ...rawHeaders]));
    response.end();
  });
  server.on('clientError', (_error, socket) => {
    isRefused = true;
    socket.destroy();
  });
  server.on('upgrade', (_request, socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.resume();
  socket.end(Buffer.from(text, 'latin1'));
  if (!socket.closed) await once(socket, 'close');
  server.close();
  return { requests, isRefused };
}

test('plain requests: at every split the same, and nothing behind the head is touched', (t) => {
  const bytes = Buffer.from(`${PLAIN}GET /next`, 'latin1');
  const expected = {
    ...{ method: 'GET', target: '/a/../b?x=%20&y', lengthBytes: PLAIN.length },
    headers: ['Host', 'h', 'Range', 'bytes=0-1', 'X-Empty', ''],
  };
  for (let end = 0; end <= bytes.length; end++) {
    const read = readPlainRequest(bytes.subarray(0, end));
    if (end < PLAIN.length) t.is(read, 'more', `${end} bytes`);
    else t.deepEqual(read, expected as typeof read);
  }
});

const OTHERS = [
  ['another method', 'PUT /a HTTP/1.1\r\nHost: h\r\n\r\n'],
  ['its case', 'get /a HTTP/1.1\r\nHost: h\r\n\r\n'],
  ['another version', 'GET /a HTTP/1.0\r\nHost: h\r\n\r\n'],
  ['two blanks', 'GET  /a HTTP/1.1\r\nHost: h\r\n\r\n'],
  ['an absolute target', 'GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n'],
  ['a fragment', 'GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n'],
  ['bytes beyond ASCII', 'GET /\xe4 HTTP/1.1\r\nHost: h\r\n\r\n'],
  ['no host', 'GET /a HTTP/1.1\r\n\r\n'],
  ['two hosts', 'GET /a HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n'],
  ['a length', 'GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd'],
  ['no length', 'GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n'],
  ['an odd length', 'GET /a HTTP/1.1\r\nHost: h\r\ncontent-length : 4\r\n\r\nabcd'],
  ['chunks', 'GET /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['chunks by another name', 'GET /a HTTP/1.1\r\nHost: h\r\ntRANSFER-eNCODING: x\r\n\r\n'],
  ['a continued line', 'GET /a HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n'],
  ['a blank before the colon', 'GET /a HTTP/1.1\r\nHost: h\r\nX : a\r\n\r\n'],
  ['no name', 'GET /a HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n'],
  ['no colon', 'GET /a HTTP/1.1\r\nHost: h\r\nX\r\n\r\n'],
  ['a bare line feed', 'GET /a HTTP/1.1\r\nHost: h\nX: a\r\n\r\n'],
  ['a bare carriage return', 'GET /a HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n'],
  ['a zero', 'GET /a HTTP/1.1\r\nHost: h\r\nX: \0\r\n\r\n'],
  ['an end', 'GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'],
  ['an upgrade', 'GET /a HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'],
  ['a question', 'GET /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n'],
  ['empty lines first', '\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n'],
] as const;

for (const [what, text] of OTHERS) {
  test(`plain requests: with ${what} it is somebody else's, and never plain at any split`, (t) => {
    const bytes = Buffer.from(text, 'latin1');
    t.is(readPlainRequest(bytes), 'other');
    for (let end = 0; end < bytes.length; end++) {
      const read = readPlainRequest(bytes.subarray(0, end));
      t.is(typeof read, 'string', `${end} bytes of it were taken for a whole one`);
    }
  });
}

test('plain requests: what can never become one is given up before its head is whole', (t) => {
  for (const text of [
    'P',
    'PUT /',
    '\n',
    'GET / HTTP/1.1\n',
    'GET / HTTP/1.1\r\nHost: h\n\n',
    'GETS',
  ])
    t.is(readPlainRequest(Buffer.from(text)), 'other', JSON.stringify(text));
  const long = `GET /${'a'.repeat(PLAIN_HEAD_MAX_BYTES)}`;
  t.is(readPlainRequest(Buffer.from(long)), 'other');
  t.is(readPlainRequest(Buffer.from(`${long} HTTP/1.1\r\nHost: h\r\n\r\n`)), 'other');
});

const PIECES = [
  ...['GET', 'HEAD', 'get', 'POST', ' ', '  ', '\t', '/', '/a', '/%zz', '?', '#', '*', 'http://h/'],
  ...[
    'HTTP/1.1',
    'HTTP/1.0',
    'HTTP/2.0',
    '\r\n',
    '\n',
    '\r',
    '\r\n\r\n',
    ':',
    ',',
    '"',
    '\0',
    '\x7f',
  ],
  ...['Host', 'host', 'Range', 'X-A', 'Connection', 'Content-Length', 'Transfer-Encoding', '\xe4'],
  ...['h', 'bytes=0-1', 'close', 'keep-alive', 'Keep-Alive', '0', '4', 'chunked', 'abcd', '(', '['],
];

/** A plain one with a few pieces put in, taken out, or put twice. */
function mutated(random: Random): string {
  const tokens = PLAIN.split(/(?<=[ :\r\n])|(?=[ :\r\n])/);
  for (let count = randomInt(random, 4); count > 0; count--) {
    const at = randomInt(random, tokens.length);
    const piece = PIECES[randomInt(random, PIECES.length)] ?? '';
    tokens.splice(at, randomInt(random, 2), ...(randomInt(random, 3) === 0 ? [] : [piece]));
  }
  return tokens.join('');
}

async function compare(t: ExecutionContext, text: string): Promise<'plain' | 'other'> {
  const read = readPlainRequest(Buffer.from(text, 'latin1'));
  if (typeof read === 'string') return 'other';
  const { requests } = await readByNode(text.slice(0, read.lengthBytes));
  const own = JSON.stringify([read.method, read.target, ...read.headers]);
  t.deepEqual(requests, [own], `Node reads ${JSON.stringify(text)} in another way`);
  return 'plain';
}

test('plain requests: whatever is taken for one Node reads in the same way', async (t) => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  t.log(`SEED=${seed}`);
  const random = new SeededRandom(seed);
  let plainCount = 0;
  for (let round = 0; round < 1500; round++) {
    if ((await compare(t, mutated(random))) === 'plain') plainCount++;
  }
  t.true(plainCount > 50 && plainCount < 1450, `${plainCount} of 1,500 were plain`);
});
