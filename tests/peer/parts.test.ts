import test from 'ava';
import { PartCutter, PartJoiner } from '../../src/peer/parts.ts';

function bytes(length: number, salt: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + salt) % 251);
}

function partsOf(message: Uint8Array, streamId: number, partBytes: number): Uint8Array[] {
  const cutter = new PartCutter(message, streamId, partBytes);
  const parts: Uint8Array[] = [];
  for (let part = cutter.next(); part; part = cutter.next()) parts.push(part);
  return parts;
}

for (const length of [1, 99, 100, 101, 250]) {
  test(`parts: a message of ${length} bytes in parts of 100 comes out whole`, (t) => {
    const message = bytes(length, 1);
    const parts = partsOf(message, 7, 100);
    t.is(parts.length, Math.ceil(length / 100));
    const joiner = new PartJoiner(250);
    const results = parts.map((part) => joiner.add(part));
    t.deepEqual(results.pop(), message);
    t.true(results.every((result) => result === undefined));
  });
}

test('parts: streams interleave', (t) => {
  const [first, second] = [bytes(300, 1), bytes(200, 2)];
  const [a, b] = [partsOf(first, 1, 100), partsOf(second, 2, 100)];
  const joiner = new PartJoiner(500);
  const order = [a[0], b[0], a[1], b[1], a[2]];
  const results = order.map((part) => part && joiner.add(part));
  t.deepEqual(results, [undefined, undefined, undefined, second, first]);
});

test('parts: what is held is bounded over all streams, and freed by what completes', (t) => {
  const joiner = new PartJoiner(250);
  for (let round = 0; round < 5; round++) {
    for (const part of partsOf(bytes(250, round), round, 100)) joiner.add(part);
  }
  joiner.add(partsOf(bytes(200, 1), 1, 150)[0] ?? bytes(0, 0));
  t.throws(() => joiner.add(partsOf(bytes(200, 2), 2, 101)[0] ?? bytes(0, 0)), {
    code: 'payload_too_large',
  });
});

test('parts: the number of open streams is bounded', (t) => {
  const joiner = new PartJoiner(1_000);
  const open = (stream: number) => joiner.add(partsOf(bytes(2, 0), stream, 1)[0] ?? bytes(0, 0));
  for (let stream = 0; stream < 4; stream++) open(stream);
  t.throws(() => open(4), { code: 'payload_too_large' });
});

test('parts: a part without content is refused', (t) => {
  for (const length of [0, 4, 5]) {
    t.throws(() => new PartJoiner(100).add(new Uint8Array(length)), { code: 'invalid_argument' });
  }
});
