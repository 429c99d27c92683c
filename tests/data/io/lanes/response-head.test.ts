import test from 'ava';
import { headLength } from '../../../../src/data/io/http-head.ts';
import { parseHead } from '../../../../src/data/io/lanes/response-head.ts';

const head = (...lines: string[]): string => ['HTTP/1.1 200 OK', ...lines].join('\r\n');

test('response head: status, headers by lower-case name, length and keep-alive', (t) => {
  const parsed = parseHead(
    'HTTP/1.1 206 Partial Content\r\nContent-Length: 12\r\nETag: "a:b"\r\nX-Empty:\r\nServer:\tx y ',
  );
  t.deepEqual(parsed, {
    kind: 'head',
    head: {
      status: 206,
      headers: { 'content-length': '12', etag: '"a:b"', 'x-empty': '', server: 'x y' },
    },
    bodyBytes: 12,
    keepAlive: true,
  });
});

test('response head: a reason may be missing, close is a token of a list', (t) => {
  for (const status of ['HTTP/1.1 200', 'HTTP/1.1 200 ', 'HTTP/1.1 200 Tr\xe8s bien']) {
    t.is(parseHead(`${status}\r\ncontent-length: 0`).kind, 'head', status);
  }
  for (const [value, keepAlive] of [
    ['close', false],
    ['Keep-Alive, Close', false],
    ['keep-alive', true],
    ['closed', true],
  ] as const) {
    const parsed = parseHead(head('content-length: 1', `Connection: ${value}`));
    t.like(parsed, { kind: 'head', keepAlive }, value);
  }
});

test('response head: answers without a body need no length', (t) => {
  for (const status of [204, 304]) {
    t.like(parseHead(`HTTP/1.1 ${status} x\r\netag: "a"`), { kind: 'head', bodyBytes: 0 });
  }
});

const unfit: readonly (readonly [what: string, text: string])[] = [
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 1'],
  ['HTTP/2', 'HTTP/2 200\r\ncontent-length: 1'],
  ['another protocol', '220 smtp ready\r\ncontent-length: 1'],
  ['an interim answer', 'HTTP/1.1 100 Continue'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\ncontent-length: 1'],
  ['a control character in the reason', 'HTTP/1.1 200 O\x01K\r\ncontent-length: 1'],
  ['no length', head('etag: "a"')],
  ['two different lengths', head('content-length: 1', 'Content-Length: 2')],
  ['a list of lengths', head('content-length: 1, 1')],
  ['a negative length', head('content-length: -1')],
  ['a length with a sign', head('content-length: +1')],
  ['a hexadecimal length', head('content-length: 0x10')],
  ['a length beyond all objects', head('content-length: 1234567890123456')],
  ['a chunked body', head('transfer-encoding: chunked')],
  ['a chunked body with a length', head('content-length: 5', 'Transfer-Encoding: chunked')],
  ['a compressed body', head('content-length: 5', 'content-encoding: gzip')],
  ['a folded line', head('content-length: 5', ' more')],
  ['a blank before the colon', head('content-length : 5')],
  ['a line without a colon', head('content-length: 5', 'nonsense')],
  ['an empty name', head(': 5')],
  ['a bare line feed', head('content-length: 5\nx: y')],
  ['a null character', head('content-length: 5', 'x: a\0b')],
  ['nothing', ''],
];
for (const [what, text] of unfit) {
  test(`response head: ${what} is not for a lane`, (t) => {
    t.is(parseHead(text).kind, 'unfit');
  });
}

test('response head: equal lengths twice are one, identity is no coding', (t) => {
  const twice = parseHead(head('content-length: 3', 'content-length: 3'));
  t.like(twice, { kind: 'head', bodyBytes: 3 });
  const identity = parseHead(head('content-length: 3', 'content-encoding: Identity'));
  t.is(identity.kind, 'head');
});

test('response head: names like __proto__ are plain headers', (t) => {
  const parsed = parseHead(head('content-length: 1', '__proto__: x', 'constructor: y'));
  t.is(parsed.kind, 'head');
  if (parsed.kind === 'head') t.is(Object.getPrototypeOf(parsed.head.headers), Object.prototype);
});

test('response head: its end is found wherever the pieces are cut', (t) => {
  const bytes = Buffer.from(`${head('content-length: 2')}\r\n\r\nab`);
  const length = bytes.length - 2;
  for (let cut = 0; cut <= bytes.length; cut++) {
    const first = headLength(bytes.subarray(0, cut), 0);
    t.is(first, cut >= length ? length : -1);
    if (first < 0) t.is(headLength(bytes, cut), length, `cut at ${cut}`);
  }
});
