import test from 'ava';
import {
  askHeaders,
  challengeHeaders,
  readAsk,
  readChallenge,
  readWelcome,
  welcomeHeaders,
} from '../../src/peer/handshake.ts';
import type { Asked, HeaderMap } from '../../src/peer/handshake.ts';
import { helloOf } from './support/raw-peer.ts';
import { CLUSTER, idOf } from './support/world.ts';

const ASKS: readonly Asked[] = [
  { hello: helloOf('a'), nonce: 'n', answer: undefined },
  { hello: helloOf('a', { targetId: idOf('b') }), nonce: 'n', answer: undefined },
  { hello: helloOf('a', { clusterId: undefined, purpose: 'call' }), nonce: 'n', answer: undefined },
  { hello: helloOf('a'), nonce: 'n', answer: { challenge: 'c.1.t', proofs: ['p', 'q'] } },
];

test('handshake: what is asked is what is read', (t) => {
  for (const asked of ASKS) t.deepEqual(readAsk(askHeaders(asked)), asked);
});

test('handshake: challenge and welcome are read as they were written', (t) => {
  const challenged = { challenge: 'c.1.t', acceptorId: idOf('b'), clusterId: CLUSTER };
  t.deepEqual(readChallenge(challengeHeaders(challenged)), challenged);
  const remote = { id: idOf('b'), generation: 0, instance: 'i' };
  for (const proof of ['p', undefined]) {
    const welcomed = { remote, clusterId: CLUSTER, proof };
    t.deepEqual(readWelcome(welcomeHeaders(welcomed)), welcomed);
  }
});

const full = askHeaders({
  hello: helloOf('a', { targetId: idOf('b') }),
  nonce: 'n',
  answer: { challenge: 'c', proofs: ['p'] },
});
const OPTIONAL = ['x-ringload-cluster', 'x-ringload-target'];

test('handshake: each missing header but the optional ones is noticed', (t) => {
  for (const name of Object.keys(full)) {
    const { [name]: _, ...rest } = full as Record<string, string>;
    t.is(readAsk(rest) !== undefined, OPTIONAL.includes(name), `${name} left out`);
  }
});

test('handshake: each malformed header is noticed', (t) => {
  for (const name of Object.keys(full)) {
    const wrong: HeaderMap[string][] = ['', 'a\tb', 'é', 'x'.repeat(200), ['a', 'b']];
    if (name === 'x-ringload-generation') wrong.push('-1', '1.5', 'NaN', '9007199254740992');
    if (name === 'x-ringload-proof') wrong.push('a b c');
    for (const value of wrong)
      t.is(readAsk({ ...full, [name]: value }), undefined, `${name} malformed`);
  }
});

test('handshake: headers of a foreign service are no welcome and no challenge', (t) => {
  t.is(readWelcome({ server: 'nginx' }), undefined);
  t.is(readChallenge({ 'www-authenticate': 'Basic' }), undefined);
});
