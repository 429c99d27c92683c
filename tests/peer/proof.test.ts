import test from 'ava';
import { clusterId } from '../../src/base/ids.ts';
import {
  acceptorProof,
  diallerProof,
  findSecret,
  importSecrets,
  sessionKeys,
} from '../../src/peer/proof.ts';
import type { Transcript } from '../../src/peer/proof.ts';
import { helloOf } from './support/raw-peer.ts';
import { CLUSTER, idOf, SECRET } from './support/world.ts';

const [secret, other] = importSecrets([SECRET, 'another secret of the cluster']);
const acceptor = { id: idOf('b'), generation: 3, instance: 'i' };
const transcript: Transcript = {
  hello: helloOf('a', { targetId: idOf('b') }),
  nonce: 'n',
  challenge: 'c',
  acceptorId: idOf('b'),
  clusterId: CLUSTER,
};

test('proof: changes with everything that was said', (t) => {
  if (!secret || !other) throw new Error('secrets');
  const { hello } = transcript;
  const changed: Transcript[] = [
    { ...transcript, nonce: 'm' },
    { ...transcript, challenge: 'd' },
    { ...transcript, acceptorId: idOf('c') },
    { ...transcript, clusterId: clusterId('other') },
    { ...transcript, hello: { ...hello, id: idOf('x') } },
    { ...transcript, hello: { ...hello, generation: 2 } },
    { ...transcript, hello: { ...hello, instance: 'j' } },
    { ...transcript, hello: { ...hello, purpose: 'call' } },
    { ...transcript, hello: { ...hello, clusterId: undefined } },
    { ...transcript, hello: { ...hello, targetId: undefined } },
    // Moving a character over a border between two fields.
    { ...transcript, nonce: 'nc', challenge: '' },
  ];
  const proofs = new Set([
    ...[transcript, ...changed].map((said) => diallerProof(secret, said)),
    ...[transcript, ...changed].map((said) => acceptorProof(secret, said, acceptor)),
    acceptorProof(secret, transcript, { ...acceptor, generation: 4 }),
    acceptorProof(secret, transcript, { ...acceptor, instance: 'j' }),
    diallerProof(other, transcript),
  ]);
  t.is(proofs.size, 2 * (changed.length + 1) + 3);
});

test('proof: session keys differ by direction and from the proofs', (t) => {
  if (!secret) throw new Error('secrets');
  const keys = sessionKeys(secret, transcript, acceptor);
  const texts = [keys.fromDialler, keys.fromAcceptor].map((key) =>
    key.export().toString('base64url'),
  );
  texts.push(diallerProof(secret, transcript), acceptorProof(secret, transcript, acceptor));
  t.is(new Set(texts).size, 4);
});

test('proof: the secret that matches is found, and only that', (t) => {
  if (!secret || !other) throw new Error('secrets');
  const make = (key: typeof secret): string => diallerProof(key, transcript);
  t.is(findSecret([secret, other], [make(other)], make), other);
  t.is(findSecret([secret], [make(other), make(secret)], make), secret);
  t.is(findSecret([secret], [make(other)], make), undefined);
  t.is(findSecret([secret], ['', 'é', make(secret).slice(1)], make), undefined);
});

test('secrets: at most two, of at least 16 bytes', (t) => {
  t.is(importSecrets([]).length, 0);
  t.notThrows(() => importSecrets(['x'.repeat(16), 'y'.repeat(16)]));
  t.throws(() => importSecrets(['x'.repeat(15)]), { code: 'config_invalid' });
  t.throws(() => importSecrets(['x', 'y', 'z'].map((char) => char.repeat(16))), {
    code: 'config_invalid',
  });
});
