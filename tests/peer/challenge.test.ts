import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { ChallengeBook } from '../../src/peer/challenge.ts';

function createBook(key = 'k') {
  const clock = new ManualClock();
  let count = 0;
  const book = new ChallengeBook({
    key: Buffer.from(key.repeat(32)),
    clock,
    lifeMs: 1_000,
    createNonce: () => `nonce-${count++}`,
  });
  return { book, clock };
}

test('challenge: is valid until it is used, and never again', (t) => {
  const { book, clock } = createBook();
  const challenge = book.issue();
  t.is(book.check(challenge), 'valid');
  t.is(book.check(challenge), 'valid');
  t.true(book.use(challenge));
  t.is(book.check(challenge), 'used');
  clock.advance(1_000);
  t.is(book.check(challenge), 'used');
  clock.advance(1);
  t.is(book.check(challenge), 'expired');
  book.use(book.issue());
  t.is(book.check(challenge), 'expired', 'forgotten, and still not valid');
});

test('challenge: lives for its time and not a millisecond longer', (t) => {
  const { book, clock } = createBook();
  const challenge = book.issue();
  clock.advance(1_000);
  t.is(book.check(challenge), 'valid');
  clock.advance(1);
  t.is(book.check(challenge), 'expired');
});

test('challenge: of another start, made up, or altered is as good as expired', (t) => {
  const { book } = createBook();
  const challenge = book.issue();
  t.is(createBook('x').book.check(challenge), 'expired');
  for (const forged of ['', '.', '..', 'nonce', challenge.slice(1), challenge.slice(0, -1)]) {
    t.is(book.check(forged), 'expired');
  }
  const [nonce, issued, tag] = challenge.split('.');
  t.is(book.check(`${nonce}.${Number(issued) + 1}.${tag}`), 'expired');
});

test('challenge: asking costs nothing, using is bounded, and time makes room', (t) => {
  const { book, clock } = createBook();
  for (let i = 0; i < 16_384; i++) t.assert(book.use(book.issue()));
  const next = book.issue();
  t.false(book.use(next));
  t.is(book.check(next), 'valid');
  clock.advance(1_002);
  t.true(book.use(book.issue()));
});
