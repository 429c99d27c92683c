/**
 * Who knows the shared secret: HMAC-SHA256 over the whole handshake, one label per direction, and
 * the keys of the session that follow from it.
 *
 * The transcript names the cluster, both peers, the purpose and a nonce of each side, so a proof
 * is worth nothing to another peer, in the other direction, or a second time.
 */
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { RingloadError } from '../base/errors.ts';
import type { ClusterId, PeerId } from '../base/ids.ts';
import type { Hello, RemotePeer } from './wire.ts';

const SECRET_MIN_BYTES = 16;
const SECRETS_MAX_COUNT = 2;

/** What both sides have said when the caller proves itself. */
export interface Transcript {
  readonly hello: Hello;
  /** Of the caller. */
  readonly nonce: string;
  /** Of the called peer. */
  readonly challenge: string;
  readonly acceptorId: PeerId;
  readonly clusterId: ClusterId;
}

export interface SessionKeys {
  readonly fromDialler: KeyObject;
  readonly fromAcceptor: KeyObject;
}

/**
 * @param secrets the one in use and, while it is being changed, a second valid one.
 * @throws config_invalid when there are more, or one is shorter than 16 bytes.
 */
export function importSecrets(secrets: readonly string[]): readonly KeyObject[] {
  if (secrets.length > SECRETS_MAX_COUNT) {
    throw new RingloadError(
      'config_invalid',
      `${secrets.length} cluster secrets given, at most ${SECRETS_MAX_COUNT} are valid at a time`,
    );
  }
  return secrets.map((secret) => {
    const bytes = Buffer.from(secret, 'utf8');
    if (bytes.length < SECRET_MIN_BYTES) {
      throw new RingloadError(
        'config_invalid',
        `a cluster secret has ${bytes.length} bytes, it needs at least ${SECRET_MIN_BYTES}`,
      );
    }
    return createSecretKey(bytes);
  });
}

export function diallerProof(secret: KeyObject, transcript: Transcript): string {
  return hmac(secret, 'dialler', transcript).toString('base64url');
}

export function acceptorProof(
  secret: KeyObject,
  transcript: Transcript,
  acceptor: RemotePeer,
): string {
  return hmac(secret, 'acceptor', transcript, acceptor).toString('base64url');
}

export function sessionKeys(
  secret: KeyObject,
  transcript: Transcript,
  acceptor: RemotePeer,
): SessionKeys {
  return {
    fromDialler: createSecretKey(hmac(secret, 'frames of the dialler', transcript, acceptor)),
    fromAcceptor: createSecretKey(hmac(secret, 'frames of the acceptor', transcript, acceptor)),
  };
}

/** The secret with which `makeProof` gives one of `proofs`. */
export function findSecret(
  secrets: readonly KeyObject[],
  proofs: readonly string[],
  makeProof: (secret: KeyObject) => string,
): KeyObject | undefined {
  return secrets.find((secret) => {
    const expected = makeProof(secret);
    return proofs.some((proof) => isSameText(proof, expected));
  });
}

function hmac(
  secret: KeyObject,
  label: string,
  { hello, nonce, challenge, acceptorId, clusterId }: Transcript,
  acceptor?: RemotePeer,
): Buffer {
  const said = [
    'ringload.v1',
    label,
    hello.purpose,
    hello.id,
    hello.generation,
    hello.instance,
    hello.dialNumber,
    hello.clusterId ?? null,
    hello.targetId ?? null,
    acceptorId,
    clusterId,
    nonce,
    challenge,
    acceptor?.generation ?? null,
    acceptor?.instance ?? null,
  ];
  return createHmac('sha256', secret).update(JSON.stringify(said)).digest();
}

function isSameText(left: string, right: string): boolean {
  const leftBytes = Buffer.from(left);
  const rightBytes = Buffer.from(right);
  return leftBytes.length === rightBytes.length && timingSafeEqual(leftBytes, rightBytes);
}
