import test from 'ava';
import fc from 'fast-check';
import { decodeFrame, encodeFrame } from '../../src/peer/frame.ts';
import type { Frame } from '../../src/peer/frame.ts';
import { MIB } from '../../src/base/units.ts';

const NESTING_MAX = 64;
const decode = (text: string): Frame => decodeFrame(text, NESTING_MAX);
const seed = Number(process.env['SEED'] ?? 20_261_101);

const payload = fc
  .jsonValue({ maxDepth: 5 })
  .filter((value) => !JSON.stringify(value).includes('__proto__'));
const type = fc.stringMatching(/^[A-Za-z][\w.:/-]{0,63}$/);
const id = fc.nat();
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ kind: fc.constant('request' as const), id, type, payload }),
  fc.record({ kind: fc.constant('response' as const), id, payload }),
  fc.record({ kind: fc.constant('message' as const), type, payload }),
  fc.record({ kind: fc.constant('ping' as const), sequence: id }),
  fc.record({ kind: fc.constant('pong' as const), sequence: id }),
  fc.constant({ kind: 'bye' as const }),
  fc.record({
    kind: fc.constant('error' as const),
    id,
    error: fc.record({
      code: fc.constant('not_found' as const),
      message: fc.string(),
      details: fc.dictionary(fc.stringMatching(/^[a-z]{1,9}$/), fc.oneof(fc.string(), fc.nat())),
    }),
  }),
);

test(`frame: every frame survives the wire (SEED=${seed})`, (t) => {
  fc.assert(
    fc.property(frame, (sent) => {
      // JSON knows one zero; the comparison must not care.
      t.deepEqual(decode(encodeFrame(sent)), JSON.parse(JSON.stringify(sent)) as Frame);
    }),
    { seed, numRuns: 300 },
  );
});

test(`frame: no part of a frame is a frame (SEED=${seed})`, (t) => {
  fc.assert(
    fc.property(frame, fc.double({ min: 0, max: 0.999, noNaN: true }), (sent, share) => {
      const text = encodeFrame(sent);
      t.throws(() => decode(text.slice(0, Math.floor(text.length * share))));
    }),
    { seed, numRuns: 200 },
  );
});

test(`frame: garbage throws an invalid_argument and nothing else (SEED=${seed})`, (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      t.throws(() => decode(text), { code: 'invalid_argument' });
    }),
    { seed, numRuns: 300 },
  );
});

for (const [title, text] of Object.entries({
  'an empty text': '',
  null: 'null',
  'a number': '1',
  'an array': '[{"kind":"bye"}]',
  'no kind': '{"id":1}',
  'an unknown kind': '{"kind":"hello"}',
  'a kind from the prototype': '{"kind":"constructor"}',
  'a request without an id': '{"kind":"request","type":"x"}',
  'a negative id': '{"kind":"request","id":-1,"type":"x"}',
  'a fractional id': '{"kind":"response","id":1.5}',
  'an id beyond exact numbers': '{"kind":"response","id":9007199254740992}',
  'an id as text': '{"kind":"response","id":"1"}',
  'an empty type': '{"kind":"message","type":""}',
  'a type of 65 characters': `{"kind":"message","type":"${'x'.repeat(65)}"}`,
  'a type with a blank': '{"kind":"message","type":"a b"}',
  'a type that is an object': '{"kind":"message","type":{}}',
  'an error without a message': '{"kind":"error","id":1,"error":{"code":"internal"}}',
  'an error with nested details':
    '{"kind":"error","id":1,"error":{"code":"internal","message":"","details":{"a":{}}}}',
  'two frames': '{"kind":"bye"}{"kind":"bye"}',
  'a __proto__ key': '{"kind":"message","type":"x","payload":[{"__proto__":1}]}',
  'a __proto__ key in escapes': '{"kind":"message","type":"x","payload":{"_\\u005Fproto__":1}}',
  'a frame that is its own __proto__': '{"__proto__":{"kind":"bye"}}',
})) {
  test(`frame: ${title} is refused`, (t) => {
    t.throws(() => decode(text), { code: 'invalid_argument' });
  });
}

test('frame: __proto__ as a value is data like any other', (t) => {
  const sent: Frame = { kind: 'message', type: 'x', payload: ['__proto__', { path: '__proto__' }] };
  t.deepEqual(decode(encodeFrame(sent)), sent);
});

test('frame: a type of 64 characters is the longest', (t) => {
  const sent: Frame = { kind: 'message', type: 'x'.repeat(64), payload: 1 };
  t.deepEqual(decode(encodeFrame(sent)), sent);
});

test('frame: nesting is refused one above the bound, whatever strings contain', (t) => {
  const nested = (depth: number): string =>
    `{"kind":"message","type":"x","payload":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
  t.notThrows(() => decode(nested(NESTING_MAX)));
  t.throws(() => decode(nested(NESTING_MAX + 1)), { code: 'invalid_argument' });
  const brackets = '[{'.repeat(500);
  const sent: Frame = { kind: 'message', type: 'x', payload: [`"${brackets}\\"`, brackets] };
  t.deepEqual(decode(encodeFrame(sent)), sent);
});

test('frame: eight megabytes of brackets are refused without a stack', (t) => {
  t.throws(() => decode('['.repeat(8 * MIB)), { code: 'invalid_argument' });
  t.throws(() => decode('{"a":'.repeat(MIB)), { code: 'invalid_argument' });
});

test('frame: what is no JSON value is refused before it is sent', (t) => {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  for (const value of [1n, cycle, JSON.parse('{"a":{"__proto__":1}}')]) {
    t.throws(() => encodeFrame({ kind: 'message', type: 'x', payload: value }), {
      code: 'invalid_argument',
    });
  }
});

test('frame: fields that a frame does not have are dropped', (t) => {
  t.deepEqual(decode('{"kind":"ping","sequence":1,"isAdmin":true}'), { kind: 'ping', sequence: 1 });
});

test('frame: long error messages are cut', (t) => {
  const text = encodeFrame({
    kind: 'error',
    id: 1,
    error: { code: 'internal', message: 'x'.repeat(9_999) },
  });
  const received = decode(text);
  t.is(received.kind === 'error' && received.error.message.length, 4_096);
});
