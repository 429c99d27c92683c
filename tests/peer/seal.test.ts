import { createSecretKey } from 'node:crypto';
import test from 'ava';
import { FrameSeal } from '../../src/peer/seal.ts';

const key = (char: string) => createSecretKey(Buffer.from(char.repeat(32)));

function createPair(): [FrameSeal, FrameSeal] {
  return [
    new FrameSeal({ send: key('a'), receive: key('b') }),
    new FrameSeal({ send: key('b'), receive: key('a') }),
  ];
}

test('seal: frames come out as they went in, in order, both ways', (t) => {
  const [near, far] = createPair();
  for (const text of ['one', '', 'three']) {
    const { form, content } = far.open(near.seal('text', Buffer.from(text)));
    t.deepEqual([form, content.toString()], ['text', text]);
  }
  t.is(far.open(near.seal('part', Buffer.from('p'))).form, 'part');
  t.is(near.open(far.seal('text', Buffer.from('back'))).content.toString(), 'back');
});

test('seal: every flipped bit is noticed', (t) => {
  const sealed = createPair()[0].seal('text', Buffer.from('{"kind":"bye"}'));
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const altered = Buffer.from(sealed);
    altered.writeUInt8(altered.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    t.throws(() => createPair()[1].open(altered), { code: 'unauthenticated' });
  }
});

test('seal: repeated, dropped, reordered, reflected, cut and empty frames are noticed', (t) => {
  const open = (order: (frames: Buffer[]) => (Buffer | undefined)[]): void => {
    const [near, far] = createPair();
    const frames = ['0', '1', '2'].map((text) => near.seal('text', Buffer.from(text)));
    for (const frame of order(frames)) far.open(frame ?? Buffer.alloc(0));
  };
  t.notThrows(() => open((frames) => frames));
  t.throws(() => open(([first]) => [first, first]));
  t.throws(() => open(([, second]) => [second]));
  t.throws(() => open(([first, second, third]) => [first, third, second]));
  t.throws(() => open(([first]) => [first?.subarray(0, -1)]));
  t.throws(() => open(([first]) => [first?.subarray(0, 16)]));
  t.throws(() => open(() => [Buffer.alloc(0)]));
  const [near] = createPair();
  t.throws(() => near.open(near.seal('text', Buffer.from('mine'))));
});
